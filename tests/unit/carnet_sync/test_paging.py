from __future__ import annotations

import base64
import contextlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.errors import InvalidInputError
from carnet.serving.paging import page_limit
from carnet_sync.promotions.paging import decode_page_token, encode_page_token

MOMENT = datetime(2026, 3, 1, 12, 30, 0, 123456, tzinfo=UTC)


@pytest.mark.parametrize("active_only", [True, False])
def test_a_token_says_where_the_page_before_ended(active_only: bool) -> None:
    token = encode_page_token(MOMENT, "ab" * 16, active_only=active_only)
    assert decode_page_token(token, active_only=active_only) == (MOMENT, "ab" * 16)
    assert decode_page_token("", active_only=active_only) is None


def test_a_token_of_another_question_is_refused() -> None:
    token = encode_page_token(MOMENT, "ab" * 16, active_only=True)
    with pytest.raises(InvalidInputError, match="page_token"):
        decode_page_token(token, active_only=False)


@given(st.text() | st.binary().map(lambda data: base64.urlsafe_b64encode(data).decode()))
def test_no_token_crashes(token: str) -> None:
    with contextlib.suppress(InvalidInputError):
        assert decode_page_token(token, active_only=False) is None
        assert not token


@pytest.mark.parametrize(
    "position", ["[false,1]", "[false,true,2]", '[false,1e400,"x"]', f'[false,{10**30},"x"]', "{}", "null"]
)
def test_a_token_that_was_tinkered_with_is_refused(position: str) -> None:
    with pytest.raises(InvalidInputError):
        decode_page_token(base64.urlsafe_b64encode(position.encode()).decode(), active_only=False)


def test_page_sizes_are_bounded() -> None:
    assert [page_limit(size) for size in (0, 1, 1000, 5000)] == [100, 1, 1000, 1000]
    with pytest.raises(InvalidInputError, match="negative"):
        page_limit(-1)

"""Tokens of pages hold what a row is ordered by, and nothing that a caller made up gets into a query."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.errors import InvalidInputError
from carnet.filtering.ordering import read_order
from carnet.serving.paging import encode_page_token
from carnet_server.search.paging import Order, decode_position, encode_position

ORDER = Order.of(read_order("metrics.x, labels.y desc, version, create_time"))
MOMENT = datetime(2026, 3, 1, 12, 30, 0, 5, tzinfo=UTC)


@given(
    st.none() | st.floats(allow_nan=False, allow_infinity=False, min_value=-1e18, max_value=1e18),
    st.none() | st.text(),
    st.integers(1, 2**31 - 1),
)
def test_a_position_is_the_same_after_its_token(number, text, version):
    position = [number, text, version, MOMENT, 7]
    assert decode_position(encode_position("q", position), "q", ORDER) == position


def test_the_first_page_has_no_position():
    assert decode_position("", "q", ORDER) is None


@pytest.mark.parametrize(
    "values",
    [
        [],
        [1.0, "a", 1, "2026-03-01T00:00:00Z"],
        [1.0, "a", 1, "2026-03-01T00:00:00Z", 7, 8],
        ["1", "a", 1, "2026-03-01T00:00:00Z", 7],
        [1.0, 2, 1, "2026-03-01T00:00:00Z", 7],
        [1.0, "a", None, "2026-03-01T00:00:00Z", 7],
        [1.0, "a", 1.5, "2026-03-01T00:00:00Z", 7],
        [1.0, "a", True, "2026-03-01T00:00:00Z", 7],
        [1.0, "a", 2**63, "2026-03-01T00:00:00Z", 7],
        [float("nan"), "a", 1, "2026-03-01T00:00:00Z", 7],
        [float("inf"), "a", 1, "2026-03-01T00:00:00Z", 7],
        [1.0, "a", 1, "yesterday", 7],
        [1.0, "a", 1, 5, 7],
        [1.0, {"a": 1}, 1, "2026-03-01T00:00:00Z", 7],
        {"a": 1},
        5,
    ],
)
def test_a_token_of_other_values_is_refused(values):
    token = encode_page_token("q", (json.dumps(values),))
    with pytest.raises(InvalidInputError, match="page_token"):
        decode_position(token, "q", ORDER)


def test_a_token_of_what_is_no_json_or_of_another_query_is_refused():
    for token in (encode_page_token("q", ("[" * 100_000,)), encode_page_token("other", ("[]",)), "é"):
        with pytest.raises(InvalidInputError, match="page_token"):
            decode_position(token, "q", ORDER)

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.errors import InvalidInputError
from carnet.signing.times import format_time, parse_foreign_time, parse_time


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_moment_is_read_back_as_it_was_written(moment: datetime) -> None:
    assert parse_time(format_time(moment)) == moment


def test_moments_are_written_in_utc_and_without_empty_microseconds() -> None:
    moment = datetime(2026, 3, 1, 13, 30, tzinfo=timezone(timedelta(hours=1)))

    assert format_time(moment) == "2026-03-01T12:30:00Z"
    assert format_time(moment.replace(microsecond=5)) == "2026-03-01T12:30:00.000005Z"
    assert parse_time("2026-03-01T12:30:00.5Z").microsecond == 500_000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-03-01",
        "2026-03-01T12:30:00",
        "2026-03-01T12:30:00+00:00",
        "2026-03-01t12:30:00z",
        "2026-13-01T12:30:00Z",
        "2026-03-01T12:30:60Z",
        "2026-03-01T12:30:00.1234567Z",
        "2026-03-01T12:30:00Z\n",
        "٢٠٢٦-03-01T12:30:00Z",
    ],
)
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        parse_time(text)


def test_a_moment_without_zone_is_refused() -> None:
    with pytest.raises(InvalidInputError):
        format_time(datetime(2026, 3, 1))


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("2026-03-01T12:30:00Z", datetime(2026, 3, 1, 12, 30, tzinfo=UTC)),
        ("2026-03-01T13:30:00+01:00", datetime(2026, 3, 1, 12, 30, tzinfo=UTC)),
        ("2026-03-01T07:00:00.123456789-05:30", datetime(2026, 3, 1, 12, 30, 0, 123456, UTC)),
    ],
)
def test_other_tools_moments_are_read_in_any_zone(text: str, read: datetime) -> None:
    assert parse_foreign_time(text) == read
    assert parse_foreign_time(text).tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-03-01",
        "2026-03-01T12:30:00",
        "2026-03-01T12:30:00+1",
        "2026-02-30T12:30:00Z",
        "0001-01-01T00:00:00+10:00",
    ],
)
def test_what_is_no_moment_of_other_tools_either_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        parse_foreign_time(text)

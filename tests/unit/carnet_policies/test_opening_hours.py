from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carnet_policies.opening_hours import is_open, next_boundary, next_opening, zone_of
from carnet_policies.schema_times import DAYS, Period
from tests.support.fuzzing import examples

WEEKDAYS = ["mon", "tue", "wed", "thu", "fri"]
MINUTE = timedelta(minutes=1)


def period(days: list[str], first: str, last: str) -> Period:
    return Period.model_validate_json(json.dumps({"days": days, "from": first, "until": last}))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


OFFICE = period(WEEKDAYS, "09:00", "16:00")


@pytest.mark.parametrize(
    ("moment", "opens"),
    [
        ("2026-01-15T08:00:00+00:00", "2026-01-15T08:00:00+00:00"),
        ("2026-01-15T14:59:59+00:00", "2026-01-15T14:59:59+00:00"),
        ("2026-01-15T15:00:00+00:00", "2026-01-16T08:00:00+00:00"),
        ("2026-01-15T07:59:59+00:00", "2026-01-15T08:00:00+00:00"),
        ("2026-01-16T15:00:00+00:00", "2026-01-19T08:00:00+00:00"),
        ("2026-07-15T06:59:00+00:00", "2026-07-15T07:00:00+00:00"),
        ("2026-03-27T15:00:00+00:00", "2026-03-30T07:00:00+00:00"),
    ],
)
def test_an_office_in_berlin(moment: str, opens: str) -> None:
    assert next_opening([OFFICE], zone_of("Europe/Berlin"), at(moment)) == at(opens)


@pytest.mark.parametrize(
    ("hours", "moment", "opens"),
    [
        # The clock jumps from 02:00 to 03:00 on 29 March 2026: hours in between begin with it.
        (("02:30", "04:00"), "2026-03-29T00:00:00+01:00", "2026-03-29T03:00:00+02:00"),
        (("02:00", "02:50"), "2026-03-29T00:00:00+01:00", "2026-04-05T02:00:00+02:00"),
        # It goes back from 03:00 to 02:00 on 25 October 2026: an hour comes twice.
        (("02:10", "02:20"), "2026-10-25T02:20:00+02:00", "2026-10-25T02:10:00+01:00"),
        (("01:50", "02:10"), "2026-10-25T02:10:00+02:00", "2026-10-25T02:00:00+01:00"),
        (("23:00", "24:00"), "2026-10-25T12:00:00+01:00", "2026-10-25T23:00:00+01:00"),
    ],
)
def test_the_clock_on_the_wall_counts(hours: tuple[str, str], moment: str, opens: str) -> None:
    assert next_opening([period(["sun"], *hours)], zone_of("Europe/Berlin"), at(moment)) == at(opens)


@pytest.mark.parametrize(
    ("hours", "moment", "boundary"),
    [
        (("09:00", "16:00"), "2026-10-18T10:00:00+02:00", "2026-10-18T16:00:00+02:00"),
        (("09:00", "24:00"), "2026-10-18T10:00:00+02:00", "2026-10-19T00:00:00+02:00"),
        (("01:00", "02:30"), "2026-03-29T01:30:00+01:00", "2026-03-29T03:00:00+02:00"),
        (("02:00", "02:30"), "2026-10-25T02:10:00+02:00", "2026-10-25T02:30:00+02:00"),
        (("02:00", "02:30"), "2026-10-25T02:10:00+01:00", "2026-10-25T02:30:00+01:00"),
    ],
)
def test_an_open_window_has_a_boundary(hours: tuple[str, str], moment: str, boundary: str) -> None:
    periods, zone = [period(["sun"], *hours)], zone_of("Europe/Berlin")
    assert is_open(periods, zone, at(moment))
    assert next_boundary(periods, zone, at(moment)) == at(boundary)


def test_the_earliest_of_several_periods_counts() -> None:
    periods = [period(["fri"], "09:00", "12:00"), period(["thu"], "20:00", "21:00")]
    assert next_opening(periods, zone_of("UTC"), at("2026-01-15T12:00:00+00:00")) == at(
        "2026-01-15T20:00:00+00:00"
    )


def test_a_period_without_a_minute_never_opens() -> None:
    assert (
        next_opening([period(["mon"], "09:00", "09:00")], zone_of("UTC"), at("2026-01-15T12:00:00+00:00"))
        is None
    )


CLOCKS = st.integers(0, 24 * 4).map(lambda quarter: f"{quarter // 4:02}:{quarter % 4 * 15:02}")
PERIODS = st.lists(
    st.builds(
        lambda days, ends: period(days, min(ends), max(ends)),
        st.lists(st.sampled_from(DAYS), min_size=1, max_size=3, unique=True),
        st.tuples(CLOCKS, CLOCKS),
    ),
    min_size=1,
    max_size=2,
)
# Days around which clocks are set, and others.
MOMENTS = st.builds(
    lambda day, minutes: datetime.fromisoformat(day).replace(tzinfo=UTC) + minutes * MINUTE,
    st.sampled_from(["2026-03-28", "2026-10-24", "2026-04-04", "2026-10-03", "2026-11-01", "2026-06-10"]),
    st.integers(0, 2 * 24 * 60),
)


@settings(deadline=None, max_examples=examples(60))
@given(
    PERIODS,
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"]),
    MOMENTS,
)
def test_it_opens_at_the_first_open_minute(periods: Any, name: str, now: datetime) -> None:
    zone = zone_of(name)
    opens = next_opening(periods, zone, now)
    if is_open(periods, zone, now):
        last = next_boundary(periods, zone, now) - MINUTE
        assert all(
            is_open(periods, zone, now + each * MINUTE) for each in range(int((last - now) / MINUTE) + 1)
        )
    limit = now + timedelta(days=3)
    expected = now
    while not is_open(periods, zone, expected) and expected < limit:
        expected += MINUTE
    if expected < limit:
        assert opens == expected
    else:
        assert opens is None or (opens >= limit and is_open(periods, zone, opens))

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.canonical import canonical_json
from carnet.errors import CarnetError, InvalidInputError
from carnet.translog.refused_calls import NAMESPACES_MAX, RefusedCalls, parse_refused_calls

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
METHOD = "carnet.registry.v1.AdmissionService/Admit"
NAMES = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)
MOMENTS = st.datetimes(min_value=datetime(2020, 1, 1), timezones=st.just(UTC))


def calls(**changes: Any) -> RefusedCalls:
    values = {"method": METHOD, "reason": "STALE_EPOCH", "count": 3, "first_at": NOON, "last_at": NOON}
    return RefusedCalls(**values | changes)


def written(**changes: Any) -> bytes:
    document = json.loads(calls(namespaces=("risk",)).to_bytes()) | changes
    return canonical_json({key: value for key, value in document.items() if value is not None})


@given(
    count=st.integers(1, 2**53 - 1),
    times=st.tuples(MOMENTS, MOMENTS).map(sorted),
    names=st.sets(NAMES, max_size=NAMESPACES_MAX),
)
def test_what_is_written_reads_back_equal(count: int, times: list[datetime], names: set[str]) -> None:
    said = calls(count=count, first_at=times[0], last_at=times[1], namespaces=tuple(sorted(names)))
    assert parse_refused_calls(said.to_bytes()) == said
    assert said.subject == ({"namespace": next(iter(names))} if len(names) == 1 else {})


def test_its_line_names_the_call_the_reason_and_how_often() -> None:
    assert calls().summary == "AdmissionService/Admit STALE_EPOCH x3"
    assert calls(method="*", reason="*").summary == "* * x3"


def test_times_are_written_in_utc() -> None:
    east = timezone(timedelta(hours=2))
    said = calls(first_at=NOON.astimezone(east), last_at=NOON.astimezone(east))
    assert said == calls()
    assert json.loads(said.to_bytes())["last_at"] == "2026-03-01T12:00:00Z"


@pytest.mark.parametrize(
    "changes",
    [
        {"count": 0},
        {"count": -1},
        {"count": True},
        {"count": 1.5},
        {"count": 2**53},
        {"method": ""},
        {"method": "Admit"},
        {"method": "a/b c"},
        {"method": "/carnet.A/B"},
        {"reason": "no reason"},
        {"reason": "X" * 65},
        {"last_at": NOON - timedelta(seconds=1)},
        {"first_at": datetime(2026, 3, 1, 12, 0)},
        {"namespaces": ("b", "a")},
        {"namespaces": ("a", "a")},
        {"namespaces": tuple(f"n{index}" for index in range(NAMESPACES_MAX + 1))},
        {"namespaces": ("Not A Name",)},
    ],
    ids=str,
)
def test_what_cannot_be_said_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(CarnetError):
        calls(**changes)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b" " + written(),
        written(more=1),
        written(count=None),
        written(count="3"),
        written(count=0),
        written(schema="carnet.refused-calls/v2"),
        written(method=7),
        written(reason=[]),
        written(first_at="yesterday"),
        written(first_at=5),
        written(first_at="2026-03-01T12:00:00"),
        written(first_at="2026-03-01T12:00:00.000000Z"),
        written(first_at="2026-03-01T12:00:01Z"),
        written(namespaces=[]),
        written(namespaces=[1]),
        written(namespaces="risk"),
        written(namespaces=["Not A Name"]),
    ],
    ids=repr,
)
def test_any_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidInputError):
        parse_refused_calls(data)

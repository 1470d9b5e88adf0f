from __future__ import annotations

import math
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet_policies.sequential_rates import evidence_above_other_rate, evidence_above_rate


def chance(events: int, count: int, rate: float) -> float:
    return math.comb(count, events) * rate**events * (1 - rate) ** (count - events)


@pytest.mark.parametrize("limit", [0.5, 0.05, 0.01, 0.001])
@pytest.mark.parametrize("share", [1.0, 0.5])
def test_the_chance_of_a_false_alarm_is_bounded_over_all_looks(limit: float, share: float) -> None:
    # Every path of 400 samples with a look after each, counted and not drawn.
    rate = limit * share
    paths, alarmed = {0: 1.0}, 0.0
    for count in range(1, 401):
        grown: defaultdict[int, float] = defaultdict(float)
        for events, weight in paths.items():
            grown[events] += weight * (1 - rate)
            grown[events + 1] += weight * rate
        paths = {}
        for events, weight in grown.items():
            if evidence_above_rate(events, count, limit) >= 1 / 0.2:
                alarmed += weight
            elif weight > 1e-15:
                paths[events] = weight
    assert 0 <= alarmed <= 0.2
    assert share < 1 or limit < 0.01 or alarmed > 0.02


@pytest.mark.parametrize("rate", [0.5, 0.1, 0.02])
@pytest.mark.parametrize(("slope", "offset"), [(1.0, 0.0), (1.2, 0.0), (1.0, 0.05), (0.9, 0.1)])
@pytest.mark.parametrize(("count", "other_count"), [(20, 20), (4, 60), (60, 4)])
def test_against_another_rate_the_evidence_counts_for_no_more_than_chance(
    rate: float, slope: float, offset: float, count: int, other_count: int
) -> None:
    limit = min(slope * rate + offset, 1.0)
    total = alarmed = 0.0
    for events in range(count + 1):
        for others in range(other_count + 1):
            weight = chance(events, count, limit) * chance(others, other_count, rate)
            evidence = evidence_above_other_rate(
                events, count, others, other_count, slope=slope, offset=offset
            )
            total += weight * evidence if evidence > 1 else 0.0
            alarmed += weight if evidence >= 10 else 0.0
    assert total <= 1
    assert alarmed <= 0.1


@pytest.mark.parametrize(
    ("events", "count", "others", "other_count", "slope", "offset"),
    [
        (40, 1000, 10, 1000, 1.0, 0.0),
        (40, 1000, 10, 1000, 1.5, 0.0),
        (90, 1000, 10, 1000, 1.0, 0.02),
        (9, 100, 100, 9000, 1.0, 0.0),
        (200, 9000, 0, 1000, 1.0, 0.0),
        (20, 30, 0, 300, 0.8, 0.2),
        (30, 30, 0, 30, 1.0, 0.0),
        (1900, 2000, 1600, 2000, 0.9, 0.1),
    ],
)
def test_the_evidence_is_the_least_over_all_rates_that_the_other_may_have(
    events: int, count: int, others: int, other_count: int, slope: float, offset: float
) -> None:
    def against(rate: float) -> float:
        here = evidence_above_rate(events, count, slope * rate + offset)
        # That a rate is below another is that its contrary is above.
        return here * evidence_above_rate(other_count - others, other_count, 1 - rate)

    found = evidence_above_other_rate(events, count, others, other_count, slope=slope, offset=offset)
    least = min(against(step / 5000) for step in range(5001))
    assert 1 < found <= least * (1 + 1e-9)
    assert found == pytest.approx(least, rel=0.2)


def test_the_first_errors_of_all_are_found_soon_and_one_is_not_enough() -> None:
    assert evidence_above_other_rate(1, 100, 0, 10_000) < 20
    assert evidence_above_other_rate(10, 100, 0, 10_000) > 1000


@given(events=st.integers(0, 200), limit=st.floats(0, 1))
def test_more_events_are_never_less_evidence(events: int, limit: float) -> None:
    less, more = (evidence_above_rate(each, 201, limit) for each in (events, events + 1))
    assert 0 <= less < more


@pytest.mark.parametrize("limit", [-1.0, 0.0, 1.0, 2.0])
def test_a_limit_that_no_rate_passes_is_never_passed(limit: float) -> None:
    assert (evidence_above_rate(100, 100, limit) > 100) is (limit <= 0)
    assert evidence_above_rate(0, 100, limit) <= 1


@pytest.mark.parametrize("slope", [0.0, -0.5])
def test_a_limit_that_does_not_grow_with_the_other_rate_is_one(slope: float) -> None:
    assert evidence_above_other_rate(90, 100, 5, 100, slope=slope, offset=1.0 - slope) < 1
    assert evidence_above_other_rate(90, 100, 50, 100, slope=slope, offset=0.5) > 100

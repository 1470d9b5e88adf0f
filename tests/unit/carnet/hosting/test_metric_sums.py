"""Observations are summed up as they are, from any thread, within bounds."""

from __future__ import annotations

import math
import threading
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.errors import InvalidInputError
from carnet.hosting.metric_sums import MAX_SERIES, MetricSums

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(seconds=10)


def summed(*values, metric="latency_ms", version=1, direction="lower_is_better"):
    sums = MetricSums(NOW)
    for value in values:
        sums.add(version, metric, value, direction)
    return sums


@given(values=st.lists(st.floats(-1e12, 1e12), min_size=1))
def test_a_window_has_the_sums_of_its_values(values):
    (point,) = summed(*values).take(LATER)
    assert point.count == len(values)
    assert math.isclose(point.sum, math.fsum(values), rel_tol=1e-6, abs_tol=1e-2)
    assert point.sum_of_squares >= point.sum**2 / point.count
    assert (point.started_at, point.ended_at, point.direction) == (NOW, LATER, "lower_is_better")


def test_a_window_begins_where_the_last_one_ended():
    sums = summed(1.0)
    sums.take(LATER)
    assert sums.take(LATER) == []
    sums.add(2, "latency_ms", 4.0, "")
    (point,) = sums.take(LATER - timedelta(seconds=3))
    assert point.started_at == point.ended_at == LATER
    assert (point.version, point.sum, point.direction) == (2, 4.0, "lower_is_better")


def test_versions_and_metrics_are_kept_apart():
    sums = summed(1.0)
    sums.add(2, "latency_ms", 3.0, "")
    sums.add(1, "error", 0.0, "")
    assert {(each.version, each.metric): each.sum for each in sums.take(LATER)} == {
        (1, "latency_ms"): 1.0,
        (2, "latency_ms"): 3.0,
        (1, "error"): 0.0,
    }


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e200])
def test_what_cannot_be_summed_is_refused_and_changes_nothing(value):
    sums = summed(1.0)
    with pytest.raises(InvalidInputError, match="value"):
        sums.add(1, "latency_ms", value, "")
    assert sums.take(LATER)[0].count == 1


def test_names_and_directions_are_checked():
    sums = summed(1.0)
    for metric, direction, field in (
        ("9lives", "", "metric"),
        ("a" * 65, "", "metric"),
        ("latency_ms", "higher_is_better", "direction"),
        ("error", "sideways", "direction"),
    ):
        with pytest.raises(InvalidInputError) as refused:
            sums.add(1, metric, 1.0, direction)
        assert refused.value.metadata == {"field": field}
    assert [each.metric for each in sums.take(LATER)] == ["latency_ms"]


def test_memory_is_bounded_and_what_is_lost_is_counted():
    sums = MetricSums(NOW)
    for number in range(MAX_SERIES + 7):
        sums.add(1, f"metric-{number}", 1.0, "")
    assert (len(sums.take(LATER)), sums.dropped_count) == (MAX_SERIES, 7)


def test_no_observation_is_lost_between_threads():
    sums, taken = MetricSums(NOW), []

    def observe():
        for _ in range(3000):
            sums.add(1, "latency_ms", 2.0, "")

    threads = [threading.Thread(target=observe) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        taken += sums.take(LATER)
    for thread in threads:
        thread.join()
    taken += sums.take(LATER)
    assert (sum(each.count for each in taken), sum(each.sum for each in taken)) == (12_000, 24_000.0)

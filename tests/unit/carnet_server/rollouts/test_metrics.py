"""A batch is taken whole or not at all, and is added up by phase and by window."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.errors import AlreadyExistsError, InvalidInputError, NotFoundError
from carnet_server.rollouts.metrics import (
    CLOCK_SKEW_MICROSECONDS,
    MAX_METRICS,
    MetricPoint,
    add_up,
    digest_of,
    microseconds,
)
from tests.support.rollouts import MINUTE
from tests.unit.carnet_server.rollouts.test_transitions import START

FUTURE = CLOCK_SKEW_MICROSECONDS + 1
BAD = {
    "another version": ({"version": 3}, "version"),
    "no metric": ({"metric": ""}, "metric"),
    "a metric with a space": ({"metric": "error rate"}, "metric"),
    "a metric that begins with a digit": ({"metric": "9lives"}, "metric"),
    "a long metric": ({"metric": "x" * 65}, "metric"),
    "no samples": ({"sample_count": 0}, "count"),
    "fewer than none": ({"sample_count": -1}, "count"),
    "a sum that is none": ({"total": math.nan}, "sum"),
    "a sum without end": ({"total": math.inf}, "sum"),
    "a sum that nothing could be added to": ({"total": -1e151, "total_of_squares": 1e300}, "sum"),
    "squares that are none": ({"total_of_squares": math.nan}, "sum_of_squares"),
    "squares without end": ({"total_of_squares": math.inf}, "sum_of_squares"),
    "negative squares": ({"total": 0.0, "total_of_squares": -1.0}, "sum_of_squares"),
    "squares that are too small": (
        {"total": 100.0, "total_of_squares": 9.9, "sample_count": 1000},
        "sum_of_squares",
    ),
    "no beginning": ({"start": None}, "start_time"),
    "no end": ({"end": None}, "end_time"),
    "an end before the beginning": ({"end": -1}, "end_time"),
    "from before the rollout": ({"start": -FUTURE}, "start_time"),
    "from the future": ({"end": FUTURE}, "end_time"),
    "the wrong way": ({"direction": "higher_is_better"}, "direction"),
    "an unknown metric without a way": ({"metric": "other"}, "direction"),
}


@pytest.mark.parametrize(("changes", "field"), BAD.values(), ids=BAD.keys())
async def test_a_batch_with_one_point_that_is_none_is_refused_whole(house, changes, field):
    rollout = await house.begin(0.1)
    now = microseconds(house.clock())
    changes = changes | {
        each: now + changes[each] for each in ("start", "end") if changes.get(each) is not None
    }
    good = house.measured(2, 0.1)
    with pytest.raises(InvalidInputError) as caught:
        await house.report(rollout, good, good, good._replace(**changes), good)
    assert caught.value.metadata["field"] == f"points[2].{field}"
    assert caught.value.message.startswith(f"points[2].{field}: ")
    for table in ("rollout_totals", "rollout_windows", "rollout_metrics", "rollout_reports"):
        assert await house.count(table) == 0


async def test_batches_that_are_too_large_or_nameless_are_refused(house):
    rollout = await house.begin(0.1)
    point = house.measured(2, 0.1)
    for points, request_id, field in (
        ((), "r", "points"),
        ((point,) * 1001, "r", "points"),
        ((point,), "x" * 65, "request_id"),
        ((point,), "\n", "request_id"),
    ):
        with pytest.raises(InvalidInputError) as caught:
            await house.report(rollout, *points, request_id=request_id)
        assert caught.value.metadata["field"] == field
    with pytest.raises(InvalidInputError, match="request_id: 0 characters"):
        await house.rollouts.report(
            house.caller("spiffe://carnet.test/m"), rollout.name, request_id="", points=[point]
        )
    with pytest.raises(NotFoundError):
        await house.report(replace(rollout, rollout=7), point)


async def test_a_rollout_has_as_many_metrics_as_it_may_and_each_its_way(house):
    rollout = await house.begin((0.1, timedelta(hours=1)))

    def points(names, direction="higher_is_better"):
        return [house.measured(2, 1.0, metric=each, deviation=1.0, direction=direction) for each in names]

    names = [f"m{number}" for number in range(MAX_METRICS)]
    with pytest.raises(InvalidInputError, match="51 metrics; 50 at most"):
        await house.report(rollout, *points([*names, "one-more"]))
    await house.report(rollout, *points(names))
    await house.report(rollout, *points(names, direction=""))
    with pytest.raises(InvalidInputError, match="51 metrics; 50 at most"):
        await house.report(rollout, *points(["one-more"]))
    with pytest.raises(InvalidInputError, match="m0 is higher_is_better in this rollout"):
        await house.report(rollout, *points(["m0"], direction="lower_is_better"))
    view = await house.rollouts.get(rollout.name)
    assert {each.metric: each.direction for each in view.figures} == dict.fromkeys(names, "higher_is_better")
    assert {each.challenger.count for each in view.figures} == {2000}


async def test_the_bounds_of_time_are_a_minute_wide(house):
    rollout = await house.begin((0.1, timedelta(hours=1)))
    now = microseconds(house.clock())
    point = house.measured(2, 0.1)
    edge = point._replace(start=now - CLOCK_SKEW_MICROSECONDS, end=now + CLOCK_SKEW_MICROSECONDS)
    assert (await house.report(rollout, edge)).accepted_count == 1


async def test_an_id_belongs_to_its_caller(house):
    rollout = await house.begin((0.1, timedelta(hours=1)))
    point = house.measured(2, 0.1)
    for subject, other in (("a", point), ("b", point._replace(sample_count=1001, total=100.1))):
        caller = house.caller(f"spiffe://carnet.test/{subject}")
        told = await house.rollouts.report(caller, rollout.name, request_id="1", points=[other])
        assert told.accepted_count == 1
    with pytest.raises(AlreadyExistsError):
        await house.report(rollout, point, request_id="1") and await house.report(
            rollout, other, request_id="1"
        )


# --- sums -------------------------------------------------------------------------------------------------------

points = st.builds(
    MetricPoint,
    version=st.sampled_from([1, 2]),
    metric=st.sampled_from(["errors", "latency"]),
    start=st.integers(0, 300).map(lambda seconds: microseconds(START) + seconds * 1_000_000),
    end=st.none(),
    sample_count=st.integers(1, 1000),
    total=st.integers(-1000, 1000).map(float),
    total_of_squares=st.integers(0, 10**6).map(float),
    direction=st.just(""),
)


@given(st.lists(points, max_size=60), st.lists(st.integers(1, 300), max_size=3).map(sorted))
def test_nothing_is_lost_or_counted_twice_when_a_batch_is_added_up(batch, steps):
    batch = [each._replace(end=each.start) for each in batch]
    phases = [START, *(START + timedelta(seconds=each) for each in steps)]
    sums = add_up(batch, phases, MINUTE)
    for found in (sums.totals, sums.windows):
        assert sum(each[0] for each in found.values()) == sum(each.sample_count for each in batch)
        assert sum(each[1] for each in found.values()) == sum(each.total for each in batch)
        assert sum(each[2] for each in found.values()) == sum(each.total_of_squares for each in batch)
    for phase, version, metric in sums.totals:
        ends = microseconds(phases[phase + 1]) if phase + 1 < len(phases) else math.inf
        assert any(
            (each.version, each.metric) == (version, metric)
            and each.start < ends
            and (phase == 0 or each.start >= microseconds(phases[phase]))
            for each in batch
        )
    assert all(at % 60_000_000 == 0 for _, _, at in sums.windows)


def test_digests_tell_batches_apart():
    one = MetricPoint(1, "errors", 0, 1, 2, 1.0, 1.0, "")
    others = [
        one._replace(**{field: value})
        for field, value in (
            ("version", 2),
            ("metric", "error"),
            ("start", 1),
            ("end", 2),
            ("sample_count", 3),
            ("total", math.nextafter(1.0, 2)),
            ("total_of_squares", math.nextafter(1.0, 2)),
            ("direction", "lower_is_better"),
        )
    ]
    assert len({digest_of(each) for each in ([one], [one, one], *([other] for other in others))}) == 10

"""What guardrails promise of whole rollouts: seeded windows of samples, with a look after each of up to 100."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from carnet_policies.guardrails import GuardrailStatus, Samples, judge_guardrails
from carnet_policies.schema_rollouts import GuardrailDemand

if TYPE_CHECKING:
    from collections.abc import Iterator

RUNS, LOOKS, RATE = 200, 100, 0.05
# A rate of 5% gives more than 19 of 200 once in a thousand times; a test that forgets its looks gives 60.
ALLOWED = 19
HIGHER = {"direction": "higher_is_better"}

Draw = "Callable[[np.random.Generator, tuple[int, int]], np.ndarray]"


def rate(value: float) -> Draw:
    return lambda generator, shape: (generator.random(shape) < value).astype(float)


def normal(mean: float, deviation: float) -> Draw:
    return lambda generator, shape: generator.normal(mean, deviation, shape)


def skewed(mean: float) -> Draw:
    return lambda generator, shape: generator.lognormal(math.log(mean) - 0.5, 1.0, shape)


def windows(generator: np.random.Generator, draw: Draw, size: int, looks: int) -> Iterator[Samples]:
    values = draw(generator, (looks, size))
    totals, squares = values.sum(1).cumsum().tolist(), (values * values).sum(1).cumsum().tolist()
    for look, (total, square) in enumerate(zip(totals, squares, strict=True), 1):
        yield Samples(look * size, total, square)


def samples_until_breach(
    generator: np.random.Generator,
    challenger: Draw,
    champion: Draw,
    sizes: tuple[int, int],
    guardrail: dict[str, Any],
    *,
    looks: int = LOOKS,
) -> float:
    fields = {"rule": "r", "metric": "m", "direction": "lower_is_better", "false_alarm_rate": RATE}
    demand = GuardrailDemand.model_validate(fields | guardrail)
    sums = zip(
        windows(generator, challenger, sizes[0], looks),
        windows(generator, champion, sizes[1], looks),
        strict=True,
    )
    for ours, theirs in sums:
        (verdict,) = judge_guardrails([demand], {"m": ours}, {"m": theirs}, phases=1)
        if verdict.status is GuardrailStatus.BREACHED:
            return ours.count
    return math.inf


EQUAL, CANARY, LATE = (20, 20), (10, 190), (190, 10)


@pytest.mark.parametrize(
    ("challenger", "champion", "sizes", "guardrail"),
    [
        (rate(0.5), rate(0.5), EQUAL, {"max_regression": 0.0}),
        (rate(0.05), rate(0.05), CANARY, {"max_regression": 0.0}),
        (rate(0.01), rate(0.01), EQUAL, {"max_regression": 0.0, "min_samples": 20}),
        (rate(0.012), rate(0.01), LATE, {"max_regression": "20%"}),
        (rate(0.01), rate(0.01), EQUAL, {"at_most": 0.01}),
        (rate(0.01), rate(0.01), EQUAL, {**HIGHER, "at_least": 0.01}),
        (normal(100, 10), normal(100, 10), EQUAL, {"max_regression": 0.0}),
        (normal(100, 10), normal(100, 10), (2, 2), {"max_regression": 0.0, "min_samples": 4}),
        (normal(120, 12), normal(100, 10), CANARY, {"max_regression": "20%"}),
        (skewed(100), skewed(100), EQUAL, {"max_regression": 0.0}),
        (skewed(120), skewed(100), CANARY, {"max_regression": "20%"}),
        (skewed(100), skewed(100), LATE, {"max_regression": 0.0}),
        (skewed(100), skewed(100), CANARY, {**HIGHER, "max_regression": 0.0}),
    ],
)
def test_a_challenger_that_keeps_to_it_is_seldom_stopped_however_often_one_looks(
    challenger: Draw, champion: Draw, sizes: tuple[int, int], guardrail: dict[str, Any]
) -> None:
    generator = np.random.default_rng(20260115)
    found = [samples_until_breach(generator, challenger, champion, sizes, guardrail) for _ in range(RUNS)]
    assert sum(each < math.inf for each in found) <= ALLOWED


def test_a_test_that_forgets_its_looks_would_be_seen_here() -> None:
    generator = np.random.default_rng(20260115)
    alarms = 0
    for _ in range(RUNS):
        sums = zip(*(windows(generator, normal(100, 10), 20, LOOKS) for _ in range(2)), strict=True)
        alarms += any(
            ours.mean - theirs.mean
            > 1.645 * math.sqrt(ours.variance / ours.count + theirs.variance / theirs.count)
            for ours, theirs in sums
            if ours.count >= 100
        )
    assert alarms > 2 * ALLOWED


@pytest.mark.parametrize(
    ("challenger", "champion", "sizes", "guardrail", "expected"),
    [
        (rate(0.04), rate(0.02), (100, 100), {"max_regression": 0.0}, 2600),
        (rate(0.04), rate(0.02), (50, 950), {"max_regression": 0.0}, 1300),
        (rate(0.04), rate(0.02), (100, 100), {"at_most": 0.02}, 1000),
        (rate(0.80), rate(0.95), (10, 10), {**HIGHER, "max_regression": 0.0}, 200),
        (rate(0.5), rate(0.02), (2, 2), {"max_regression": 0.0, "min_samples": 10}, 40),
        (normal(103, 10), normal(100, 10), (20, 20), {"max_regression": 0.0}, 400),
        (skewed(150), skewed(100), (50, 50), {"max_regression": 0.0}, 450),
    ],
)
def test_a_challenger_that_is_worse_is_stopped_soon(
    challenger: Draw, champion: Draw, sizes: tuple[int, int], guardrail: dict[str, Any], expected: int
) -> None:
    generator = np.random.default_rng(20260115)
    strict = guardrail | {"false_alarm_rate": 0.01}
    found = [samples_until_breach(generator, challenger, champion, sizes, strict) for _ in range(25)]
    assert np.median(found) <= expected

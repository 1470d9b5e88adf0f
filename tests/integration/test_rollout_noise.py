"""How often noise alone sends a challenger back: the control of the rollouts that are sent back for a reason.

Both versions are as good as each other. What hosts observe goes the way of real figures: summed up as the
reporter does, added up by windows and phases as the registry does, and judged after each report.
"""

from __future__ import annotations

import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from math import comb

import numpy as np
import pytest

from carnet.hosting.metric_sums import MetricSums
from carnet_policies.guardrails import GuardrailStatus, Samples
from carnet_policies.schema_rollouts import GuardrailDemand
from carnet_server.rollouts.metrics import MetricPoint, add_up, microseconds
from carnet_server.rollouts.recent import SPANS, judge
from tests.unit.carnet_server.rollouts.test_transitions import MINUTE, START, rollout

RUNS = 200
REPORTS = 25
SAMPLES = {1: 90, 2: 10}
RATE = 0.05
MEAN_LATENCY = float(np.exp(2.0 + 0.5**2 / 2))
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def guardrail(rule: str, metric: str, **bound) -> GuardrailDemand:
    return GuardrailDemand.model_validate(
        {
            "rule": rule,
            "metric": metric,
            "direction": "lower_is_better",
            "min_samples": 50,
            "false_alarm_rate": RATE,
            **bound,
        }
    )


# None has anything to spare: what is as good as the champion stands on the very edge.
GUARDRAILS = (
    guardrail("errors", "error_rate", max_regression=0),
    guardrail("latency", "latency_ms", max_regression="0%"),
    guardrail("bound", "latency_ms", at_most=MEAN_LATENCY),
)
HELD = rollout(guardrails=GUARDRAILS, shares=(0.1,), bake=timedelta(0))


def observed(generator: np.random.Generator, version: int, *, slower: float) -> dict[str, np.ndarray]:
    """What a host observes of a version in a window: skewed latencies, and rare errors."""
    count = SAMPLES[version]
    latency = generator.lognormal(2.0, 0.5, count) * (slower if version == 2 else 1.0)
    return {"error_rate": generator.random(count) < 0.03, "latency_ms": latency}


class Figures:
    """The figures of a rollout, on their way from a host to a judgement."""

    def __init__(self) -> None:
        self._sums, self._now = MetricSums(START), START
        self._totals: dict[tuple[int, str], Samples] = {}
        self._windows: list[tuple[datetime, int, str, Samples]] = []

    def observe(self, version: int, metric: str, values: np.ndarray) -> None:
        for value in values:
            self._sums.add(version, metric, float(value), "lower_is_better")

    def report(self) -> set[str]:
        """Send the window, and return which guardrails are breached then."""
        self._now += MINUTE
        points = [
            MetricPoint(
                each.version,
                each.metric,
                microseconds(each.started_at),
                microseconds(each.ended_at),
                each.count,
                each.sum,
                each.sum_of_squares,
                each.direction,
            )
            for each in self._sums.take(self._now)
        ]
        added = add_up(points, HELD.phase_times, MINUTE)
        for (_, version, metric), (count, total, squares) in added.totals.items():
            before = self._totals.get((version, metric), Samples())
            self._totals[version, metric] = before + Samples(int(count), total, squares)
        for (version, metric, at), (count, total, squares) in added.windows.items():
            began = EPOCH + timedelta(microseconds=at)
            self._windows.append((began, version, metric, Samples(int(count), total, squares)))
        challenger, champion = (
            {metric: samples for (of, metric), samples in self._totals.items() if of == version}
            for version in (2, 1)
        )
        lately = [each for each in self._windows if each[0] >= self._now - (max(SPANS) + 1) * MINUTE]
        verdicts = judge(HELD, challenger, champion, lately)
        return {each.rule for each in verdicts if each.status is GuardrailStatus.BREACHED}


def breached(seed: int, *, slower: float = 1.0) -> set[str]:
    """Which guardrails a rollout of so many reports breaches."""
    generator, figures, found = np.random.default_rng(seed), Figures(), set()
    for _ in range(REPORTS):
        for version in SAMPLES:
            for metric, values in observed(generator, version, slower=slower).items():
                figures.observe(version, metric, values)
        found |= figures.report()
    return found


def most_by_chance(runs: int, rate: float) -> int:
    """As many alarms as there are by chance in all but one of ten thousand repetitions."""
    likelihood, alarms = 0.0, -1
    while likelihood < 1 - 1e-4:
        alarms += 1
        likelihood += comb(runs, alarms) * rate**alarms * (1 - rate) ** (runs - alarms)
    return alarms


def test_noise_alone_sends_hardly_any_challenger_back(record_property):
    alarms = Counter(rule for seed in range(RUNS) for rule in breached(seed))
    rates = {each.rule: alarms[each.rule] / RUNS for each in GUARDRAILS}
    record_property("false_alarm_rates", rates)
    sys.stdout.write(f"false alarms in {RUNS} runs of {REPORTS} reports, {RATE:g} allowed: {rates}\n")
    assert max(alarms.values(), default=0) <= most_by_chance(RUNS, RATE)


@pytest.mark.parametrize("seed", range(5))
def test_the_same_reports_find_a_challenger_that_is_a_third_slower(seed):
    assert {"latency", "bound"} <= breached(seed, slower=4 / 3)

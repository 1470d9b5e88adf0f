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
from carnet_policies.guardrails import GuardrailStatus, Samples, judge_guardrails
from carnet_policies.schema_rollouts import RolloutTerms
from carnet_server.rollouts.metrics import MetricPoint, add_up, microseconds

RUNS = 200
REPORTS = 40
SAMPLES = {1: 90, 2: 10}
RATE = 0.05
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
TERMS = RolloutTerms.model_validate_json(
    f"""{{
    "reporting_interval": "1s", "max_silence": "1m",
    "guardrails": [
        {{"rule": "errors", "metric": "error", "direction": "lower_is_better", "max_regression": 0,
          "min_samples": 50, "false_alarm_rate": {RATE}}},
        {{"rule": "latency", "metric": "latency_ms", "direction": "lower_is_better", "max_regression": "0%",
          "min_samples": 50, "false_alarm_rate": {RATE}}},
        {{"rule": "bound", "metric": "latency_ms", "direction": "lower_is_better", "at_most": MEAN,
          "min_samples": 50, "false_alarm_rate": {RATE}}}
    ]}}""".replace("MEAN", repr(float(np.exp(2.0 + 0.5**2 / 2))))
)


def observed(generator: np.random.Generator, version: int, *, slower: float) -> dict[str, np.ndarray]:
    """What a host observes of a version in a window: skewed latencies, and rare errors."""
    count = SAMPLES[version]
    latency = generator.lognormal(2.0, 0.5, count) * (slower if version == 2 else 1.0)
    return {"error": generator.random(count) < 0.03, "latency_ms": latency}


def breached(seed: int, *, slower: float = 1.0) -> set[str]:
    """Which guardrails a rollout of so many reports breaches."""
    generator, sums, now = np.random.default_rng(seed), MetricSums(START), START
    totals: dict[tuple[int, str], Samples] = {}
    found: set[str] = set()
    for _ in range(REPORTS):
        for version in SAMPLES:
            for metric, values in observed(generator, version, slower=slower).items():
                for value in values:
                    sums.add(version, metric, float(value), "lower_is_better")
        now += SECOND
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
            for each in sums.take(now)
        ]
        added = add_up(points, (START,), TERMS.reporting_interval)
        for (_, version, metric), (count, total, squares) in added.totals.items():
            before = totals.get((version, metric), Samples())
            totals[version, metric] = before + Samples(int(count), total, squares)
        challenger, champion = (
            {metric: totals[version, metric] for metric in ("error", "latency_ms")} for version in (2, 1)
        )
        verdicts = judge_guardrails(TERMS.guardrails, challenger, champion, phases=1)
        found |= {each.rule for each in verdicts if each.status is GuardrailStatus.BREACHED}
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
    rates = {each.rule: alarms[each.rule] / RUNS for each in TERMS.guardrails}
    record_property("false_alarm_rates", rates)
    sys.stdout.write(f"false alarms in {RUNS} runs of {REPORTS} reports, {RATE:g} allowed: {rates}\n")
    assert max(alarms.values(), default=0) <= most_by_chance(RUNS, RATE)


@pytest.mark.parametrize("seed", range(5))
def test_the_same_reports_find_a_challenger_that_is_a_third_slower(seed):
    assert {"latency", "bound"} <= breached(seed, slower=4 / 3)

"""What guardrails promise: how seldom they stop a challenger for nothing, and how soon one that is worse.

Whole rollouts are made up, seeded: windows of samples of both versions, with a look after each window, up to
100 of them. A challenger that keeps to its guardrail, or just so, may be stopped in a share of the rollouts
that is the guardrail's own rate at most, whatever the metric and however unequal the shares of traffic. For
challengers that do not, the samples are counted until the guardrail says so, beside those that a test would
need that looks once, knows when, and finds it every second time.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from statistics import NormalDist, median
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.report import Report, Row
from carnet_policies.guardrails import GuardrailStatus, Samples, judge_guardrails
from carnet_policies.schema_rollouts import GuardrailDemand

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOOKS = 100
RATE = 0.01
RUNS, QUICK_RUNS = 5000, 200
DETECTING_RUNS, QUICK_DETECTING_RUNS = 1000, 100
JUDGING_LIMIT_SECONDS = 0.001
_SEED = 20260115


@dataclass(frozen=True)
class Metric:
    """How the samples of one version are distributed.

    Attributes:
        mean: Their mean.
        deviation: Their standard deviation; None for samples that are 0 or 1.
        is_skewed: Whether they are log-normal instead of normal.
    """

    mean: float
    deviation: float | None = None
    is_skewed: bool = False

    @property
    def variance(self) -> float:
        """The variance of one sample."""
        return self.mean * (1 - self.mean) if self.deviation is None else self.deviation**2

    def windows(self, generator: np.random.Generator, size: int) -> Iterator[Samples]:
        """Yield the sums after each window of so many samples."""
        if self.deviation is None:
            totals = squares = generator.binomial(size, self.mean, LOOKS).cumsum()
        else:
            values = self._values(generator, (LOOKS, size))
            totals, squares = values.sum(1).cumsum(), (values * values).sum(1).cumsum()
        for look, (total, square) in enumerate(zip(totals.tolist(), squares.tolist(), strict=True), 1):
            yield Samples(look * size, float(total), float(square))

    def _values(self, generator: np.random.Generator, shape: tuple[int, int]) -> Any:
        if not self.is_skewed:
            return generator.normal(self.mean, self.deviation, shape)
        spread = math.log1p((self.deviation / self.mean) ** 2)
        return generator.lognormal(math.log(self.mean) - spread / 2, math.sqrt(spread), shape)


@dataclass(frozen=True)
class Rollout:
    """A rollout that is made up.

    Attributes:
        what: What it is about, in words.
        challenger: The challenger's samples.
        champion: The champion's.
        guardrail: The guardrail's fields besides its name.
        windows: How many samples of the challenger and of the champion come between two looks.
        is_promised: Whether the rate of false alarms is.
    """

    what: str
    challenger: Metric
    champion: Metric
    guardrail: dict[str, Any]
    windows: tuple[int, int] = (50, 50)
    is_promised: bool = True

    @property
    def demand(self) -> GuardrailDemand:
        """The guardrail."""
        fields = {"direction": "lower_is_better", "false_alarm_rate": RATE} | self.guardrail
        return GuardrailDemand.model_validate({"rule": "guardrail", "metric": "metric", **fields})

    def samples_until_breach(self, generator: np.random.Generator) -> float:
        """Return how many samples of the challenger there are at the breach; infinite for none."""
        demand = self.demand
        sums = zip(
            self.challenger.windows(generator, self.windows[0]),
            self.champion.windows(generator, self.windows[1]),
            strict=True,
        )
        for challenger, champion in sums:
            (verdict,) = judge_guardrails([demand], {"metric": challenger}, {"metric": champion}, phases=1)
            if verdict.status is GuardrailStatus.BREACHED:
                return challenger.count
        return math.inf


def _rate(value: float) -> Metric:
    return Metric(value)


_HIGHER = {"direction": "higher_is_better"}
_CANARY, _LATE = (20, 380), (380, 20)
_LATENCY, _SKEWED = Metric(100, 10), Metric(100, 130, is_skewed=True)
KEEPING = (
    *(
        Rollout(f"rate {rate}, no difference", _rate(rate), _rate(rate), {"max_regression": 0.0}, windows)
        for rate in (0.5, 0.05, 0.01)
        for windows in ((50, 50), _CANARY)
    ),
    Rollout("rate 0.001, no difference", _rate(0.001), _rate(0.001), {"max_regression": 0.0}),
    Rollout("rate 0.02, just within 0.01 of 0.01", _rate(0.02), _rate(0.01), {"max_regression": 0.01}),
    Rollout(
        "rate 0.012, just within 20% of 0.01", _rate(0.012), _rate(0.01), {"max_regression": "20%"}, _CANARY
    ),
    Rollout("rate 0.01, just at most that", _rate(0.01), _rate(0.01), {"at_most": 0.01}),
    Rollout("rate 0.01, just at least that", _rate(0.01), _rate(0.01), {**_HIGHER, "at_least": 0.01}),
    Rollout(
        "accuracy 0.93, just within 0.02 of 0.95",
        _rate(0.93),
        _rate(0.95),
        {**_HIGHER, "max_regression": 0.02},
    ),
    Rollout("normal latency, no difference", _LATENCY, _LATENCY, {"max_regression": 0.0}),
    Rollout("normal latency, just within 20%", Metric(120, 12), _LATENCY, {"max_regression": "20%"}, _CANARY),
    Rollout("normal latency, just at most that", _LATENCY, _LATENCY, {"at_most": 100.0}),
    Rollout(
        "normal latency, 10 samples suffice",
        _LATENCY,
        _LATENCY,
        {"max_regression": 0.0, "min_samples": 10},
        (2, 2),
    ),
    *(
        Rollout(f"log-normal latency, {name}", _SKEWED, _SKEWED, {"max_regression": 0.0}, windows)
        for name, windows in (
            ("no difference", (50, 50)),
            ("no difference, early", _CANARY),
            ("no difference, late", _LATE),
        )
    ),
    Rollout(
        "log-normal latency, just within 20%",
        Metric(120, 156, is_skewed=True),
        _SKEWED,
        {"max_regression": "20%"},
    ),
    Rollout("log-normal latency, just at most that", _SKEWED, _SKEWED, {"at_most": 100.0}),
    Rollout(
        "log-normal revenue, no difference", _SKEWED, _SKEWED, {**_HIGHER, "max_regression": 0.0}, _CANARY
    ),
    Rollout(
        "log-normal revenue, just at least that",
        _SKEWED,
        _SKEWED,
        {**_HIGHER, "at_least": 100.0},
        is_promised=False,
    ),
)
BREAKING = (
    Rollout("error rate 0.04, 0.02 before", _rate(0.04), _rate(0.02), {"max_regression": 0.0}, (100, 100)),
    Rollout(
        "the same, of a twentieth of the traffic",
        _rate(0.04),
        _rate(0.02),
        {"max_regression": 0.0},
        (50, 950),
    ),
    Rollout("error rate 0.04, at most 0.02", _rate(0.04), _rate(0.02), {"at_most": 0.02}, (100, 100)),
    Rollout(
        "error rate 0.04, within 0.005 of 0.02",
        _rate(0.04),
        _rate(0.02),
        {"max_regression": 0.005},
        (200, 200),
    ),
    Rollout(
        "error rate 0.5, 0.02 before",
        _rate(0.5),
        _rate(0.02),
        {"max_regression": 0.0, "min_samples": 10},
        (2, 2),
    ),
    Rollout(
        "accuracy 0.80, 0.95 before", _rate(0.80), _rate(0.95), {**_HIGHER, "max_regression": 0.0}, (10, 10)
    ),
    Rollout("normal latency 103, 100 before", Metric(103, 10), _LATENCY, {"max_regression": 0.0}, (20, 20)),
    Rollout(
        "log-normal latency 150, 100 before",
        Metric(150, 195, is_skewed=True),
        _SKEWED,
        {"max_regression": 0.0},
    ),
    Rollout(
        "log-normal latency 150, within 20% of 100",
        Metric(150, 195, is_skewed=True),
        _SKEWED,
        {"max_regression": "20%"},
        (100, 100),
    ),
)


def run(work: Path, *, quick: bool) -> Report:
    """Measure; ``work`` is not needed."""
    del work
    generator = np.random.default_rng(_SEED)
    runs = QUICK_RUNS if quick else RUNS
    rows: list[Row] = []
    figures: dict[str, Any] = {"runs": runs, "looks": LOOKS, "rate": RATE, "false_alarms": {}, "samples": {}}
    allowed = RATE + 3 * math.sqrt(RATE * (1 - RATE) / runs)
    for rollout in KEEPING:
        alarms = sum(rollout.samples_until_breach(generator) < math.inf for _ in range(runs))
        held = alarms / runs <= allowed if rollout.is_promised else None
        what = f"for nothing: {rollout.what}{_shares(rollout)}"
        rows.append(Row(what, f"{alarms / runs:.2%}", f"{RATE:.0%}", alarms / runs / RATE, held=held))
        figures["false_alarms"][what] = alarms / runs
    for rollout in BREAKING:
        found = [
            rollout.samples_until_breach(generator)
            for _ in range(QUICK_DETECTING_RUNS if quick else DETECTING_RUNS)
        ]
        middle, once = median(found), _samples_of_one_look(rollout)
        rows.append(Row(f"found: {rollout.what}", f"{middle:,.0f}", f"{once:,}", middle / once))
        figures["samples"][rollout.what] = {
            "median": middle,
            "one_look": once,
            "found": sum(each < math.inf for each in found) / len(found),
        }
    rows.append(_judging(figures))
    return Report(
        name="guardrails",
        question=f"Guardrails: rollouts of {runs:,} stopped for nothing; samples until a bad one is",
        rows=rows,
        figures=figures,
        notes=[
            f"a look after every window, {LOOKS} of them; a missed row is above the rate by more than chance",
            "the last log-normal row is not promised: a floor under a mean that hangs on rare large values",
        ],
    )


def _shares(rollout: Rollout) -> str:
    ours, theirs = rollout.windows
    return "" if ours == theirs else f", {ours / (ours + theirs):.0%} of the traffic"


def _samples_of_one_look(rollout: Rollout) -> int:
    """Return the samples of the challenger at which one look finds what is wrong every second time."""
    demand = rollout.demand
    ours, theirs = rollout.windows
    worse = 1 if demand.direction == "lower_is_better" else -1
    if demand.max_regression is None:
        limit = demand.at_most if demand.at_most is not None else demand.at_least
        variance = rollout.challenger.variance
    else:
        factor = 1 + worse * demand.max_regression.value / 100 if demand.max_regression.is_percentage else 1.0
        limit = rollout.champion.mean + worse * demand.max_regression.amount(rollout.champion.mean)
        variance = rollout.challenger.variance + factor**2 * rollout.champion.variance * ours / theirs
    score = NormalDist().inv_cdf(1 - RATE)
    return math.ceil(score**2 * variance / (rollout.challenger.mean - limit) ** 2)


def _judging(figures: dict[str, Any]) -> Row:
    demand = GuardrailDemand.model_validate(
        {"rule": "r", "metric": "m", "direction": "lower_is_better", "max_regression": 0.0}
    )
    sums = {"m": Samples(10_000, 260.0, 260.0)}, {"m": Samples(10_000, 200.0, 200.0)}
    times = []
    for _ in range(200):
        began = time.perf_counter()
        judge_guardrails([demand], *sums, phases=1)
        times.append(time.perf_counter() - began)
    seconds = figures["judging_seconds"] = median(times)
    return Row(
        "judging one guardrail on a rate that is doubtful",
        f"{seconds * 1e6:.0f} µs",
        f"{JUDGING_LIMIT_SECONDS * 1e6:.0f} µs",
        seconds / JUDGING_LIMIT_SECONDS,
    )

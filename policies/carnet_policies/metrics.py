"""The figures that a policy reads, out of evidence that it demands.

Responsible for what ``metrics`` and ``baseline_metrics`` hold. Invariants: only attestations that meet a
demand marked ``metrics: true`` give figures; of several figures under one key the least favourable stays; a
key whose attestations disagree on the direction, or that has a figure which is no finite number, is left
out of what expressions read, so that reading it is an error and the rule fails.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from carnet_policies.evidence import is_about, shortcoming

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from carnet_policies.facts import Attestation, MetricValue
    from carnet_policies.schema import EvidenceDemand, PolicyDocument

_WORST = {"higher_is_better": min, "lower_is_better": max}
_SPECIAL = re.compile(r"([\\{}=,])")


def metric_key(name: str, part: Mapping[str, str]) -> str:
    r"""Return the key of a metric: its name, and for a slice ``name{key=value,key=value}`` with sorted keys.

    Args:
        name: The metric's name.
        part: The slice; empty for all of the data. ``\``, ``{``, ``}``, ``=`` and ``,`` are escaped by ``\``.
    """
    return _key(name, tuple(part.items()))


@lru_cache(maxsize=8192)
def _key(name: str, part: tuple[tuple[str, str], ...]) -> str:
    if not part:
        return _escape(name)
    inner = ",".join(f"{_escape(key)}={_escape(value)}" for key, value in sorted(part))
    return f"{_escape(name)}{{{inner}}}"


def _escape(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)


class TrustedFigure(NamedTuple):
    """What trusted evidence says under one key.

    Attributes:
        name: The metric.
        slice: The part of the data.
        value: The least favourable figure; None where there is no one figure.
        direction: ``higher_is_better`` or ``lower_is_better``; empty where there is no one figure.
        sample_count: How many samples that figure was measured on; None where that is not stated.
        problem: Why there is no one figure; empty where there is.
    """

    name: str
    slice: Mapping[str, str]
    value: float | None
    direction: str = ""
    sample_count: int | None = None
    problem: str = ""


def trusted_metrics(
    document: PolicyDocument, evidence: Iterable[Attestation], now: datetime, *, aged: bool = True
) -> dict[str, float]:
    """Collect the figures that expressions may compare.

    Args:
        document: The policy, whose demands say whose figures count.
        evidence: The verified attestations about one bundle.
        now: The deciding environment's clock.
        aged: Whether a demanded age matters; it does not for a baseline, which was admitted earlier.

    Returns:
        The figures by key.
    """
    figures = trusted_figures(document.evidence, evidence, now, aged=aged)
    return {key: figure.value for key, figure in figures.items() if figure.value is not None}


def trusted_figures(
    demands: Iterable[EvidenceDemand], evidence: Iterable[Attestation], now: datetime, *, aged: bool = True
) -> dict[str, TrustedFigure]:
    """Collect what trusted evidence measured, by key; see ``trusted_metrics`` for the arguments.

    Returns:
        Every key that is stated, those without one figure too.
    """
    giving = [demand for demand in demands if demand.metrics]
    found: dict[str, list[MetricValue]] = {}
    for item in evidence:
        if item.metrics and any(
            is_about(demand, item) and shortcoming(demand, item, now, aged=aged) is None for demand in giving
        ):
            for metric in item.metrics:
                found.setdefault(metric_key(metric.name, metric.slice), []).append(metric)
    return {key: _figure(metrics) for key, metrics in found.items()}


def _figure(metrics: list[MetricValue]) -> TrustedFigure:
    first = metrics[0]
    if len(metrics) == 1 and first.direction in _WORST and (only := _finite(first.value)) is not None:
        return TrustedFigure(first.name, first.slice, only, first.direction, first.sample_count)
    worst = _WORST.get(first.direction)
    if worst is None or any(metric.direction != first.direction for metric in metrics):
        return TrustedFigure(first.name, first.slice, None, problem="the attestations give no one direction")
    values = [_finite(metric.value) for metric in metrics]
    if None in values:
        return TrustedFigure(first.name, first.slice, None, problem="a figure is no finite number")
    value = worst(value for value in values if value is not None)
    counts = [metric.sample_count for metric, each in zip(metrics, values, strict=True) if each == value]
    count = None if None in counts else min(each for each in counts if each is not None)
    return TrustedFigure(first.name, first.slice, value, first.direction, count)


def _finite(value: float) -> float | None:
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None

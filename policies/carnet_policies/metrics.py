"""The figures that expressions read, out of evidence that the policy demands.

Responsible for what ``metrics`` and ``baseline_metrics`` hold. Invariants: only attestations that meet a
demand marked ``metrics: true`` give figures; of several figures under one key the least favourable stays; a
key whose attestations disagree on the direction, or that has a figure which is no finite number, is left
out, so that reading it is an error and the rule fails.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from carnet_policies.evidence import is_about, shortcoming

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from carnet_policies.facts import Attestation, MetricValue
    from carnet_policies.schema import PolicyDocument

_WORST = {"higher_is_better": min, "lower_is_better": max}
_SPECIAL = re.compile(r"([\\{}=,])")


def metric_key(name: str, part: Mapping[str, str]) -> str:
    r"""Return the key of a metric: its name, and for a slice ``name{key=value,key=value}`` with sorted keys.

    Args:
        name: The metric's name.
        part: The slice; empty for all of the data. ``\``, ``{``, ``}``, ``=`` and ``,`` are escaped by ``\``.
    """
    if not part:
        return _escape(name)
    inner = ",".join(f"{_escape(key)}={_escape(value)}" for key, value in sorted(part.items()))
    return f"{_escape(name)}{{{inner}}}"


def _escape(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)


def trusted_metrics(
    document: PolicyDocument, evidence: Iterable[Attestation], now: datetime, *, aged: bool = True
) -> dict[str, float]:
    """Collect the figures that a policy may compare.

    Args:
        document: The policy, whose demands say whose figures count.
        evidence: The verified attestations about one bundle.
        now: The deciding environment's clock.
        aged: Whether a demanded age matters; it does not for a baseline, which was admitted earlier.

    Returns:
        The figures by key.
    """
    demands = [demand for demand in document.evidence if demand.metrics]
    figures: dict[str, list[MetricValue]] = {}
    for item in evidence:
        counts = any(
            is_about(demand, item) and shortcoming(demand, item, now, aged=aged) is None for demand in demands
        )
        for metric in item.metrics if counts else ():
            figures.setdefault(metric_key(metric.name, metric.slice), []).append(metric)
    collected = {}
    for key, found in figures.items():
        directions = {metric.direction for metric in found}
        worst = _WORST.get(found[0].direction) if len(directions) == 1 else None
        values = [_finite(metric.value) for metric in found]
        if worst is not None and None not in values:
            collected[key] = worst(value for value in values if value is not None)
    return collected


def _finite(value: float) -> float | None:
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None

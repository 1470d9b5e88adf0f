"""When a comparison is bad enough to stop a build.

Responsible, as rules without I/O, for reading the conditions of ``carnet compare --fail-on`` and for telling
which of them hold, with every reason. A figure that was there before and is not any more counts as a
regression: what is not measured is not known to be as good.
"""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, get_args

from carnet.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from carnet.bundle.compare import Comparison
    from carnet.bundle.metric_comparison import MetricChange

ConditionKind = Literal["regression", "schema-breaking", "any"]

_OUTSIDE_BRACES: Final = re.compile(r",(?![^{]*\})")
_CLOSE: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition that stops a build.

    Attributes:
        kind: ``regression``, ``schema-breaking``, or ``any`` of the two.
        thresholds: For a regression, by how much each metric may become worse, by name or by
            ``name{key=value}``; empty for all metrics, none of which may become worse at all.
    """

    kind: ConditionKind
    thresholds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """Why a condition holds: the condition, which metric or feature, and a sentence."""

    condition: ConditionKind
    name: str
    message: str


def parse_condition(text: str) -> Condition:
    """Read ``regression``, ``regression:METRIC=THRESHOLD,…``, ``schema-breaking`` or ``any``.

    Raises:
        InvalidInputError: It is none of these, or a threshold is not a finite number that is 0 or more.
    """
    kind, colon, rest = text.partition(":")
    known = next((each for each in get_args(ConditionKind) if each == kind), None)
    if known is None or (colon and known != "regression"):
        raise _unreadable(text, "write regression, regression:METRIC=THRESHOLD, schema-breaking or any")
    thresholds: dict[str, float] = {}
    for part in _OUTSIDE_BRACES.split(rest) if colon else ():
        name, equals, number = part.strip().rpartition("=")
        if not (equals and name.strip()) or number.endswith("}"):
            raise _unreadable(text, f"{part.strip()!r} should be METRIC=THRESHOLD, such as roc_auc=0.01")
        thresholds[name.strip()] = _threshold(text, number)
    return Condition(known, thresholds)


def findings_of(comparison: Comparison, conditions: Iterable[Condition]) -> tuple[Finding, ...]:
    """Tell which conditions hold.

    Args:
        comparison: What differs.
        conditions: What may not be.

    Returns:
        Every reason, once; empty where the build may go on.

    Raises:
        InvalidInputError: A condition names a metric that neither version has.
    """
    found: dict[Finding, None] = {}
    for condition in conditions:
        if condition.kind != "schema-breaking":
            found |= dict.fromkeys(_regressions(comparison, condition))
        if condition.kind != "regression":
            found |= dict.fromkeys(_schema_breaks(comparison))
    return tuple(found)


def _regressions(comparison: Comparison, condition: Condition) -> Iterator[Finding]:
    for name in condition.thresholds:
        if not any(name in (each.name, each.key) for each in comparison.metrics):
            raise _unknown_metric(name, comparison.metrics)
    for each in comparison.metrics:
        threshold = condition.thresholds.get(each.key, condition.thresholds.get(each.name))
        if condition.thresholds and threshold is None:
            continue
        if each.verdict == "removed":
            message = f"{_told(each)} was {each.before:.6g}, and is not measured any more"
            yield Finding("regression", each.key, message)
        elif _beyond(each.worsening, threshold or 0.0):
            allowed = f", and {threshold:g} is allowed" if threshold else ""
            message = (
                f"{_told(each)} is {each.after:.6g}, and was {each.before:.6g}: "
                f"worse by {each.worsening:.6g}{allowed}"
            )
            yield Finding("regression", each.key, message)


def _beyond(worsening: float, threshold: float) -> bool:
    """Whether it is more than is allowed; 0.97 less 0.96 is 0.01, whatever the doubles say."""
    return worsening > threshold and not (
        threshold > 0 and math.isclose(worsening, threshold, rel_tol=_CLOSE, abs_tol=0.0)
    )


def _schema_breaks(comparison: Comparison) -> Iterator[Finding]:
    for each in comparison.schema_breaks:
        yield Finding("schema-breaking", each.name, each.message)


def _told(change: MetricChange) -> str:
    return f"{change.key} ({change.suite or change.source})"


def _threshold(text: str, number: str) -> float:
    try:
        value = float(number)
    except ValueError as error:
        raise _unreadable(text, f"{number!r} is no number") from error
    if not (math.isfinite(value) and value >= 0):
        raise _unreadable(text, f"the threshold {number!r} should be finite, and 0 or more")
    return value


def _unreadable(text: str, why: str) -> InvalidInputError:
    return InvalidInputError(f"fail-on: {text[:160]!r}: {why}", metadata={"field": "fail_on"})


def _unknown_metric(name: str, metrics: Iterable[MetricChange]) -> InvalidInputError:
    known = sorted({each.key for each in metrics})
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known[:20]) or 'none'}"
    return InvalidInputError(
        f"fail-on: neither version has a metric {name[:80]!r}; {hint}", metadata={"field": "fail_on"}
    )

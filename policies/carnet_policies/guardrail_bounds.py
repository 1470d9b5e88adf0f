"""What a guardrail's bounds make of figures: how far each is passed, and the evidence that it is.

Responsible for turning a floor, a ceiling or a margin into the null hypothesis of a sequential test, and for
choosing the test: samples that are all 0 or 1 have the exact one (``sequential_rates``), others the one of
means (``sequential``), which estimates how much they vary. Invariants of the latter: samples vary around what
they would be around if the bound just held, so that a few that agree by chance are no certainty; a version
varies at least as much as both do together, so that one that has not met the rare large values yet is not
taken for steady; and what rounding makes of sums is no difference. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from carnet_policies.sequential import evidence_above_zero
from carnet_policies.sequential_rates import evidence_above_other_rate, evidence_above_rate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from carnet_policies.guardrails import Samples
    from carnet_policies.schema_fields import Margin
    from carnet_policies.schema_rollouts import GuardrailDemand

# Sums of many doubles keep some twelve digits: of the mean square, this much of a variance may be rounding.
_ROUNDING = 2.0**-40


@dataclass(frozen=True, slots=True)
class Bound:
    """One bound of a guardrail on figures.

    Attributes:
        limit: What the challenger's mean must not be worse than.
        excess: By how much it is worse; below 0 where it is better.
        evidence: The evidence that it is worse beyond noise.
        words: The limit, for people.
    """

    limit: float
    excess: float
    evidence: float
    words: str


def bounds_of(demand: GuardrailDemand, challenger: Samples, champion: Samples) -> Iterator[Bound]:
    """Yield what a guardrail's bounds make of figures.

    Args:
        demand: The guardrail.
        challenger: The challenger's samples, two at least.
        champion: The champion's; two at least where the guardrail compares with it.
    """
    worse = 1.0 if demand.direction == "lower_is_better" else -1.0
    fixed = demand.at_most if demand.at_most is not None else demand.at_least
    if fixed is not None:
        yield _against_limit(fixed, challenger, champion, worse=worse, min_samples=demand.min_samples)
    if demand.max_regression is not None:
        yield _against_champion(
            demand.max_regression, challenger, champion, worse=worse, min_samples=demand.min_samples
        )


def _against_limit(
    limit: float, challenger: Samples, champion: Samples, *, worse: float, min_samples: int
) -> Bound:
    excess = worse * (challenger.mean - limit)
    if challenger.is_of_events and champion.is_of_events:
        # What is better the higher it is fails where it does not happen.
        evidence = evidence_above_rate(
            _failures(challenger, worse), challenger.count, limit if worse > 0 else 1.0 - limit
        )
    else:
        spread = _variance(challenger) + excess * excess
        evidence = evidence_above_zero(excess, spread / challenger.count, spread / min_samples)
    return Bound(limit, excess, evidence, f"the limit {limit:.6g}")


def _against_champion(
    margin: Margin, challenger: Samples, champion: Samples, *, worse: float, min_samples: int
) -> Bound:
    # What is compared is challenger - factor x champion - amount: a percentage moves with the champion's.
    factor, amount = 1.0, margin.value
    if margin.is_percentage:
        sign = 1.0 if champion.mean >= 0 else -1.0
        factor, amount = 1.0 + worse * sign * margin.value / 100, 0.0
    limit = factor * champion.mean + worse * amount
    excess = worse * (challenger.mean - limit)
    if challenger.is_of_events and champion.is_of_events:
        evidence = evidence_above_other_rate(
            _failures(challenger, worse),
            challenger.count,
            _failures(champion, worse),
            champion.count,
            slope=factor,
            offset=amount if worse > 0 else 1.0 - factor + amount,
        )
    else:
        variance, prior = _variances(challenger, champion, factor, excess, min_samples)
        evidence = evidence_above_zero(excess, variance, prior)
    words = f"the champion's {champion.mean:.6g} over {champion.count:,} samples, with {margin} to spare"
    return Bound(limit, excess, evidence, words)


def _variances(
    challenger: Samples, champion: Samples, factor: float, excess: float, min_samples: int
) -> tuple[float, float]:
    """Return the variance of the excess, and that of the differences that are looked for."""
    counts = (challenger.count, champion.count)
    pooled = _variance(challenger + champion)
    return max(
        _in_sum(counts, _around_limit(counts, spreads, excess), min_samples)
        for spreads in (
            (_variance(challenger), factor * factor * _variance(champion)),
            (pooled, factor * factor * pooled),
        )
    )


def _around_limit(
    counts: tuple[int, int], spreads: tuple[float, float], excess: float
) -> tuple[float, float]:
    """Return how both versions' samples vary around the likeliest means that keep to the limit."""
    parts = [spread / count for spread, count in zip(spreads, counts, strict=True)]
    ours = excess * parts[0] / (sum(parts) or 1.0)
    theirs = excess - ours
    return spreads[0] + ours * ours, spreads[1] + theirs * theirs


def _in_sum(counts: tuple[int, int], spreads: tuple[float, float], min_samples: int) -> tuple[float, float]:
    return spreads[0] / counts[0] + spreads[1] / counts[1], (spreads[0] + spreads[1]) / min_samples


def _variance(samples: Samples) -> float:
    """Return the variance of samples, with what rounding may hide of it."""
    return max(samples.variance, _ROUNDING * samples.total_of_squares / samples.count)


def _failures(samples: Samples, worse: float) -> float:
    return samples.total if worse > 0 else samples.count - samples.total

"""What guardrails make of the figures of a rollout.

Responsible for choosing the guardrails that a rollout is judged by, and for judging the challenger's figures
by them, against bounds and against the champion's. A breach is told only where the sequential test
(``sequential``) says that noise does not explain it; its false-alarm rate is shared out evenly over the steps
of the plan and the bounds of the guardrail, so that the sum over the rollout is the guardrail's own. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from carnet_policies.scope import fits_any
from carnet_policies.sequential import evidence_above_zero

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from carnet_policies.schema import PolicyDocument
    from carnet_policies.schema_rollouts import GuardrailDemand


class GuardrailStatus(StrEnum):
    """What a guardrail says so far."""

    COLLECTING = "collecting"
    HOLDING = "holding"
    BREACHED = "breached"


@dataclass(frozen=True, slots=True)
class Samples:
    """The sums of some samples of a metric.

    Attributes:
        count: How many there are.
        total: Their sum.
        total_of_squares: The sum of their squares.
    """

    count: int = 0
    total: float = 0.0
    total_of_squares: float = 0.0

    @property
    def mean(self) -> float:
        """Their mean; 0 where there are none."""
        return self.total / self.count if self.count else 0.0

    @property
    def variance(self) -> float:
        """Their variance, by ``count - 1``; 0 where there are fewer than two."""
        if self.count < 2:
            return 0.0
        return max(self.total_of_squares - self.count * self.mean**2, 0.0) / (self.count - 1)

    def __add__(self, other: Samples) -> Samples:
        return Samples(
            self.count + other.count,
            self.total + other.total,
            self.total_of_squares + other.total_of_squares,
        )


@dataclass(frozen=True, slots=True)
class GuardrailVerdict:
    """What one guardrail says.

    Attributes:
        rule: Its id.
        metric: The metric that it reads.
        status: What it says.
        message: The same with the figures, for people.
        challenger: The challenger's samples.
        champion: The champion's.
        limit: What the challenger's mean must not be worse than, beyond noise; None until it can be told.
        evidence: What the test counts against the challenger.
        false_alarm_rate: The chance of a false alarm that this look is one of.
    """

    rule: str
    metric: str
    status: GuardrailStatus
    message: str
    challenger: Samples
    champion: Samples
    limit: float | None
    evidence: float
    false_alarm_rate: float


@dataclass(frozen=True, slots=True)
class _Bound:
    """One bound of a guardrail on figures: by how much it is passed, and how sure that is."""

    limit: float
    excess: float
    variance: float
    prior_variance: float
    words: str


def guardrails_for(
    document: PolicyDocument, *, kind: str, namespace: str, alias: str, labels: Mapping[str, str]
) -> tuple[GuardrailDemand, ...]:
    """Choose the guardrails that a rollout is judged by.

    Args:
        document: The policy in force.
        kind: How the challenger is tried: ``shadow`` or ``split``.
        namespace: The alias's namespace.
        alias: The alias.
        labels: The labels of the challenger's manifest; one that is left out counts as the policy's default,
            and one that is unknown as whatever is demanded the most of.
    """
    terms = document.rollouts
    return tuple(
        demand
        for demand in (terms.guardrails if terms else ())
        if kind in demand.kinds
        and (
            demand.when is None
            or (
                (not demand.when.aliases or alias in demand.when.aliases)
                and (not demand.when.namespaces or fits_any(demand.when.namespaces, namespace))
                and all(
                    labels.get(name, document.labels[name].default) in {None, *values}
                    for name, values in demand.when.labels.items()
                )
            )
        )
    )


def judge_guardrails(
    demands: Sequence[GuardrailDemand],
    challenger: Mapping[str, Samples],
    champion: Mapping[str, Samples],
    *,
    phases: int,
) -> list[GuardrailVerdict]:
    """Judge a challenger's figures.

    Args:
        demands: The guardrails that the rollout is judged by.
        challenger: Its samples in the present phase, by metric.
        champion: The champion's, by metric.
        phases: How many phases the plan has in all, over which the chance of a false alarm is shared out.

    Returns:
        What each guardrail says, in their order.
    """
    nothing = Samples()
    return [
        _judge(
            demand,
            challenger.get(demand.metric, nothing),
            champion.get(demand.metric, nothing),
            demand.false_alarm_rate / phases,
        )
        for demand in demands
    ]


def _judge(demand: GuardrailDemand, challenger: Samples, champion: Samples, rate: float) -> GuardrailVerdict:
    def verdict(
        status: GuardrailStatus, message: str, bound: _Bound | None, evidence: float
    ) -> GuardrailVerdict:
        return GuardrailVerdict(
            demand.rule,
            demand.metric,
            status,
            message,
            challenger,
            champion,
            bound.limit if bound else None,
            evidence,
            rate,
        )

    missing = _missing(demand, challenger, champion)
    if missing:
        return verdict(GuardrailStatus.COLLECTING, f"{demand.metric}: {missing}", None, 0.0)
    bounds = list(_bounds(demand, challenger, champion))
    judged = [(evidence_above_zero(each.excess, each.variance, each.prior_variance), each) for each in bounds]
    evidence, bound = max(judged, key=lambda pair: pair[0])
    figure = f"{demand.metric} {challenger.mean:.6g} over {challenger.count:,} samples"
    if evidence * rate >= len(bounds):
        message = f"{figure} is worse than {bound.words}, beyond what noise explains"
        return verdict(GuardrailStatus.BREACHED, message, bound, evidence)
    relation = "is worse than" if bound.excess > 0 else "keeps to"
    within = ", within what noise explains" if bound.excess > 0 else ""
    return verdict(GuardrailStatus.HOLDING, f"{figure} {relation} {bound.words}{within}", bound, evidence)


def _missing(demand: GuardrailDemand, challenger: Samples, champion: Samples) -> str:
    """Say how many samples are missing; empty for none."""
    parts = [("challenger", challenger)]
    if demand.max_regression is not None:
        parts.append(("champion", champion))
    short = [
        f"{samples.count:,} of {demand.min_samples:,} samples of the {name}"
        for name, samples in parts
        if samples.count < demand.min_samples
    ]
    return ", ".join(short)


def _bounds(demand: GuardrailDemand, challenger: Samples, champion: Samples) -> Iterator[_Bound]:
    worse = 1.0 if demand.direction == "lower_is_better" else -1.0
    fixed = demand.at_most if demand.at_most is not None else demand.at_least
    if fixed is not None:
        excess = worse * (challenger.mean - fixed)
        # Around the limit, not around the mean: samples that do not vary are no certainty.
        spread = challenger.variance + excess**2
        yield _Bound(
            fixed,
            excess,
            spread / challenger.count,
            spread / demand.min_samples,
            f"the limit {fixed:.6g}",
        )
    if demand.max_regression is not None:
        yield _regression(demand, challenger, champion, worse)


def _regression(demand: GuardrailDemand, challenger: Samples, champion: Samples, worse: float) -> _Bound:
    margin = demand.max_regression
    assert margin is not None, "only guardrails with a margin are compared with the champion"
    # What is compared is challenger - factor x champion - amount: a percentage moves with the champion's.
    factor, amount = 1.0, margin.value
    if margin.is_percentage:
        sign = 1.0 if champion.mean >= 0 else -1.0
        factor, amount = 1.0 + worse * sign * margin.value / 100, 0.0
    limit = factor * champion.mean + worse * amount
    excess = worse * (challenger.mean - limit)
    together = challenger + champion
    # One of the two may not vary by chance (no error so far): what both vary by together is the least taken.
    apart = (challenger.variance, factor**2 * champion.variance)
    pooled = (together.variance, factor**2 * together.variance)
    variance, prior = (
        max(
            apart[0] / ours + apart[1] / theirs,
            pooled[0] / ours + pooled[1] / theirs,
        )
        for ours, theirs in (
            (challenger.count, champion.count),
            (demand.min_samples, demand.min_samples),
        )
    )
    words = f"the champion's {champion.mean:.6g} over {champion.count:,} samples, with {margin} to spare"
    return _Bound(limit, excess, variance, prior, words)

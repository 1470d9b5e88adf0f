"""What guardrails make of the figures of a rollout.

Responsible for choosing the guardrails that a rollout is judged by, and for judging the challenger's figures
by them, against bounds and against the champion's (``guardrail_bounds``). A breach is told only where a
sequential test says that noise does not explain it. A guardrail's false-alarm rate is shared out evenly over
the phases of the plan, each of which counts samples of its own; where it has two bounds, the mean of their
evidence is what counts, which is evidence against both. So the chance of a false alarm over the whole rollout
is the guardrail's own, and that of several guardrails is their sum at most. Pure.

It rests on samples that are independent of one another, and on sums that are all of them: one sample a
request, not one a window. Requests of one user that fail together are fewer samples than they seem to be.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from carnet.errors import DocumentInvalidError
from carnet_policies.guardrail_bounds import bounds_of
from carnet_policies.schema_rollouts import GuardrailDemand
from carnet_policies.scope import Occasion, holds, label_values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from carnet_policies.guardrail_bounds import Bound
    from carnet_policies.schema import PolicyDocument


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
        return max(self.total_of_squares - self.total * self.mean, 0.0) / (self.count - 1)

    @property
    def is_finite(self) -> bool:
        """Whether the sums are numbers that can be counted with."""
        return math.isfinite(self.total) and math.isfinite(self.total_of_squares)

    @property
    def is_of_events(self) -> bool:
        """Whether each is 0 or 1: then, and hardly ever else, the sum is that of the squares too."""
        whole = float(self.total).is_integer()
        return whole and self.total == self.total_of_squares and self.total <= self.count

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
        evidence: What the test counts against the challenger; a breach from ``1 / false_alarm_rate`` on.
        false_alarm_rate: The chance of a false alarm that the present phase is given.
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
        phases: How many phases the plan has in all, 1 at least, over which the chance of a false alarm is
            shared out.

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


def guardrails_for(
    document: PolicyDocument,
    *,
    kind: Literal["shadow", "split"],
    namespace: str,
    alias: str,
    labels: Mapping[str, str],
    champion_labels: Mapping[str, str] | None = None,
) -> tuple[GuardrailDemand, ...]:
    """Choose the guardrails that a rollout is judged by.

    A label that is left out counts as it does for every demand: as the policy's default, and where there is
    none, or where the value is unknown to the policy, every guardrail that selects by it is asked.

    Args:
        document: The policy.
        kind: How the challenger is tried.
        namespace: The namespace.
        alias: The alias whose traffic it is about.
        labels: The labels of the challenger's manifest.
        champion_labels: Those of the champion's; with them a label that is ``never_below_baseline``, and
            stands below the champion's, is not known. None where it has none to compare with.

    Returns:
        The guardrails, in the policy's order.
    """
    if document.rollouts is None:
        return ()
    occasion = Occasion(namespace=namespace, alias=alias)
    known = label_values(document, labels, namespace, baseline=champion_labels)
    return tuple(
        demand
        for demand in document.rollouts.guardrails
        if kind in demand.kinds and (demand.when is None or holds(demand.when, known, occasion))
    )


def guardrail_to_json(demand: GuardrailDemand) -> dict[str, Any]:
    """Return a guardrail as a JSON object, defaults spelt out, so that it stays what it is."""
    return demand.model_dump(mode="json", by_alias=True, exclude_none=True)


def guardrail_from_json(value: Mapping[str, Any]) -> GuardrailDemand:
    """Return the guardrail of a JSON object that ``guardrail_to_json`` made.

    Args:
        value: The object.

    Raises:
        DocumentInvalidError: It is none; ``field`` names what is wrong first.
    """
    try:
        return GuardrailDemand.model_validate_json(json.dumps(dict(value)))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "guardrail"
        raise DocumentInvalidError(
            f"{field}: this is no guardrail: {first['msg']}", metadata={"field": field}
        ) from error


def _judge(demand: GuardrailDemand, challenger: Samples, champion: Samples, rate: float) -> GuardrailVerdict:
    def verdict(
        status: GuardrailStatus, message: str, bound: Bound | None = None, evidence: float = 0.0
    ) -> GuardrailVerdict:
        limit = bound.limit if bound else None
        return GuardrailVerdict(
            demand.rule, demand.metric, status, message, challenger, champion, limit, evidence, rate
        )

    missing = _missing(demand, challenger, champion)
    if missing:
        return verdict(GuardrailStatus.COLLECTING, f"{demand.metric}: {missing}")
    bounds = list(bounds_of(demand, challenger, champion))
    bound = max(bounds, key=lambda each: each.evidence)
    evidence = sum(each.evidence / len(bounds) for each in bounds)
    figure = f"{demand.metric} {challenger.mean:.6g} over {challenger.count:,} samples"
    if evidence * rate >= 1:
        message = f"{figure} is worse than {bound.words}, beyond what noise explains"
        return verdict(GuardrailStatus.BREACHED, message, bound, evidence)
    relation = "is worse than" if bound.excess > 0 else "keeps to"
    within = ", within what noise explains" if bound.excess > 0 else ""
    return verdict(GuardrailStatus.HOLDING, f"{figure} {relation} {bound.words}{within}", bound, evidence)


def _missing(demand: GuardrailDemand, challenger: Samples, champion: Samples) -> str:
    """Say what is missing before the guardrail can say anything; empty for nothing."""
    parts = [("challenger", challenger)]
    if demand.max_regression is not None:
        parts.append(("champion", champion))
    return ", ".join(
        f"{samples.count:,} of {demand.min_samples:,} samples of the {name}"
        if samples.count < demand.min_samples
        else f"the {name}'s sums are too large to be counted"
        for name, samples in parts
        if samples.count < demand.min_samples or not samples.is_finite
    )

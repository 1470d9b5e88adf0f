"""Test cases of guardrails: figures of a rollout in short form, and what each guardrail must say about them.

Responsible for the form, and for judging as a registry would. Invariant: a guardrail of whose metric a case
gives figures must hold unless the case says otherwise, so a case cannot overlook one; what it gives no
figures of is left aside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from carnet_policies.guardrails import GuardrailStatus, Samples, guardrails_for, judge_guardrails
from carnet_policies.schema_fields import Figure, Name, Part, Text
from carnet_policies.schema_rollouts import MetricName  # noqa: TC001 - pydantic reads it

if TYPE_CHECKING:
    from carnet_policies.guardrails import GuardrailVerdict
    from carnet_policies.schema import PolicyDocument

# What a case says of a guardrail whose ``when`` or ``kinds`` leave the rollout out.
NOT_DEMANDED: Final = "NOT_DEMANDED"
ExpectedStatus = Literal["COLLECTING", "HOLDING", "BREACHED", "NOT_DEMANDED"]


class SamplesForm(Part):
    """The samples of a metric; without a standard deviation each is 0 or 1, and the mean their rate."""

    count: Annotated[int, Field(ge=1, le=10**12)]
    mean: Figure
    standard_deviation: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _is_a_rate(self) -> Self:
        if self.standard_deviation is None and not 0 <= self.mean <= 1:
            raise ValueError(f"the mean {self.mean:g} is no rate: give the standard_deviation of the samples")
        return self

    def spell_out(self) -> Samples:
        """Return their sums."""
        if self.standard_deviation is None:
            events = float(round(self.mean * self.count))
            return Samples(self.count, events, events)
        squares = (self.count - 1) * self.standard_deviation**2 + self.count * self.mean * self.mean
        return Samples(self.count, self.mean * self.count, squares)


class RolloutForm(Part):
    """A rollout in short form.

    Attributes:
        kind: How the challenger is tried.
        namespace: The namespace.
        alias: The alias whose traffic it is about.
        labels: The labels of the challenger's manifest.
        champion_labels: Those of the champion's; None where they do not matter.
        phases: How many phases the plan has.
        challenger: The challenger's figures in the present phase.
        champion: The champion's.
    """

    kind: Literal["shadow", "split"] = "split"
    namespace: Name = "risk"
    alias: Name = "champion"
    labels: dict[str, str] = Field(default_factory=dict)
    champion_labels: dict[str, str] | None = None
    phases: Annotated[int, Field(ge=1, le=100)] = 1
    challenger: dict[MetricName, SamplesForm] = Field(default_factory=dict)
    champion: dict[MetricName, SamplesForm] = Field(default_factory=dict)


class RolloutCaseForm(Part):
    """One case: a rollout, and which of its guardrails do not hold."""

    case: Text
    rollout: RolloutForm = RolloutForm()
    expect: dict[Name, ExpectedStatus] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RolloutOutcome:
    """What came of one case: the mismatches are empty when it passed."""

    case: str
    mismatches: tuple[str, ...]
    verdicts: tuple[GuardrailVerdict, ...]

    @property
    def passed(self) -> bool:
        """Whether every guardrail said what it must."""
        return not self.mismatches


def run_rollout_case(document: PolicyDocument, form: RolloutCaseForm) -> RolloutOutcome:
    """Judge the figures of a case by a policy's guardrails.

    Args:
        document: The policy.
        form: The case.
    """
    rollout = form.rollout
    demands = guardrails_for(
        document,
        kind=rollout.kind,
        namespace=rollout.namespace,
        alias=rollout.alias,
        labels=rollout.labels,
        champion_labels=rollout.champion_labels,
    )
    challenger, champion = (
        {metric: samples.spell_out() for metric, samples in given.items()}
        for given in (rollout.challenger, rollout.champion)
    )
    verdicts = judge_guardrails(demands, challenger, champion, phases=rollout.phases)
    lines = []
    for verdict in verdicts:
        was = verdict.status.upper()
        unnamed = GuardrailStatus.HOLDING.upper() if verdict.metric in challenger else was
        wanted = form.expect.get(verdict.rule, unnamed)
        if was != wanted:
            lines.append(f"{verdict.rule}: expected {wanted}, was {was}: {verdict.message}")
    asked = {verdict.rule for verdict in verdicts}
    for rule, wanted in form.expect.items():
        if rule not in asked and wanted != NOT_DEMANDED:
            lines.append(f"{rule}: expected {wanted}, and it is not demanded here")
    return RolloutOutcome(form.case, tuple(lines), tuple(verdicts))

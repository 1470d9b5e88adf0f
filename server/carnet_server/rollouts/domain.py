"""What a rollout is, as plain values; no I/O.

The fields of ``Rollout`` are the columns of its table. Figures are counted in phases: each step of the plan
is one, and the baking is the last. ``phase_times`` says when each began, so that the present phase is the
last of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from carnet.references import ResourceName
from carnet.rollouts import RolloutKind, RolloutState, describe_standing
from carnet_server.rollouts.plan import Plan, read_plan

if TYPE_CHECKING:
    from datetime import datetime

    from carnet.translog.receipt import Receipt
    from carnet_policies.guardrails import GuardrailVerdict, Samples


@dataclass(frozen=True, slots=True)
class Rollout:
    """A rollout of an alias, as it is stored.

    Attributes:
        namespace: Where.
        model: Of which model.
        alias: The alias whose traffic it is about.
        rollout: Its number, from 1 for each alias.
        kind: How the challenger is tried.
        state: Where it stands.
        champion_version: The version that the alias pointed at when it began.
        champion_digest: The bundle digest of that version.
        challenger_version: The version that is tried.
        challenger_digest: The bundle digest of that version.
        challenger_alias: The alias that points at the challenger meanwhile.
        sets_alias: Whether it moved that alias there itself, and takes it away at the end.
        plan_document: The document of its plan.
        share: The challenger's share now.
        phase_times: When each phase began.
        actor: The subject that began it.
        note_digest: The document with the note; None where none was given.
        message: Why it stands where it does, for people.
        reason_code: Why it ended; empty until then.
        policy_digest: The policy whose guardrails judge it.
        created_at: When it began.
        ended_at: When it ended; None until then.
        revision: How often it changed; 1 after the beginning.
        log_index: The entry of its last change.
        start_log_index: The entry of its beginning.
        champion_reported_at: When a guardrail's figure of the champion last came; None for never.
        challenger_reported_at: The same of the challenger.
        request_id: The caller's id of the request that began it; None where none was given.
        request_digest: What was asked for, to know a repeated request by.
        note: The note, where it was read too.
    """

    namespace: str
    model: str
    alias: str
    rollout: int
    kind: RolloutKind
    state: RolloutState
    champion_version: int
    champion_digest: str
    challenger_version: int
    challenger_digest: str
    challenger_alias: str
    sets_alias: bool
    plan_document: bytes
    share: float
    phase_times: tuple[datetime, ...]
    actor: str
    note_digest: str | None
    message: str
    reason_code: str
    policy_digest: str
    created_at: datetime
    ended_at: datetime | None
    revision: int
    log_index: int
    start_log_index: int
    champion_reported_at: datetime | None = None
    challenger_reported_at: datetime | None = None
    request_id: str | None = None
    request_digest: str | None = None
    note: str = ""

    @property
    def name(self) -> ResourceName:
        """Its name."""
        return ResourceName(self.namespace, self.model, alias=self.alias, rollout=self.rollout)

    @property
    def alias_name(self) -> ResourceName:
        """The name of the alias whose traffic it is about."""
        return ResourceName(self.namespace, self.model, alias=self.alias)

    @property
    def subject(self) -> dict[str, str | int]:
        """What log entries about it are about."""
        return {
            "namespace": self.namespace,
            "model": self.model,
            "alias": self.alias,
            "version": self.challenger_version,
            "bundle_digest": self.challenger_digest,
            "rollout": self.rollout,
        }

    @property
    def standing(self) -> str:
        """Where it stands, as log entries say it."""
        return describe_standing(self.state, self.share)

    @property
    def plan(self) -> Plan:
        """Its plan."""
        return read_plan(self.plan_document)

    @property
    def phase(self) -> int:
        """The present phase, from 0; the last one of a rollout that has ended."""
        return len(self.phase_times) - 1

    @property
    def step(self) -> int:
        """The step that it is at, from 0; the last one once all are passed."""
        return min(self.phase, len(self.plan.steps) - 1)

    @property
    def phase_at(self) -> datetime:
        """When the present phase began."""
        return self.phase_times[-1]

    @property
    def champion_phase(self) -> int:
        """The phase whose figures of the champion the challenger is compared with.

        That is the present one while the champion has traffic, and the last one in which it had any after
        that; -1 where it never had.
        """
        return next((phase for phase in range(self.phase, -1, -1) if self._champion_serves(phase)), -1)

    @property
    def needs_champion(self) -> bool:
        """Whether figures of the champion must keep coming in the present phase."""
        compares = any(each.max_regression is not None for each in self.plan.guardrails)
        return compares and self.champion_phase == self.phase

    def _champion_serves(self, phase: int) -> bool:
        steps = self.plan.steps
        return phase < len(steps) and (self.kind is RolloutKind.SHADOW or steps[phase].share < 1)


@dataclass(frozen=True, slots=True)
class MetricFigures:
    """A metric of the two versions, side by side."""

    metric: str
    direction: str
    champion: Samples
    challenger: Samples


@dataclass(frozen=True, slots=True)
class RolloutView:
    """A rollout with what it is judged by.

    Attributes:
        rollout: The rollout.
        verdicts: What its guardrails say.
        figures: What was measured in the present phase, by metric.
    """

    rollout: Rollout
    verdicts: tuple[GuardrailVerdict, ...] = ()
    figures: tuple[MetricFigures, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """A rollout after a call, and the receipt of its entry; None where it was only validated."""

    view: RolloutView
    receipt: Receipt | None

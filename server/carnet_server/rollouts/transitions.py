"""What becomes of a rollout: the pure rules of its state machine.

``due_change`` looks at the facts and says the one change that is due, or none; whoever carries it out looks
again afterwards. Whatever shows that something is wrong comes before whatever would go on: a rollout that
nobody could watch for too long ends with the champion, also where its plan would have been passed meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from carnet.errors import IllegalTransitionError
from carnet.rollouts import RolloutKind, RolloutState
from carnet_policies.guardrails import GuardrailStatus
from carnet_policies.schema_fields import in_words
from carnet_server.rollouts.plan import RolloutSuccess

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from carnet_policies.guardrails import GuardrailVerdict
    from carnet_server.rollouts.domain import Rollout
    from carnet_server.rollouts.permission import Permission, Permit

BREACHED = "guardrail-breached"
SILENT = "metrics-silent"
EXPIRED = "expired"
ALIAS_MOVED = "alias-moved"
REVOKED = "challenger-revoked"
PASSED = "plan-passed"
STOPPED = "stopped"


class AliasMovement(StrEnum):
    """What a change does to the alias."""

    NONE = "none"
    TO_CHALLENGER = "to_challenger"
    TO_CHAMPION = "to_champion"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a rollout is judged by.

    Attributes:
        now: The environment's clock.
        alias_version: Where the alias points now; 0 for nowhere.
        challenger_revoked: Whether the challenger is revoked.
        champion_revoked: Whether the champion is.
        verdicts: What the guardrails say.
        permission: Whether the alias may be moved to the challenger.
        needed: What must be done first where it may not, for people.
    """

    now: datetime
    alias_version: int
    challenger_revoked: bool
    champion_revoked: bool
    verdicts: Sequence[GuardrailVerdict]
    permission: Permission
    needed: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a rollout.

    Attributes:
        state: The state after it.
        share: The challenger's share after it.
        message: Why, for people.
        reason_code: Why it ends; empty where it goes on.
        new_phase: Whether a phase of figures begins with it.
        movement: What it does to the alias.
        permit: What lets the alias be moved; None where nothing needs to.
    """

    state: RolloutState
    share: float
    message: str
    reason_code: str = ""
    new_phase: bool = False
    movement: AliasMovement = AliasMovement.NONE
    permit: Permit | None = None


def due_change(rollout: Rollout, facts: Facts) -> Change | None:
    """Say which change of a rollout is due.

    Args:
        rollout: The rollout as it stands.
        facts: What is true now.

    Returns:
        The change; None where it stays as it is.
    """
    if rollout.state.ended:
        return None
    return _aside(rollout, facts) or _worse(rollout, facts) or _onward(rollout, facts)


def completion(rollout: Rollout, facts: Facts) -> Change:
    """Say what moving the alias makes of a rollout that waits for it.

    Args:
        rollout: The rollout, for which no other change is due.
        facts: What is true now; the permission must be there.

    Raises:
        IllegalTransitionError: It does not wait for that.
    """
    if rollout.state is not RolloutState.AWAITING:
        rest = {
            RolloutState.RUNNING: "it has not passed its plan yet: wait for that, or stop it",
            RolloutState.BAKING: "the alias was moved already",
        }.get(rollout.state, "it is over")
        raise IllegalTransitionError(
            f"rollout {rollout.rollout} of alias {rollout.alias!r} of {rollout.namespace}/{rollout.model} is "
            f"{rollout.state} and cannot be completed: {rest}",
            metadata={"subject": str(rollout.name), "state": str(rollout.state)},
        )
    return _moved(rollout, facts, "somebody completed it", AliasMovement.TO_CHALLENGER)


def stopping(rollout: Rollout, *, reason_code: str) -> Change:
    """Say what stopping makes of a rollout that has not ended.

    Args:
        rollout: The rollout.
        reason_code: Why, as a code for reports.
    """
    if rollout.state is RolloutState.BAKING:
        message = f"the watching was stopped; the alias stays at version {rollout.challenger_version}"
        return Change(RolloutState.STOPPED, 1.0, message, reason_code or STOPPED)
    return Change(RolloutState.STOPPED, 0.0, "it was stopped", reason_code or STOPPED)


def _aside(rollout: Rollout, facts: Facts) -> Change | None:
    """Say what follows where somebody else moved the alias."""
    state, points_at = rollout.state, facts.alias_version
    if state is RolloutState.AWAITING and points_at == rollout.challenger_version:
        return _moved(rollout, facts, "the alias was moved to it meanwhile", AliasMovement.NONE)
    expected = rollout.champion_version
    if state is RolloutState.BAKING:
        expected = rollout.challenger_version
    if points_at == expected:
        return None
    where = f"to version {points_at}" if points_at else "away"
    message = f"something else moved the alias {where}"
    share = 1.0 if points_at == rollout.challenger_version else 0.0
    return Change(RolloutState.STOPPED, share, message, ALIAS_MOVED)


def _worse(rollout: Rollout, facts: Facts) -> Change | None:
    """Say what follows where the challenger must go."""
    if facts.challenger_revoked:
        return _back(rollout, facts, f"version {rollout.challenger_version} was revoked", REVOKED)
    breached = [each.message for each in facts.verdicts if each.status is GuardrailStatus.BREACHED]
    if breached:
        return _back(rollout, facts, "; ".join(breached), BREACHED)
    silent = _silent(rollout, facts.now)
    if silent:
        return _back(rollout, facts, silent, SILENT)
    plan = rollout.plan
    if rollout.state is RolloutState.RUNNING and facts.now - rollout.created_at > plan.max_duration:
        message = f"it had not passed its plan after {in_words(plan.max_duration)}"
        return _back(rollout, facts, message, EXPIRED)
    return None


def _silent(rollout: Rollout, now: datetime) -> str:
    """Say of which version figures are missing for too long; empty for none."""
    plan = rollout.plan
    if rollout.state is RolloutState.BAKING and _baked_at(rollout) <= _latest(rollout) + plan.max_silence:
        return ""
    parts = [("challenger", rollout.challenger_version, rollout.challenger_reported_at)]
    if rollout.needs_champion:
        parts.append(("champion", rollout.champion_version, rollout.champion_reported_at))
    for name, version, reported_at in parts:
        since = max(rollout.phase_at, reported_at or rollout.phase_at)
        if now - since > plan.max_silence:
            return f"no figures of the {name}, version {version}, for more than {in_words(plan.max_silence)}"
    return ""


def _latest(rollout: Rollout) -> datetime:
    return max(rollout.phase_at, rollout.challenger_reported_at or rollout.phase_at)


def _baked_at(rollout: Rollout) -> datetime:
    return rollout.phase_at + rollout.plan.bake_duration


def _back(rollout: Rollout, facts: Facts, why: str, reason_code: str) -> Change:
    if rollout.state is not RolloutState.BAKING:
        shadow = rollout.kind is RolloutKind.SHADOW
        message = f"{why}: {'nothing is mirrored' if shadow else 'the champion has all traffic'}"
        return Change(RolloutState.ROLLED_BACK, 0.0, message, reason_code)
    champion = rollout.champion_version
    if facts.champion_revoked:
        message = f"{why}; version {champion} is revoked too: roll the alias back by hand"
        return Change(RolloutState.STOPPED, 1.0, message, reason_code)
    message = f"{why}: the alias was moved back to version {champion}"
    return Change(RolloutState.ROLLED_BACK, 0.0, message, reason_code, movement=AliasMovement.TO_CHAMPION)


def _onward(rollout: Rollout, facts: Facts) -> Change | None:
    """Say what follows where nothing is wrong."""
    plan, permission = rollout.plan, facts.permission
    match rollout.state:
        case RolloutState.BAKING:
            if facts.now < _baked_at(rollout):
                return None
            message = f"no guardrail was breached for {plan.bake_duration} after the alias was moved"
            return Change(RolloutState.SUCCEEDED, 1.0, message, PASSED)
        case RolloutState.AWAITING:
            if plan.on_success is RolloutSuccess.MOVE and permission.allowed:
                return _moved(rollout, facts, "a decision lets it now", AliasMovement.TO_CHALLENGER)
            return None
        case _:
            return _next_step(rollout, facts)


def _next_step(rollout: Rollout, facts: Facts) -> Change | None:
    plan, step = rollout.plan, rollout.step
    if facts.now < rollout.phase_at + plan.steps[step].min_duration:
        return None
    if any(each.status is not GuardrailStatus.HOLDING for each in facts.verdicts):
        return None
    if step + 1 < len(plan.steps):
        share = plan.steps[step + 1].share
        message = f"step {step + 1} was passed; step {step + 2} of {len(plan.steps)} began: {share:.6g}"
        return Change(RolloutState.RUNNING, share, message, new_phase=True)
    if rollout.kind is RolloutKind.SHADOW:
        return Change(RolloutState.SUCCEEDED, 0.0, "the plan was passed; nothing is moved", PASSED)
    if plan.on_success is RolloutSuccess.MOVE and facts.permission.allowed:
        return _moved(rollout, facts, "the plan was passed", AliasMovement.TO_CHALLENGER)
    rest = "complete it, or promote the version"
    if plan.on_success is RolloutSuccess.MOVE:
        rest = f"a decision must let the alias be moved: {facts.needed}"
    return Change(RolloutState.AWAITING, rollout.share, f"the plan was passed; {rest}")


def _moved(rollout: Rollout, facts: Facts, why: str, movement: AliasMovement) -> Change:
    permit = facts.permission.permit if movement is AliasMovement.TO_CHALLENGER else None
    bake = rollout.plan.bake_duration
    moved = f"{why}; the alias points at version {rollout.challenger_version}"
    if bake:
        message = f"{moved}, and a breach within {bake} moves it back"
        return Change(RolloutState.BAKING, 1.0, message, new_phase=True, movement=movement, permit=permit)
    return Change(RolloutState.SUCCEEDED, 1.0, moved, PASSED, movement=movement, permit=permit)

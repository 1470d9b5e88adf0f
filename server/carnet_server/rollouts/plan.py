"""The plan of a rollout: what was agreed on when it began, and holds until it ends.

Responsible for the plan's rules and for its document, which the rollout's row keeps and its first log entry
rests on. Guardrails, silence and times are those of the policy in force at the start: a policy that changes
later moves no goalposts. Pure.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from carnet.canonical import canonical_json
from carnet.errors import InvalidInputError
from carnet.rollouts import PLAN_SCHEMA, RolloutKind
from carnet_policies.schema_fields import MAX_DURATION, in_words
from carnet_policies.schema_rollouts import GuardrailDemand

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PLAN_MEDIA_TYPE = "application/vnd.carnet.rollout-plan+json"
MAX_STEPS = 20


class RolloutSuccess(StrEnum):
    """What happens once a plan is passed."""

    HOLD = "hold"
    MOVE = "move"


@dataclass(frozen=True, slots=True)
class Step:
    """One step: the challenger's share, above 0 and 1 at most, and for how long at least."""

    share: float
    min_duration: timedelta


@dataclass(frozen=True, slots=True)
class Plan:
    """What a rollout goes by.

    Attributes:
        steps: Its steps, in order.
        on_success: What happens once they are passed.
        bake_duration: For how long a breach still moves the alias back once it was moved.
        reporting_interval: How long the windows are that figures are counted by.
        max_silence: How long it goes on without figures of a version.
        max_duration: How long its steps may take at most.
        guardrails: What the challenger is judged by.
    """

    steps: tuple[Step, ...]
    on_success: RolloutSuccess
    bake_duration: timedelta
    reporting_interval: timedelta
    max_silence: timedelta
    max_duration: timedelta
    guardrails: tuple[GuardrailDemand, ...] = ()

    @property
    def phase_count(self) -> int:
        """How many phases figures are counted in: a step each, and the baking."""
        return len(self.steps) + bool(self.bake_duration)


def check_steps(kind: RolloutKind, steps: Sequence[Step]) -> tuple[Step, ...]:
    """Return the steps of a plan if they are some.

    Args:
        kind: How the challenger is tried.
        steps: What was asked for.

    Raises:
        InvalidInputError: There are none, or more than ``MAX_STEPS``; a share is not above 0 and 1 at most,
            falls, or leaves the champion nothing before the last step; a duration is negative or too long.
    """
    if not 1 <= len(steps) <= MAX_STEPS:
        raise _invalid("steps", f"{len(steps)} are given; 1 to {MAX_STEPS} are wanted")
    before = 0.0
    for index, step in enumerate(steps):
        field = f"steps[{index}].share"
        if not math.isfinite(step.share) or not 0 < step.share <= 1:
            raise _invalid(field, f"{step.share:g} is no share: write one above 0, and 1 at most")
        if step.share < before:
            raise _invalid(field, f"{step.share:g} is less than {before:g} before it: shares do not fall")
        if kind is RolloutKind.SPLIT and step.share == 1 and index < len(steps) - 1:
            raise _invalid(
                field, "all of the traffic before the last step leaves no champion to compare with"
            )
        before = step.share
        check_duration(step.min_duration, field=f"steps[{index}].min_duration")
    return tuple(steps)


def check_duration(value: timedelta, *, field: str) -> timedelta:
    """Return a duration if a plan may have it.

    Args:
        value: The duration.
        field: The request's field.

    Raises:
        InvalidInputError: It is negative, or longer than ``MAX_DURATION``.
    """
    if value < timedelta(0):
        raise _invalid(field, "the duration is negative; write 0 for none")
    if value > MAX_DURATION:
        raise _invalid(field, f"the duration is longer than {MAX_DURATION.days} days")
    return value


def check_plan(kind: RolloutKind, plan: Plan) -> Plan:
    """Return a plan if it can be carried out under its own terms.

    Raises:
        InvalidInputError: A shadow is to move the alias or to bake; the steps take longer than a rollout may;
            or a guardrail compares with a champion that never has traffic.
    """
    if kind is RolloutKind.SHADOW and plan.on_success is RolloutSuccess.MOVE:
        raise _invalid("on_success", "a shadow moves no alias: leave it out, or ask for a split")
    if kind is RolloutKind.SHADOW and plan.bake_duration:
        raise _invalid("bake_duration", "a shadow moves no alias, so there is nothing to bake: leave it out")
    at_least = sum((step.min_duration for step in plan.steps), timedelta(0))
    if at_least > plan.max_duration:
        raise _invalid(
            "steps",
            f"they take {at_least} at least, and the policy ends it after {in_words(plan.max_duration)}",
        )
    alone = kind is RolloutKind.SPLIT and plan.steps[0].share == 1
    comparing = next((each for each in plan.guardrails if each.max_regression is not None), None)
    if alone and comparing is not None:
        raise _invalid(
            "steps[0].share",
            f"guardrail {comparing.rule} compares with the champion, which would have no traffic: begin with "
            "a smaller share",
        )
    return plan


def plan_document(plan: Plan, facts: Mapping[str, Any]) -> bytes:
    """Return the document of a plan: canonical JSON.

    Args:
        plan: The plan.
        facts: What it is about: names, versions, digests.
    """
    return canonical_json(
        {
            "schema": PLAN_SCHEMA,
            **facts,
            "steps": [
                {"share": step.share, "min_duration_seconds": step.min_duration.total_seconds()}
                for step in plan.steps
            ],
            "on_success": str(plan.on_success),
            "bake_seconds": plan.bake_duration.total_seconds(),
            "reporting_interval_seconds": plan.reporting_interval.total_seconds(),
            "max_silence_seconds": plan.max_silence.total_seconds(),
            "max_duration_seconds": plan.max_duration.total_seconds(),
            "guardrails": [_frozen(each) for each in plan.guardrails],
        }
    )


@lru_cache(maxsize=512)
def read_plan(document: bytes) -> Plan:
    """Read a plan from its document, as this registry wrote it."""
    found = json.loads(document)
    return Plan(
        steps=tuple(
            Step(each["share"], timedelta(seconds=each["min_duration_seconds"])) for each in found["steps"]
        ),
        on_success=RolloutSuccess(found["on_success"]),
        bake_duration=timedelta(seconds=found["bake_seconds"]),
        reporting_interval=timedelta(seconds=found["reporting_interval_seconds"]),
        max_silence=timedelta(seconds=found["max_silence_seconds"]),
        max_duration=timedelta(seconds=found["max_duration_seconds"]),
        guardrails=tuple(
            GuardrailDemand.model_validate_json(json.dumps(each)) for each in found["guardrails"]
        ),
    )


def _frozen(demand: GuardrailDemand) -> dict[str, Any]:
    """Return a guardrail as a policy writes it; what it was asked of is answered by its being here."""
    written = demand.model_dump(mode="json", exclude_none=True, exclude={"when"})
    margin = demand.max_regression
    if margin is not None:
        written["max_regression"] = f"{margin.value:.6f}%" if margin.is_percentage else margin.value
    return written


def _invalid(field: str, problem: str) -> InvalidInputError:
    return InvalidInputError(f"{field}: {problem}", metadata={"field": field})

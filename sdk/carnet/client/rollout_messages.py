"""Between the wire's messages about rollouts and the client's values, which are what a peer states."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

from carnet.client.messages import name_in_answer, time_of, word_of
from carnet.client.results import (
    GuardrailResult,
    MetricComparison,
    MetricSummary,
    Rollout,
    RolloutStep,
    Traffic,
    TrafficTarget,
)
from carnet.errors import InternalError, InvalidInputError
from carnet.references import Reference
from carnet.registry.v1 import rollouts_pb2
from carnet.rollouts import RolloutKind, RolloutState

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime, timedelta

    from google.protobuf.timestamp_pb2 import Timestamp

    from carnet.client.results import MetricPoint

KINDS = tuple(map(str, RolloutKind))
SUCCESSES = ("hold", "move")
DIRECTIONS = ("higher_is_better", "lower_is_better")
_DURATION_MAX_SECONDS = 315_576_000_000


def rollout_of(message: rollouts_pb2.Rollout, environment: str) -> Rollout:
    """Return a rollout as its registry states it.

    Raises:
        InternalError: The registry broke the contract.
    """
    name = name_in_answer(message.name, want="rollout", peer=environment)
    return Rollout(
        reference=Reference(environment, name.namespace, name.model, alias=name.alias),
        number=name.rollout,
        kind=word_of(rollouts_pb2.RolloutKind.Name, message.kind, "ROLLOUT_KIND_"),
        state=state_of(message.state, peer=environment),
        champion_version=message.champion_version,
        champion_digest=message.champion_digest,
        challenger_version=message.challenger_version,
        challenger_digest=message.challenger_digest,
        challenger_alias=message.challenger_alias,
        steps=tuple(
            RolloutStep(share=each.share, min_duration=each.min_duration.ToTimedelta())
            for each in message.steps
        ),
        step=message.step,
        share=message.share,
        on_success=word_of(rollouts_pb2.RolloutSuccess.Name, message.on_success, "ROLLOUT_SUCCESS_"),
        bake_duration=message.bake_duration.ToTimedelta(),
        actor=message.actor,
        note=message.note,
        message=message.message,
        reason_code=message.reason_code,
        created_at=time_of(message.create_time),
        step_at=time_of(message.step_time),
        ended_at=time_of(message.end_time),
        revision=message.revision,
        log_index=message.log_index,
        guardrails=tuple(_guardrail_of(each) for each in message.guardrails),
        metrics=tuple(_comparison_of(each) for each in message.metrics),
        last_report_at=time_of(message.last_report_time),
        policy_digest=message.policy_digest,
    )


def state_of(state: int, *, peer: str) -> RolloutState:
    """Return where a rollout stands.

    Raises:
        InternalError: The peer named a state that this client does not know.
    """
    word = word_of(rollouts_pb2.RolloutState.Name, state, "ROLLOUT_STATE_")
    try:
        return RolloutState(word)
    except ValueError as error:
        raise InternalError(f"{peer} named the state {word!r}, which this client does not know") from error


def traffic_of(message: rollouts_pb2.Traffic, environment: str) -> Traffic:
    """Return who gets which traffic, as the registry states it.

    Raises:
        InternalError: The registry broke the contract.
    """
    name = name_in_answer(message.alias, want="alias", peer=environment)
    rollout = (
        name_in_answer(message.rollout, want="rollout", peer=environment).rollout if message.rollout else None
    )
    return Traffic(
        reference=Reference(environment, name.namespace, name.model, alias=name.alias),
        revision=message.revision,
        alias_revision=message.alias_revision,
        answering=_targets_of(message.answering),
        mirrored=_targets_of(message.mirrored),
        rollout=rollout,
    )


def kind_number(kind: str) -> rollouts_pb2.RolloutKind.ValueType:
    """Return a kind as the wire has it.

    Raises:
        InvalidInputError: There is no such kind.
    """
    return rollouts_pb2.RolloutKind.Value(f"ROLLOUT_KIND_{_one_of(kind, KINDS, field='kind').upper()}")


def success_number(on_success: str) -> rollouts_pb2.RolloutSuccess.ValueType:
    """Return what happens once a plan is passed, as the wire has it.

    Raises:
        InvalidInputError: There is no such thing.
    """
    word = _one_of(on_success, SUCCESSES, field="on_success")
    return rollouts_pb2.RolloutSuccess.Value(f"ROLLOUT_SUCCESS_{word.upper()}")


def step_message(share: float, min_duration: timedelta, *, field: str) -> rollouts_pb2.RolloutStep:
    """Return a step as the wire has it.

    Raises:
        InvalidInputError: The duration is none that the wire can have.
    """
    message = rollouts_pb2.RolloutStep(share=share)
    message.min_duration.FromTimedelta(checked_duration(min_duration, field=field))
    return message


def checked_duration(duration: timedelta, *, field: str) -> timedelta:
    """Return a duration that the wire can have.

    Raises:
        InvalidInputError: It is longer than ten thousand years, or negative.
    """
    if not 0 <= duration.total_seconds() <= _DURATION_MAX_SECONDS:
        raise InvalidInputError(
            f"{field}: {duration} is no duration that there can be", metadata={"field": field}
        )
    return duration


def point_message(point: MetricPoint, *, field: str) -> rollouts_pb2.MetricPoint:
    """Return what was measured, as the wire has it.

    Raises:
        InvalidInputError: A moment is not aware, a number is out of range, or there is no such direction.
    """
    word = point.direction and _one_of(point.direction, DIRECTIONS, field=f"{field}.direction")
    try:
        message = rollouts_pb2.MetricPoint(
            version=point.version,
            metric=point.metric,
            count=point.count,
            sum=point.sum,
            sum_of_squares=point.sum_of_squares,
            direction=rollouts_pb2.MetricDirection.Value(f"METRIC_DIRECTION_{word.upper() or 'UNSPECIFIED'}"),
        )
    except (ValueError, TypeError) as error:
        raise InvalidInputError(f"{field}: {error}", metadata={"field": field}) from error
    _set_time(message.start_time, point.started_at, field=f"{field}.started_at")
    _set_time(message.end_time, point.ended_at, field=f"{field}.ended_at")
    return message


def _set_time(message: Timestamp, moment: datetime, *, field: str) -> None:
    if moment.tzinfo is None:
        raise InvalidInputError(
            f"{field}: {moment} is of no time zone: use an aware moment, such as datetime.now(UTC)",
            metadata={"field": field},
        )
    message.FromDatetime(moment.astimezone(UTC))


def _one_of(word: str, known: tuple[str, ...], *, field: str) -> str:
    if word not in known:
        raise InvalidInputError(
            f"{field}: {word[:80]!r} is none of {', '.join(known)}", metadata={"field": field}
        )
    return word


def _guardrail_of(message: rollouts_pb2.GuardrailResult) -> GuardrailResult:
    return GuardrailResult(
        rule=message.rule,
        metric=message.metric,
        status=word_of(rollouts_pb2.GuardrailStatus.Name, message.status, "GUARDRAIL_STATUS_"),
        message=message.message,
        challenger_value=message.challenger_value if message.HasField("challenger_value") else None,
        champion_value=message.champion_value if message.HasField("champion_value") else None,
        limit=message.limit if message.HasField("limit") else None,
        challenger_samples=message.challenger_samples,
        champion_samples=message.champion_samples,
        evidence=message.evidence,
        false_alarm_rate=message.false_alarm_rate,
    )


def _comparison_of(message: rollouts_pb2.MetricComparison) -> MetricComparison:
    return MetricComparison(
        metric=message.metric,
        direction=word_of(rollouts_pb2.MetricDirection.Name, message.direction, "METRIC_DIRECTION_"),
        champion=_summary_of(message.champion),
        challenger=_summary_of(message.challenger),
    )


def _summary_of(message: rollouts_pb2.MetricSummary) -> MetricSummary:
    return MetricSummary(
        count=message.count,
        mean=message.mean if message.HasField("mean") else None,
        standard_deviation=message.standard_deviation if message.HasField("standard_deviation") else None,
    )


def _targets_of(messages: Iterable[rollouts_pb2.TrafficTarget]) -> tuple[TrafficTarget, ...]:
    return tuple(
        TrafficTarget(version=each.version, bundle_digest=each.bundle_digest, share=each.share)
        for each in messages
    )

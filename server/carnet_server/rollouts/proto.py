"""Rollouts, their figures and their traffic as messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.registry.v1 import rollouts_pb2
from carnet.rollouts import RolloutKind, RolloutState
from carnet_policies.guardrails import GuardrailStatus
from carnet_server.rollouts.metrics import MetricPoint
from carnet_server.rollouts.plan import RolloutSuccess

if TYPE_CHECKING:
    from collections.abc import Iterable

    from google.protobuf.timestamp_pb2 import Timestamp

    from carnet_policies.guardrails import GuardrailVerdict, Samples
    from carnet_server.rollouts.domain import MetricFigures, Rollout, RolloutView
    from carnet_server.rollouts.traffic import Target, Traffic

KINDS = {
    RolloutKind.SHADOW: rollouts_pb2.ROLLOUT_KIND_SHADOW,
    RolloutKind.SPLIT: rollouts_pb2.ROLLOUT_KIND_SPLIT,
}
STATES = {
    RolloutState.RUNNING: rollouts_pb2.ROLLOUT_STATE_RUNNING,
    RolloutState.AWAITING: rollouts_pb2.ROLLOUT_STATE_AWAITING,
    RolloutState.BAKING: rollouts_pb2.ROLLOUT_STATE_BAKING,
    RolloutState.SUCCEEDED: rollouts_pb2.ROLLOUT_STATE_SUCCEEDED,
    RolloutState.ROLLED_BACK: rollouts_pb2.ROLLOUT_STATE_ROLLED_BACK,
    RolloutState.STOPPED: rollouts_pb2.ROLLOUT_STATE_STOPPED,
}
SUCCESSES = {
    RolloutSuccess.HOLD: rollouts_pb2.ROLLOUT_SUCCESS_HOLD,
    RolloutSuccess.MOVE: rollouts_pb2.ROLLOUT_SUCCESS_MOVE,
}
_STATUSES = {
    GuardrailStatus.COLLECTING: rollouts_pb2.GUARDRAIL_STATUS_COLLECTING,
    GuardrailStatus.HOLDING: rollouts_pb2.GUARDRAIL_STATUS_HOLDING,
    GuardrailStatus.BREACHED: rollouts_pb2.GUARDRAIL_STATUS_BREACHED,
}
_DIRECTIONS = {
    "higher_is_better": rollouts_pb2.METRIC_DIRECTION_HIGHER_IS_BETTER,
    "lower_is_better": rollouts_pb2.METRIC_DIRECTION_LOWER_IS_BETTER,
}
_DIRECTION_WORDS = {number: word for word, number in _DIRECTIONS.items()}


def rollout_to_proto(rollout: Rollout) -> rollouts_pb2.Rollout:
    """Return a rollout as the message that carries it, as lists have it."""
    plan = rollout.plan
    message = rollouts_pb2.Rollout(
        name=str(rollout.name),
        kind=KINDS[rollout.kind],
        state=STATES[rollout.state],
        alias=rollout.alias,
        champion_version=rollout.champion_version,
        champion_digest=rollout.champion_digest,
        challenger_version=rollout.challenger_version,
        challenger_digest=rollout.challenger_digest,
        challenger_alias=rollout.challenger_alias,
        step=rollout.step,
        share=rollout.share,
        on_success=SUCCESSES[plan.on_success],
        actor=rollout.actor,
        note=rollout.note,
        message=rollout.message,
        reason_code=rollout.reason_code,
        revision=rollout.revision,
        log_index=rollout.log_index,
        policy_digest=rollout.policy_digest,
    )
    for step in plan.steps:
        added = message.steps.add(share=step.share)
        added.min_duration.FromTimedelta(step.min_duration)
    message.bake_duration.FromTimedelta(plan.bake_duration)
    message.create_time.FromDatetime(rollout.created_at)
    message.step_time.FromDatetime(rollout.phase_at)
    if rollout.ended_at is not None:
        message.end_time.FromDatetime(rollout.ended_at)
    reported = (rollout.champion_reported_at, rollout.challenger_reported_at)
    if reported[0] is not None and reported[1] is not None:
        message.last_report_time.FromDatetime(min(reported[0], reported[1]))
    return message


def view_to_proto(view: RolloutView) -> rollouts_pb2.Rollout:
    """Return a rollout with its figures as the message that carries it."""
    message = rollout_to_proto(view.rollout)
    message.guardrails.extend(_verdict_to_proto(each) for each in view.verdicts)
    message.metrics.extend(_figures_to_proto(each) for each in view.figures)
    return message


def traffic_to_proto(traffic: Traffic) -> rollouts_pb2.Traffic:
    """Return who gets which traffic as the message that carries it."""
    return rollouts_pb2.Traffic(
        alias=str(traffic.name),
        revision=traffic.revision,
        alias_revision=traffic.alias_revision,
        answering=_targets_to_proto(traffic.answering),
        mirrored=_targets_to_proto(traffic.mirrored),
        rollout=str(traffic.rollout or ""),
    )


def points_from_proto(messages: Iterable[rollouts_pb2.MetricPoint]) -> list[MetricPoint]:
    """Return the points of a batch; nothing of them is checked."""
    return [
        MetricPoint(
            message.version,
            message.metric,
            _microseconds(message.start_time),
            _microseconds(message.end_time),
            message.count,
            message.sum,
            message.sum_of_squares,
            _DIRECTION_WORDS.get(message.direction, ""),
        )
        for message in messages
    ]


def _microseconds(time: Timestamp) -> int | None:
    """Return a time in microseconds since 1970; None for one that is not said, or is 1970 itself."""
    seconds, nanos = time.seconds, time.nanos
    return seconds * 1_000_000 + nanos // 1000 if seconds or nanos else None


def _verdict_to_proto(verdict: GuardrailVerdict) -> rollouts_pb2.GuardrailResult:
    message = rollouts_pb2.GuardrailResult(
        rule=verdict.rule,
        metric=verdict.metric,
        status=_STATUSES[verdict.status],
        message=verdict.message,
        challenger_samples=verdict.challenger.count,
        champion_samples=verdict.champion.count,
        evidence=verdict.evidence,
        false_alarm_rate=verdict.false_alarm_rate,
    )
    if verdict.challenger.count:
        message.challenger_value = verdict.challenger.mean
    if verdict.champion.count:
        message.champion_value = verdict.champion.mean
    if verdict.limit is not None:
        message.limit = verdict.limit
    return message


def _figures_to_proto(figures: MetricFigures) -> rollouts_pb2.MetricComparison:
    return rollouts_pb2.MetricComparison(
        metric=figures.metric,
        direction=_DIRECTIONS[figures.direction],
        champion=_summary_to_proto(figures.champion),
        challenger=_summary_to_proto(figures.challenger),
    )


def _summary_to_proto(samples: Samples) -> rollouts_pb2.MetricSummary:
    message = rollouts_pb2.MetricSummary(count=samples.count)
    if samples.count:
        message.mean = samples.mean
    if samples.count >= 2:
        message.standard_deviation = samples.variance**0.5
    return message


def _targets_to_proto(targets: Iterable[Target]) -> list[rollouts_pb2.TrafficTarget]:
    return [
        rollouts_pb2.TrafficTarget(version=each.version, bundle_digest=each.bundle_digest, share=each.share)
        for each in targets
    ]

"""The rollouts of a fake environment: they change when a test says so, and judge nothing."""

# ruff: noqa: N802  the contract's names

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from carnet.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    OffsetOutOfRangeError,
    UnavailableError,
)
from carnet.references import parse_resource_name
from carnet.registry.v1 import rollouts_pb2, rollouts_pb2_grpc
from carnet.rollouts import RolloutState, describe_standing
from carnet.translog.entry import EntryType

if TYPE_CHECKING:
    from tests.unit.carnet.client.fake_environment import FakeEnvironment

_ENDED = {
    rollouts_pb2.ROLLOUT_STATE_SUCCEEDED,
    rollouts_pb2.ROLLOUT_STATE_ROLLED_BACK,
    rollouts_pb2.ROLLOUT_STATE_STOPPED,
}


@dataclass
class FakeRollouts:
    """What an environment holds of rollouts.

    Attributes:
        held: The rollouts by name.
        traffic: Who gets which traffic, by the alias's name.
        batches: The batches of metrics that were taken, by request id.
        refusals_to_come: How many reports are answered with UNAVAILABLE.
        answers_to_lose: How many reports are taken, and answered with UNAVAILABLE.
        reporting_interval: What reports are answered with.
        changed: Notified when traffic changes.
    """

    held: dict[str, rollouts_pb2.Rollout] = field(default_factory=dict)
    traffic: dict[str, rollouts_pb2.Traffic] = field(default_factory=dict)
    batches: dict[str, rollouts_pb2.ReportMetricsRequest] = field(default_factory=dict)
    refusals_to_come: int = 0
    answers_to_lose: int = 0
    reporting_interval: timedelta = timedelta(seconds=30)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def share_out(self, alias: str, *answering: tuple[int, float], **parts: Any) -> None:
        """Say who gets which traffic from now on."""
        with self.changed:
            before = self.traffic.get(alias)
            self.traffic[alias] = rollouts_pb2.Traffic(
                alias=alias,
                revision=(before.revision if before else 0) + 1,
                alias_revision=1,
                answering=[_target(*each) for each in answering],
                mirrored=[_target(*each) for each in parts.pop("mirrored", ())],
                **parts,
            )
            self.changed.notify_all()

    def end(self, name: str, state: str, reason_code: str) -> None:
        """End a rollout."""
        rollout = self.held[name]
        rollout.state = rollouts_pb2.RolloutState.Value(f"ROLLOUT_STATE_{state}")
        rollout.share = 1.0 if state == "SUCCEEDED" else 0.0
        rollout.reason_code = reason_code
        rollout.message = f"it is {state.lower()}"


def _target(version: int, share: float) -> rollouts_pb2.TrafficTarget:
    return rollouts_pb2.TrafficTarget(version=version, bundle_digest=f"{version:064x}", share=share)


class FakeRolloutService(rollouts_pb2_grpc.RolloutServiceServicer):
    def __init__(self, environment: FakeEnvironment) -> None:
        self.here = environment
        self.book = environment.rollouts

    def StartRollout(self, request, context):
        mine = [each for name, each in self.book.held.items() if name.startswith(f"{request.parent}/")]
        if any(each.state not in _ENDED for each in mine):
            raise ConflictError(f"{request.parent} has a rollout that has not ended")
        rollout = rollouts_pb2.Rollout(
            name=f"{request.parent}/rollouts/{len(mine) + 1}",
            kind=request.kind,
            state=rollouts_pb2.ROLLOUT_STATE_RUNNING,
            alias=request.parent.rsplit("/", 1)[-1],
            champion_version=1,
            champion_digest=f"{1:064x}",
            challenger_version=request.challenger_version or 2,
            challenger_digest=f"{request.challenger_version or 2:064x}",
            challenger_alias=request.challenger_alias or "challenger",
            steps=request.steps,
            share=request.steps[0].share,
            on_success=request.on_success,
            bake_duration=request.bake_duration,
            note=request.note,
            revision=1,
        )
        rollout.guardrails.add(
            rule="latency-guardrail",
            metric="latency_ms",
            status=rollouts_pb2.GUARDRAIL_STATUS_COLLECTING,
            message="latency_ms: 0 of 100 samples of the challenger",
            false_alarm_rate=0.01,
        )
        if request.validate_only:
            return rollouts_pb2.StartRolloutResponse(rollout=rollout)
        rollout.log_index = self._log(rollout, EntryType.ROLLOUT_STARTED)
        self.book.held[rollout.name] = rollout
        return rollouts_pb2.StartRolloutResponse(
            rollout=rollout, receipt=self.here.log.receipt(rollout.log_index)
        )

    def _log(self, rollout: rollouts_pb2.Rollout, kind: EntryType) -> int:
        parts = parse_resource_name(rollout.name, field="name", want="rollout")
        subject = {
            "namespace": parts.namespace,
            "model": parts.model,
            "alias": parts.alias,
            "version": rollout.challenger_version,
            "rollout": parts.rollout,
        }
        state = RolloutState(
            rollouts_pb2.RolloutState.Name(rollout.state).removeprefix("ROLLOUT_STATE_").lower()
        )
        return self.here.log.append(kind, subject, new=describe_standing(state, rollout.share))

    def _of(self, name: str) -> rollouts_pb2.Rollout:
        if name not in self.book.held:
            raise NotFoundError(f"there is no rollout {name}")
        return self.book.held[name]

    def GetRollout(self, request, context):
        return rollouts_pb2.GetRolloutResponse(rollout=self._of(request.name))

    def ListRollouts(self, request, context):
        """One rollout a page, so that paging is used."""
        found = [
            each
            for name, each in reversed(self.book.held.items())
            if (request.parent == "namespaces/-" or name.startswith(f"{request.parent}/"))
            and not (request.active and each.state in _ENDED)
        ]
        at = int(request.page_token or 0)
        return rollouts_pb2.ListRolloutsResponse(
            rollouts=found[at : at + 1], next_page_token=str(at + 1) if at + 1 < len(found) else ""
        )

    def StopRollout(self, request, context):
        rollout = self._end(request.name, "STOPPED", request.reason_code)
        return rollouts_pb2.StopRolloutResponse(
            rollout=rollout, receipt=self.here.log.receipt(rollout.log_index)
        )

    def CompleteRollout(self, request, context):
        rollout = self._end(request.name, "SUCCEEDED", "completed")
        return rollouts_pb2.CompleteRolloutResponse(
            rollout=rollout, receipt=self.here.log.receipt(rollout.log_index)
        )

    def _end(self, name: str, state: str, reason_code: str) -> rollouts_pb2.Rollout:
        rollout = self._of(name)
        if rollout.state not in _ENDED:
            self.book.end(name, state, reason_code)
            rollout.log_index = self._log(rollout, EntryType.ROLLOUT_CHANGED)
        return rollout

    def ReportMetrics(self, request, context):
        if self.book.refusals_to_come:
            self.book.refusals_to_come -= 1
            raise UnavailableError("going down", retry_after_seconds=0.01)
        rollout = self._of(request.name)
        if any(each.metric == "refused" for each in request.points):
            raise InvalidInputError("points[0].metric: no such metric", metadata={"field": "points"})
        accepted = 0
        if request.request_id not in self.book.batches and rollout.state not in _ENDED:
            self.book.batches[request.request_id] = request
            accepted = len(request.points)
        if self.book.answers_to_lose:
            self.book.answers_to_lose -= 1
            raise UnavailableError("the answer is lost", retry_after_seconds=0.01)
        answer = rollouts_pb2.ReportMetricsResponse(state=rollout.state, accepted_count=accepted)
        answer.reporting_interval.FromTimedelta(self.book.reporting_interval)
        return answer

    def GetTraffic(self, request, context):
        if request.name not in self.book.traffic:
            raise NotFoundError(f"there is no alias {request.name}")
        return rollouts_pb2.GetTrafficResponse(traffic=self.book.traffic[request.name])

    def WatchTraffic(self, request, context):
        told = request.after_revision
        known = self.book.traffic.get(request.name)
        if told > (known.revision if known else 0):
            raise OffsetOutOfRangeError(f"it is at revision {known.revision if known else 0}")
        while context.is_active():
            with self.book.changed:
                state = self.book.traffic.get(request.name)
                if told > (state.revision if state else 0):
                    raise UnavailableError("it is put back, and begins anew")
                if state is None or state.revision <= told:
                    self.book.changed.wait(0.02)
                    continue
            told = state.revision
            yield rollouts_pb2.WatchTrafficResponse(traffic=state)
            if self.here.watches_to_break:
                self.here.watches_to_break -= 1
                raise UnavailableError("going down")

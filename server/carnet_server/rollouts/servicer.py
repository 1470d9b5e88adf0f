"""RolloutService over gRPC."""

from __future__ import annotations

from contextlib import aclosing
from datetime import timedelta
from typing import TYPE_CHECKING

from carnet.errors import InvalidInputError
from carnet.references import parse_resource_name
from carnet.registry.v1 import rollouts_pb2, rollouts_pb2_grpc
from carnet_server.access.permissions import ALL_NAMESPACES
from carnet_server.access.scope import current_caller
from carnet_server.log.proto import receipt_to_proto
from carnet_server.rollouts.metrics import check_size
from carnet_server.rollouts.plan import RolloutSuccess, Step
from carnet_server.rollouts.proto import (
    KINDS,
    STATES,
    SUCCESSES,
    points_from_proto,
    rollout_to_proto,
    traffic_to_proto,
    view_to_proto,
)
from carnet_server.rollouts.start_request import StartRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from google.protobuf.duration_pb2 import Duration

    from carnet.references import ResourceName
    from carnet.serving.call_scope import ServicerContext
    from carnet_server.rollouts.service import RolloutsService

_KINDS = {number: kind for kind, number in KINDS.items()}
_SUCCESSES = {number: success for success, number in SUCCESSES.items()} | {
    rollouts_pb2.ROLLOUT_SUCCESS_UNSPECIFIED: RolloutSuccess.HOLD
}


class RolloutServicer(rollouts_pb2_grpc.RolloutServiceServicer):
    """Answers RolloutService's calls."""

    def __init__(self, rollouts: RolloutsService) -> None:
        self._rollouts = rollouts

    async def StartRollout(
        self, request: rollouts_pb2.StartRolloutRequest, context: ServicerContext
    ) -> rollouts_pb2.StartRolloutResponse:
        """Begin a rollout."""
        wanted = StartRequest.of(
            parse_resource_name(request.parent, field="parent", want="alias"),
            kind=_KINDS.get(request.kind),
            challenger_version=request.challenger_version,
            challenger_alias=request.challenger_alias,
            steps=tuple(
                Step(step.share, _duration(step.min_duration, field=f"steps[{index}].min_duration"))
                for index, step in enumerate(request.steps)
            ),
            on_success=_SUCCESSES.get(request.on_success),
            bake_duration=_duration(request.bake_duration, field="bake_duration"),
            note=request.note,
            request_id=request.request_id,
        )
        started = await self._rollouts.start_rollout(
            current_caller(), wanted, validate_only=request.validate_only
        )
        return rollouts_pb2.StartRolloutResponse(
            rollout=view_to_proto(started.view),
            receipt=receipt_to_proto(started.receipt) if started.receipt else None,
        )

    async def GetRollout(
        self, request: rollouts_pb2.GetRolloutRequest, context: ServicerContext
    ) -> rollouts_pb2.GetRolloutResponse:
        """Read one rollout."""
        view = await self._rollouts.get(_rollout_name(request.name))
        return rollouts_pb2.GetRolloutResponse(rollout=view_to_proto(view))

    async def ListRollouts(
        self, request: rollouts_pb2.ListRolloutsRequest, context: ServicerContext
    ) -> rollouts_pb2.ListRolloutsResponse:
        """List rollouts."""
        everywhere = request.parent == ALL_NAMESPACES
        wanted = "namespace or model or alias"
        page, token = await self._rollouts.list_page(
            current_caller(),
            None if everywhere else parse_resource_name(request.parent, field="parent", want=wanted),
            active=request.active,
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return rollouts_pb2.ListRolloutsResponse(
            rollouts=[rollout_to_proto(each) for each in page], next_page_token=token
        )

    async def StopRollout(
        self, request: rollouts_pb2.StopRolloutRequest, context: ServicerContext
    ) -> rollouts_pb2.StopRolloutResponse:
        """End a rollout."""
        stopped = await self._rollouts.stop_rollout(
            current_caller(),
            _rollout_name(request.name),
            reason_code=request.reason_code,
            note=request.note,
        )
        return rollouts_pb2.StopRolloutResponse(
            rollout=view_to_proto(stopped.view),
            receipt=receipt_to_proto(stopped.receipt) if stopped.receipt else None,
        )

    async def CompleteRollout(
        self, request: rollouts_pb2.CompleteRolloutRequest, context: ServicerContext
    ) -> rollouts_pb2.CompleteRolloutResponse:
        """Move the alias to the challenger."""
        completed = await self._rollouts.complete(
            current_caller(), _rollout_name(request.name), note=request.note
        )
        return rollouts_pb2.CompleteRolloutResponse(
            rollout=view_to_proto(completed.view),
            receipt=receipt_to_proto(completed.receipt) if completed.receipt else None,
        )

    async def ReportMetrics(
        self, request: rollouts_pb2.ReportMetricsRequest, context: ServicerContext
    ) -> rollouts_pb2.ReportMetricsResponse:
        """Take what a monitor measured."""
        check_size(len(request.points))
        reported = await self._rollouts.report(
            current_caller(),
            _rollout_name(request.name),
            request_id=request.request_id,
            points=points_from_proto(request.points),
        )
        answer = rollouts_pb2.ReportMetricsResponse(
            state=STATES[reported.state], accepted_count=reported.accepted_count
        )
        answer.reporting_interval.FromTimedelta(reported.reporting_interval)
        return answer

    async def GetTraffic(
        self, request: rollouts_pb2.GetTrafficRequest, context: ServicerContext
    ) -> rollouts_pb2.GetTrafficResponse:
        """Read who gets which traffic."""
        name = parse_resource_name(request.name, field="name", want="alias")
        return rollouts_pb2.GetTrafficResponse(traffic=traffic_to_proto(await self._rollouts.traffic(name)))

    async def WatchTraffic(
        self, request: rollouts_pb2.WatchTrafficRequest, context: ServicerContext
    ) -> AsyncIterator[rollouts_pb2.WatchTrafficResponse]:
        """Stream who gets which traffic."""
        name = parse_resource_name(request.name, field="name", want="alias")
        states = self._rollouts.watch_traffic(name, request.after_revision)
        async with aclosing(states):
            async for traffic in states:
                yield rollouts_pb2.WatchTrafficResponse(traffic=traffic_to_proto(traffic))


def _rollout_name(value: str) -> ResourceName:
    return parse_resource_name(value, field="name", want="rollout")


def _duration(value: Duration, *, field: str) -> timedelta:
    """Return a duration; what is under a microsecond is cut off."""
    try:
        return timedelta(seconds=value.seconds, microseconds=int(value.nanos / 1000))
    except OverflowError as error:
        raise InvalidInputError(
            f"{field}: {value.seconds} seconds are no duration", metadata={"field": field}
        ) from error

"""RetentionService over gRPC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from carnet.errors import InvalidInputError
from carnet.references import ResourceName, parse_resource_name
from carnet.registry.v1 import retention_pb2, retention_pb2_grpc
from carnet_server.access.permissions import ALL_NAMESPACES
from carnet_server.access.scope import current_caller
from carnet_server.log.proto import receipt_to_proto
from carnet_server.retention.proto import hold_to_proto, hygiene_to_proto, purged_to_proto

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

    from carnet.serving.call_scope import ServicerContext
    from carnet_server.retention.erasing import Erasing
    from carnet_server.retention.holds import Holds
    from carnet_server.retention.hygiene import Hygiene
    from carnet_server.retention.purge import Purge

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class RetentionServicer(retention_pb2_grpc.RetentionServiceServicer):
    """Answers RetentionService's calls."""

    def __init__(self, purge: Purge, holds: Holds, erasing: Erasing, hygiene: Hygiene) -> None:
        self._purge = purge
        self._holds = holds
        self._erasing = erasing
        self._hygiene = hygiene

    async def PurgeVersions(
        self, request: retention_pb2.PurgeVersionsRequest, context: ServicerContext
    ) -> retention_pb2.PurgeVersionsResponse:
        """Purge what the policy lets go, or tell of it."""
        purged, token = await self._purge.run(
            current_caller(),
            _place(request.parent, want="namespace or model or version"),
            keep_last=request.keep_last if request.HasField("keep_last") else None,
            excluded=request.excluded,
            reason=request.reason,
            validate_only=request.validate_only,
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return retention_pb2.PurgeVersionsResponse(
            versions=[purged_to_proto(each) for each in purged], next_page_token=token
        )

    async def PlaceHold(
        self, request: retention_pb2.PlaceHoldRequest, context: ServicerContext
    ) -> retention_pb2.PlaceHoldResponse:
        """Hold a version or a model."""
        placed = await self._holds.place(
            current_caller(),
            parse_resource_name(request.name, field="name", want="version or model"),
            reason=request.reason,
            expires_at=_time(request.expire_time) if request.HasField("expire_time") else None,
            request_id=request.request_id,
        )
        return retention_pb2.PlaceHoldResponse(
            hold=hold_to_proto(placed.hold), receipt=receipt_to_proto(placed.receipt)
        )

    async def ReleaseHold(
        self, request: retention_pb2.ReleaseHoldRequest, context: ServicerContext
    ) -> retention_pb2.ReleaseHoldResponse:
        """End a hold."""
        released = await self._holds.release(
            current_caller(),
            parse_resource_name(request.name, field="name", want="version or model"),
            request.hold,
            request.reason,
        )
        return retention_pb2.ReleaseHoldResponse(
            hold=hold_to_proto(released.hold), receipt=receipt_to_proto(released.receipt)
        )

    async def ListHolds(
        self, request: retention_pb2.ListHoldsRequest, context: ServicerContext
    ) -> retention_pb2.ListHoldsResponse:
        """List holds."""
        page, token = await self._holds.list_page(
            current_caller(),
            _place(request.parent, want="namespace or model"),
            include_ended=request.include_ended,
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return retention_pb2.ListHoldsResponse(
            holds=[hold_to_proto(each) for each in page], next_page_token=token
        )

    async def EraseDocument(
        self, request: retention_pb2.EraseDocumentRequest, context: ServicerContext
    ) -> retention_pb2.EraseDocumentResponse:
        """Erase a document that entries rest on."""
        erased = await self._erasing.erase(
            current_caller(), request.digest, reason_code=request.reason_code, note=request.note
        )
        return retention_pb2.EraseDocumentResponse(
            digest=erased.digest,
            erased_before=erased.erased_before,
            receipt=receipt_to_proto(erased.receipt),
        )

    async def GetHygiene(
        self, request: retention_pb2.GetHygieneRequest, context: ServicerContext
    ) -> retention_pb2.GetHygieneResponse:
        """Tell what looks neglected."""
        place = _place(request.parent, want="namespace")
        report = await self._hygiene.report(
            current_caller(), place.namespace if place else "", stale_days=request.stale_days
        )
        return hygiene_to_proto(report)


def _place(parent: str, *, want: str) -> ResourceName | None:
    """Return what a call is about; None for all namespaces."""
    return None if parent == ALL_NAMESPACES else parse_resource_name(parent, field="parent", want=want)


def _time(message: Timestamp) -> datetime:
    try:
        return _EPOCH + timedelta(seconds=message.seconds, microseconds=message.nanos // 1000)
    except OverflowError as error:
        raise InvalidInputError(
            f"expire_time: {message.seconds} s is out of range", metadata={"field": "expire_time"}
        ) from error

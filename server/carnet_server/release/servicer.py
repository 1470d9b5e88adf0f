"""ReleaseService over gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.timestamp_pb2 import Timestamp

from carnet.canonical import check_digest
from carnet.references import parse_resource_name
from carnet.registry.v1 import admission_pb2, admission_pb2_grpc
from carnet_server.access.scope import current_caller
from carnet_server.admission.domain import check_promotion
from carnet_server.log.proto import receipt_from_proto, receipt_to_proto

if TYPE_CHECKING:
    from carnet.references import ResourceName
    from carnet.serving.call_scope import ServicerContext
    from carnet_server.release.service import ReleaseService


class ReleaseServicer(admission_pb2_grpc.ReleaseServiceServicer):
    """Answers ReleaseService's calls."""

    def __init__(self, service: ReleaseService) -> None:
        self._service = service

    async def CreateRelease(
        self, request: admission_pb2.CreateReleaseRequest, context: ServicerContext
    ) -> admission_pb2.CreateReleaseResponse:
        """Sign a fresh release statement."""
        signed = await self._service.create_release(
            current_caller(),
            _version_name(request.name),
            promotion=check_promotion(request.promotion, field="promotion"),
            target=request.target,
        )
        return admission_pb2.CreateReleaseResponse(
            release=signed.envelope, receipt=receipt_to_proto(signed.receipt), stamps=signed.stamps
        )

    async def CreateReadCapability(
        self, request: admission_pb2.CreateReadCapabilityRequest, context: ServicerContext
    ) -> admission_pb2.CreateReadCapabilityResponse:
        """Sign a short-lived right to read blobs of a version."""
        signed = await self._service.create_read_capability(
            current_caller(),
            _version_name(request.name),
            promotion=check_promotion(request.promotion, field="promotion"),
            target=request.target,
            digests=[check_digest(digest, field="digests") for digest in request.digests],
        )
        expire_time = Timestamp()
        expire_time.FromDatetime(signed.expires_at)
        return admission_pb2.CreateReadCapabilityResponse(capability=signed.envelope, expire_time=expire_time)

    async def RecordAdmission(
        self, request: admission_pb2.RecordAdmissionRequest, context: ServicerContext
    ) -> admission_pb2.RecordAdmissionResponse:
        """Write the target's decision and receipt into this log."""
        receipt = await self._service.record_admission(
            current_caller(),
            _version_name(request.name),
            decision=request.decision,
            target_receipt=receipt_from_proto(request.target_receipt),
        )
        return admission_pb2.RecordAdmissionResponse(receipt=receipt_to_proto(receipt))


def _version_name(value: str) -> ResourceName:
    return parse_resource_name(value, field="name", want="version")

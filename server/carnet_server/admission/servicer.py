"""AdmissionService over gRPC."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from carnet.errors import InvalidInputError
from carnet.registry.v1 import admission_pb2, admission_pb2_grpc
from carnet_server.access.scope import current_caller
from carnet_server.admission.domain import parse_admission_name
from carnet_server.admission.proto import (
    admission_to_proto,
    approval_to_proto,
    input_from_proto,
    replayed_to_proto,
)
from carnet_server.blobs.domain import check_blob, check_find
from carnet_server.log.proto import receipt_to_proto

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from carnet.serving.call_scope import ServicerContext
    from carnet_server.admission.service import AdmissionService


class AdmissionServicer(admission_pb2_grpc.AdmissionServiceServicer):
    """Answers AdmissionService's calls."""

    def __init__(self, service: AdmissionService) -> None:
        self._service = service

    async def EvaluateAdmission(
        self, request: admission_pb2.EvaluateAdmissionRequest, context: ServicerContext
    ) -> admission_pb2.EvaluateAdmissionResponse:
        """Check a promotion against the policy as it stands now."""
        view = await self._service.evaluate(
            current_caller(),
            input_from_proto(request.input),
            epoch=_check_epoch(request.epoch),
            validate_only=request.validate_only,
        )
        return admission_pb2.EvaluateAdmissionResponse(admission=admission_to_proto(view))

    async def GetAdmission(
        self, request: admission_pb2.GetAdmissionRequest, context: ServicerContext
    ) -> admission_pb2.GetAdmissionResponse:
        """Read a promotion's state."""
        view = await self._service.get(current_caller(), parse_admission_name(request.name))
        return admission_pb2.GetAdmissionResponse(admission=admission_to_proto(view))

    async def SubmitApproval(
        self, request: admission_pb2.SubmitApprovalRequest, context: ServicerContext
    ) -> admission_pb2.SubmitApprovalResponse:
        """Write an approver's signed statement."""
        kept = await self._service.submit_approval(
            current_caller(), parse_admission_name(request.name), request.envelope
        )
        return admission_pb2.SubmitApprovalResponse(
            approval=approval_to_proto(kept.approval),
            admission=admission_to_proto(kept.view),
            receipt=receipt_to_proto(kept.receipt),
        )

    async def PullBlobs(
        self, request: admission_pb2.PullBlobsRequest, context: ServicerContext
    ) -> AsyncIterator[admission_pb2.PullBlobsResponse]:
        """Fetch blobs from the source registry, and tell how far it is."""
        check_find(len(request.blobs))
        progress = self._service.pull(
            current_caller(),
            parse_admission_name(request.name),
            [check_blob(blob.digest, blob.size_bytes, field="blobs") for blob in request.blobs],
            capability=request.capability,
            epoch=_check_epoch(request.epoch),
        )
        async with contextlib.aclosing(progress) as told:
            async for each in told:
                yield admission_pb2.PullBlobsResponse(
                    transferred_bytes=each.transferred_bytes,
                    total_bytes=each.total_bytes,
                    completed_blobs=each.completed_blobs,
                )

    async def Admit(
        self, request: admission_pb2.AdmitRequest, context: ServicerContext
    ) -> admission_pb2.AdmitResponse:
        """Admit the version."""
        view, already_admitted = await self._service.admit(
            current_caller(),
            parse_admission_name(request.name),
            release=request.release,
            evidence=tuple(request.evidence),
            stamps=tuple(request.stamps),
            epoch=_check_epoch(request.epoch),
        )
        return admission_pb2.AdmitResponse(
            admission=admission_to_proto(view), already_admitted=already_admitted
        )

    async def CancelAdmission(
        self, request: admission_pb2.CancelAdmissionRequest, context: ServicerContext
    ) -> admission_pb2.CancelAdmissionResponse:
        """End a promotion at its requester's or an operator's signed word."""
        receipt = await self._service.cancel(
            current_caller(), parse_admission_name(request.name), request.envelope
        )
        return admission_pb2.CancelAdmissionResponse(receipt=receipt_to_proto(receipt))

    async def ReplayPolicy(
        self, request: admission_pb2.ReplayPolicyRequest, context: ServicerContext
    ) -> admission_pb2.ReplayPolicyResponse:
        """Evaluate a policy that is not in force over decisions that were made here."""
        replayed, token = await self._service.replay(
            request.policy, page_size=request.page_size, page_token=request.page_token
        )
        return admission_pb2.ReplayPolicyResponse(
            decisions=[replayed_to_proto(each) for each in replayed], next_page_token=token
        )


def _check_epoch(epoch: int) -> int:
    if epoch < 0:
        raise InvalidInputError(
            f"epoch: {epoch} is negative; a fencing epoch counts up from 0", metadata={"field": "epoch"}
        )
    return epoch

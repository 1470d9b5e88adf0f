"""EvidenceService over gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.references import parse_resource_name
from carnet.registry.v1 import evidence_pb2, evidence_pb2_grpc
from carnet_server.access.scope import current_caller
from carnet_server.log.proto import receipt_to_proto

if TYPE_CHECKING:
    from carnet.serving.call_scope import ServicerContext
    from carnet_server.evidence.domain import Evidence
    from carnet_server.evidence.service import EvidenceService


class EvidenceServicer(evidence_pb2_grpc.EvidenceServiceServicer):
    """Answers EvidenceService's calls."""

    def __init__(self, evidence: EvidenceService) -> None:
        self._evidence = evidence

    async def AddEvidence(
        self, request: evidence_pb2.AddEvidenceRequest, context: ServicerContext
    ) -> evidence_pb2.AddEvidenceResponse:
        """Add an attestation."""
        name = parse_resource_name(request.parent, field="parent", want="version")
        added = await self._evidence.add(current_caller(), name, request.envelope)
        return evidence_pb2.AddEvidenceResponse(
            evidence=evidence_to_proto(added.evidence),
            already_held=added.already_held,
            receipt=receipt_to_proto(added.receipt),
        )

    async def ListEvidence(
        self, request: evidence_pb2.ListEvidenceRequest, context: ServicerContext
    ) -> evidence_pb2.ListEvidenceResponse:
        """List what is held about a bundle."""
        name = parse_resource_name(request.parent, field="parent", want="version")
        page, token = await self._evidence.list_page(
            name, request.bundle_digest, page_size=request.page_size, page_token=request.page_token
        )
        return evidence_pb2.ListEvidenceResponse(
            evidence=[evidence_to_proto(evidence) for evidence in page], next_page_token=token
        )


def evidence_to_proto(evidence: Evidence) -> evidence_pb2.Evidence:
    """Return an attestation as the message that carries it."""
    message = evidence_pb2.Evidence(
        digest=evidence.digest,
        bundle_digest=evidence.bundle_digest,
        predicate_type=evidence.predicate_type,
        suite=evidence.suite,
        result=evidence.result,
        signer=evidence.signer,
        trusted=evidence.trusted,
        log_index=evidence.log_index,
        envelope=evidence.envelope,
    )
    message.create_time.FromDatetime(evidence.created_at)
    return message

"""IdentityService over gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.references import ResourceName
from carnet.registry.v1 import identity_pb2, identity_pb2_grpc
from carnet_server.access.scope import current_caller

if TYPE_CHECKING:
    from carnet.serving.call_scope import ServicerContext
    from carnet_server.identity.domain import JudgedUse
    from carnet_server.identity.issuing import IssuingService
    from carnet_server.identity.uses import KeyUsesService


class IdentityServicer(identity_pb2_grpc.IdentityServiceServicer):
    """Answers IdentityService's calls."""

    def __init__(self, issuing: IssuingService, uses: KeyUsesService) -> None:
        self._issuing = issuing
        self._uses = uses

    async def IssueCertificate(
        self, request: identity_pb2.IssueCertificateRequest, context: ServicerContext
    ) -> identity_pb2.IssueCertificateResponse:
        """Certify a job's key for one payload."""
        issued = await self._issuing.issue(
            current_caller(), request.certificate_request, request.payload_digest
        )
        answer = identity_pb2.IssueCertificateResponse(
            certificate_chain=issued.certificate.pem,
            subject=issued.certificate.subject,
            log_index=issued.log_index,
        )
        answer.expires_at.FromDatetime(issued.certificate.expires_at)
        return answer

    async def ListKeyUses(
        self, request: identity_pb2.ListKeyUsesRequest, context: ServicerContext
    ) -> identity_pb2.ListKeyUsesResponse:
        """List what was signed with a key, or as a subject."""
        page, token = await self._uses.list_page(
            key_id=request.key_id,
            subject=request.subject,
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return identity_pb2.ListKeyUsesResponse(
            uses=[_use_to_proto(each) for each in page], next_page_token=token
        )


def _use_to_proto(judged: JudgedUse) -> identity_pb2.KeyUse:
    use = judged.use
    message = identity_pb2.KeyUse(
        kind=identity_pb2.KeyUseKind.ValueType(use.kind),
        version=str(ResourceName(use.namespace, use.model, use.version)),
        bundle_digest=use.bundle_digest,
        key_id=use.key_id,
        subject=use.subject,
        promotion=use.promotion,
        log_index=use.log_index,
        since_compromise=judged.since_compromise,
        live=use.live,
        aliases=judged.aliases,
    )
    message.create_time.FromDatetime(use.created_at)
    return message

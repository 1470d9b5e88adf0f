"""StampService over gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.references import parse_resource_name
from carnet.registry.v1 import stamps_pb2, stamps_pb2_grpc

if TYPE_CHECKING:
    from carnet.serving.call_scope import ServicerContext
    from carnet_server.stamps.service import StampsService


class StampServicer(stamps_pb2_grpc.StampServiceServicer):
    """Answers StampService's calls."""

    def __init__(self, service: StampsService) -> None:
        self._service = service

    async def GetStamps(
        self, request: stamps_pb2.GetStampsRequest, context: ServicerContext
    ) -> stamps_pb2.GetStampsResponse:
        """Give a version's stamps with the signed list of them."""
        name = parse_resource_name(request.name, field="name", want="version or alias")
        found = await self._service.get(name)
        return stamps_pb2.GetStampsResponse(
            list=found.list, statements=found.statements, receipts=found.receipts
        )

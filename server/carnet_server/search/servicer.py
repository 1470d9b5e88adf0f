"""SearchService over gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.references import parse_resource_name
from carnet.registry.v1 import search_pb2, search_pb2_grpc
from carnet_server.access.permissions import ALL_NAMESPACES
from carnet_server.access.scope import current_caller
from carnet_server.models.proto import version_to_proto

if TYPE_CHECKING:
    from carnet.serving.call_scope import ServicerContext
    from carnet_server.search.domain import FoundVersion
    from carnet_server.search.service import SearchService


class SearchServicer(search_pb2_grpc.SearchServiceServicer):
    """Answers SearchService's calls."""

    def __init__(self, search: SearchService) -> None:
        self._search = search

    async def SearchVersions(
        self, request: search_pb2.SearchVersionsRequest, context: ServicerContext
    ) -> search_pb2.SearchVersionsResponse:
        """Find versions."""
        everywhere = request.parent == ALL_NAMESPACES
        page, token = await self._search.search_versions(
            current_caller(),
            None
            if everywhere
            else parse_resource_name(request.parent, field="parent", want="namespace or model"),
            filter_text=request.filter,
            order_by=request.order_by,
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return search_pb2.SearchVersionsResponse(
            results=[_found_to_proto(each) for each in page], next_page_token=token
        )


def _found_to_proto(found: FoundVersion) -> search_pb2.FoundVersion:
    return search_pb2.FoundVersion(
        version=version_to_proto(found.version),
        labels=found.labels,
        metrics=found.metrics,
        aliases=found.aliases,
    )

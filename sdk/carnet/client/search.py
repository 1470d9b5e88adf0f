"""Finding versions by what is known of them.

Responsible for the client's side of the search service: the grammar of a filter is checked here, its fields
where it is answered. What comes back is what a registry states; ``resolve`` verifies a version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.client.messages import version_of
from carnet.client.paging import PAGE_SIZE
from carnet.client.results import FoundVersion
from carnet.client.session import Session
from carnet.errors import InternalError, InvalidInputError
from carnet.filtering.parser import parse_filter
from carnet.references import ResourceName, check_name
from carnet.registry.v1 import search_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Search(Session):
    """Operations that find."""

    async def search(
        self,
        environment: str,
        query: str = "",
        *,
        order_by: str = "",
        namespace: str = "",
        model: str = "",
        limit: int = 0,
    ) -> AsyncIterator[FoundVersion]:
        """Find the versions that a filter is true of; pages are asked for as they are needed.

        Args:
            environment: The environment.
            query: The filter, such as ``metrics.roc_auc > 0.95 AND labels.region = "eu"``; empty for all.
            order_by: The order, such as ``metrics.roc_auc desc, create_time``; empty for the newest first.
            namespace: One namespace; empty for all that this identity may read.
            model: One model of that namespace; empty for all.
            limit: How many at most; 0 for all.

        Yields:
            The versions, in that order.

        Raises:
            InvalidInputError: The filter or the order is malformed; the message says where.
            ReferenceInvalidError: The namespace or the model is no name.
            CarnetError: The call failed; the class says how.

        Example:
            >>> [str(each.version.reference) for each in client.search("dev", 'model = "fraud"')]
            ['dev/risk/fraud@1']
        """
        parse_filter(query)
        if limit < 0:
            raise InvalidInputError(f"limit: {limit} is negative; 0 is for all", metadata={"field": "limit"})
        registry = self._registry(environment)
        request = search_pb2.SearchVersionsRequest(
            parent=_parent(namespace, model),
            filter=query,
            order_by=order_by,
            page_size=min(limit, PAGE_SIZE) if limit else PAGE_SIZE,
        )
        found = 0
        while True:
            answer: search_pb2.SearchVersionsResponse = await registry.call(
                registry.search.SearchVersions, request
            )
            for each in answer.results:
                yield _found_of(each, environment)
                found += 1
                if found == limit:
                    return
            if not answer.next_page_token:
                return
            if answer.next_page_token == request.page_token:
                raise InternalError(f"{registry.peer} gave the same page twice")
            request.page_token = answer.next_page_token


def _parent(namespace: str, model: str) -> str:
    if not namespace:
        if model:
            raise InvalidInputError(
                f"model: {model!r} is of some namespace: name that too", metadata={"field": "namespace"}
            )
        return "namespaces/-"
    check_name(namespace, field="namespace")
    return str(ResourceName(namespace, check_name(model, field="model") if model else ""))


def _found_of(message: search_pb2.FoundVersion, environment: str) -> FoundVersion:
    return FoundVersion(
        version=version_of(message.version, environment),
        labels=dict(message.labels),
        metrics=dict(message.metrics),
        aliases=tuple(message.aliases),
    )

"""Searching: a filter, an order and a page, over what the caller may read."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from carnet.filtering.check import read_filter
from carnet.filtering.ordering import read_order
from carnet.serving.paging import page_limit
from carnet_server.access.permissions import READERS
from carnet_server.models.queries import list_namespaces
from carnet_server.search.paging import Order, decode_position, encode_position
from carnet_server.search.queries import find_versions, read_summaries

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from carnet.references import ResourceName
    from carnet_server.access.identity import Caller
    from carnet_server.database.engine import Database
    from carnet_server.search.domain import FoundVersion
    from carnet_server.search.paging import SortValue


def _now() -> datetime:
    return datetime.now(UTC)


class SearchService:
    """Finds versions.

    Args:
        database: The environment's database.
        clock: Tells what ages are counted to.
    """

    def __init__(self, database: Database, *, clock: Callable[[], datetime] = _now) -> None:
        self._database = database
        self._clock = clock

    async def search_versions(
        self,
        caller: Caller,
        parent: ResourceName | None,
        *,
        filter_text: str,
        order_by: str,
        page_size: int,
        page_token: str,
    ) -> tuple[list[FoundVersion], str]:
        """Find the versions that a filter is true of, among those that the caller may read.

        Args:
            caller: Who asks.
            parent: The namespace or the model to search in; None for every namespace.
            filter_text: The filter (AIP-160); empty for all.
            order_by: The order (AIP-132); empty for the newest first.
            page_size: How many at most; 0 for the default.
            page_token: The token of the page before; empty for the first.

        Returns:
            The versions, and the token of the next page; empty at the end.

        Raises:
            InvalidInputError: The filter, the order, the size or the token is malformed; of the first two,
                the message says where.
        """
        conditions = read_filter(filter_text)
        order = Order.of(read_order(order_by))
        query = json.dumps(["search", str(parent or ""), filter_text, order_by])
        position = decode_position(page_token, query, order)
        limit = page_limit(page_size)
        now = self._clock()

        def read(connection: Connection) -> tuple[list[FoundVersion], list[SortValue] | None]:
            there = [parent.namespace] if parent else list_namespaces(connection)
            found = find_versions(
                connection,
                [each for each in there if caller.roles_in(each) & READERS],
                conditions,
                order,
                model=parent.model if parent else "",
                position=position,
                now=now,
                limit=limit + 1,
            )
            page = read_summaries(connection, [version for version, _ in found[:limit]])
            return page, found[limit - 1][1] if len(found) > limit else None

        page, last = await self._database.read(read)
        return page, "" if last is None else encode_position(query, last)

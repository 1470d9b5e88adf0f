"""Reading a list to its end, page by page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from carnet.errors import InternalError

if TYPE_CHECKING:
    from carnet.client.connection import RegistryConnection, SyncConnection

PAGE_SIZE = 500


async def all_pages(
    connection: RegistryConnection | SyncConnection, method: Any, request: Any, field: str, *, limit: int = 0
) -> list[Any]:
    """Read all pages of a list.

    Args:
        connection: Whom to ask.
        method: The stub's method.
        request: Its request; its page fields are set here.
        field: The field of the response that has the items.
        limit: How many at most; 0 for all.

    Returns:
        The items, in the order of the pages.

    Raises:
        InternalError: The peer gave the same page token twice: the list would never end.
        CarnetError: The call failed; the class says how.
    """
    items: list[Any] = []
    request.page_size = min(limit, PAGE_SIZE) if limit else PAGE_SIZE
    while True:
        response = await connection.call(method, request)
        items.extend(getattr(response, field))
        if not response.next_page_token or (limit and len(items) >= limit):
            return items[:limit] if limit else items
        if response.next_page_token == request.page_token:
            raise InternalError(f"{connection.peer} gave the same page twice")
        request.page_token = response.next_page_token

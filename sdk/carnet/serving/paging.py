"""Pages: opaque tokens, bound to the query that they continue."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any

from carnet.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1000
_INTEGER_LIMIT = 2**63


def page_limit(page_size: int) -> int:
    """Return how many rows a page has: the default for 0, at most ``MAX_PAGE_SIZE``.

    Raises:
        InvalidInputError: The size is negative.
    """
    if page_size < 0:
        raise InvalidInputError(
            f"page_size: {page_size} is negative; use 0 for the server's choice",
            metadata={"field": "page_size"},
        )
    return min(page_size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)


def _bound(query: str) -> str:
    return hashlib.sha256(query.encode()).hexdigest()[:16]


def encode_page_token(query: str, position: Sequence[str | int]) -> str:
    """Return a token for the page behind a position.

    Args:
        query: A text that names the query and its parameters, page size aside.
        position: The sort key of the last row that was given.
    """
    return base64.urlsafe_b64encode(json.dumps([_bound(query), *position]).encode()).decode()


def decode_page_token(token: str, query: str, *shape: type[str | int]) -> list[Any] | None:
    """Return the position that a token stands for; None for the first page.

    Args:
        token: The token as received; empty for the first page.
        query: The text that the token was encoded with.
        shape: The type of each part of the position.

    Returns:
        The parts, of these types; integers fit 64 bits.

    Raises:
        InvalidInputError: The token is not one of ours, or is another query's.
    """
    if not token:
        return None
    try:
        bound, *position = json.loads(base64.urlsafe_b64decode(token.encode("ascii")))
        valid = bound == _bound(query) and [type(part) for part in position] == list(shape)
        valid = valid and all(abs(part) < _INTEGER_LIMIT for part in position if isinstance(part, int))
    except (ValueError, TypeError, RecursionError):
        valid = False
    if not valid:
        raise InvalidInputError(
            "page_token: not a token of this query; start again without one", metadata={"field": "page_token"}
        )
    return list(position)

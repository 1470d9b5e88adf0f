"""Page tokens of the list of promotions: opaque to callers, and bound to what was asked."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import datetime, timedelta

from carnet.errors import InvalidInputError
from carnet_sync.columns import EPOCH

DEFAULT_PAGE_SIZE = 100
LARGEST_PAGE_SIZE = 1000


def page_limit(page_size: int) -> int:
    """Return how many items a page has.

    Args:
        page_size: What the caller asks for; 0 for the server's choice.

    Raises:
        InvalidInputError: It is negative.
    """
    if page_size < 0:
        raise InvalidInputError(
            f"page_size: {page_size} is negative: leave it out, or ask for 1 to {LARGEST_PAGE_SIZE}",
            metadata={"field": "page_size"},
        )
    return min(page_size or DEFAULT_PAGE_SIZE, LARGEST_PAGE_SIZE)


def encode_page_token(created_at: datetime, promotion_id: str, *, active_only: bool) -> str:
    """Return the token of the page behind a promotion."""
    microseconds = (created_at - EPOCH) // timedelta(microseconds=1)
    position = json.dumps([active_only, microseconds, promotion_id], separators=(",", ":"))
    return base64.urlsafe_b64encode(position.encode()).decode("ascii")


def decode_page_token(token: str, *, active_only: bool) -> tuple[datetime, str] | None:
    """Return the time of creation and the id that a token stands behind; None for the first page.

    Raises:
        InvalidInputError: The token is not one of this list, or of the same question.
    """
    if not token:
        return None
    try:
        asked, microseconds, promotion_id = json.loads(base64.b64decode(token, altchars=b"-_", validate=True))
        valid = isinstance(microseconds, int) and isinstance(promotion_id, str) and asked is active_only
        if valid:
            return EPOCH + timedelta(microseconds=microseconds), promotion_id
    except (binascii.Error, ValueError, TypeError, OverflowError, RecursionError):
        pass
    raise InvalidInputError(
        "page_token: this is not a token that the same question was answered with: begin again without one",
        metadata={"field": "page_token"},
    )

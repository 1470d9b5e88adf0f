"""Page tokens of the list of promotions: bound to what was asked."""

from __future__ import annotations

from datetime import datetime, timedelta

from carnet.errors import InvalidInputError
from carnet.serving import paging
from carnet.serving.columns import EPOCH

_MICROSECOND = timedelta(microseconds=1)


def _query(*, active_only: bool) -> str:
    return f"promotions active_only={active_only}"


def encode_page_token(created_at: datetime, promotion_id: str, *, active_only: bool) -> str:
    """Return the token of the page behind a promotion."""
    position = ((created_at - EPOCH) // _MICROSECOND, promotion_id)
    return paging.encode_page_token(_query(active_only=active_only), position)


def decode_page_token(token: str, *, active_only: bool) -> tuple[datetime, str] | None:
    """Return the time of creation and the id that a token stands behind; None for the first page.

    Raises:
        InvalidInputError: The token is not one of this list, or of the same question.
    """
    match paging.decode_page_token(token, _query(active_only=active_only), int, str):
        case None:
            return None
        case [int(microseconds), str(promotion_id)] if abs(microseconds) < 2**55:
            return EPOCH + microseconds * _MICROSECOND, promotion_id
    raise InvalidInputError("page_token: not a token of this list", metadata={"field": "page_token"})

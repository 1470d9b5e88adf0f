"""Watching a promotion: its events behind a number, then each as it happens, until it has ended.

Responsible for an order without gaps or repeats by event number, and for telling mere progress at most five
times a second. Whoever resumes behind the last event is told once how the promotion stands.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from carnet.errors import InvalidInputError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from carnet_sync.promotions.changes import Changes
    from carnet_sync.promotions.domain import Event, Promotion
    from carnet_sync.promotions.service import PromotionsService

LOOK_AGAIN_SECONDS = 2.0
PROGRESS_SECONDS = 0.2


async def watch(
    service: PromotionsService, changes: Changes, promotion_id: str, after_sequence: int
) -> AsyncIterator[tuple[Promotion, Event | None]]:
    """Yield a promotion with each of its events; without one where only its progress changed.

    Args:
        service: Where the promotion is read.
        changes: What wakes this.
        promotion_id: The promotion.
        after_sequence: The last event that the watcher has.

    Raises:
        InvalidInputError: The number is negative.
        NotFoundError: The promotion is unknown here.
        UnavailableError: The service is stopping; watch again from the last event.
    """
    if after_sequence < 0:
        raise InvalidInputError(
            f"after_sequence: {after_sequence} is negative: use 0 for all events",
            metadata={"field": "after_sequence"},
        )
    seen, shown = after_sequence, None
    with changes.subscription(promotion_id) as changed:
        while True:
            changed.clear()
            promotion, events = await service.get(promotion_id, after_sequence=seen)
            for event in events:
                yield promotion, event
                seen = event.sequence
            progress = (promotion.transferred_bytes, promotion.total_bytes)
            if not events and progress != shown:
                yield promotion, None
            shown = progress
            if not promotion.state.active:
                return
            if changes.closed:
                raise UnavailableError("the promotion service is stopping: watch again from the last event")
            await asyncio.sleep(PROGRESS_SECONDS)
            try:
                await asyncio.wait_for(changed.wait(), LOOK_AGAIN_SECONDS)
            except TimeoutError:
                continue

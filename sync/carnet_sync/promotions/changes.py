"""Who waits for a promotion to change, in this process.

Responsible for waking watchers at once. It is a hint and nothing more: watchers read the database, and look
again from time to time, since another process may have made the change.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Changes:
    """Tells waiting watchers, on one event loop, that a promotion changed."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self.closed = False

    def tell(self, promotion_id: str) -> None:
        """Wake whoever waits for this promotion."""
        for event in self._waiting.get(promotion_id, ()):
            event.set()

    def close(self) -> None:
        """Wake everybody for the last time."""
        self.closed = True
        for promotion_id in self._waiting:
            self.tell(promotion_id)

    @contextlib.contextmanager
    def subscription(self, promotion_id: str) -> Iterator[asyncio.Event]:
        """Yield an event that every change sets; clear it before reading.

        Args:
            promotion_id: The promotion that is waited for.
        """
        event = asyncio.Event()
        self._waiting.setdefault(promotion_id, set()).add(event)
        try:
            yield event
        finally:
            events = self._waiting[promotion_id]
            events.discard(event)
            if not events:
                del self._waiting[promotion_id]

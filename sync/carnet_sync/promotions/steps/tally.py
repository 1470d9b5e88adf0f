"""How far a transfer is: bytes counted, and told no more often than people can read."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from carnet_sync.promotions.steps.step import ReportProgress

TELL_EVERY_SECONDS = 0.5


class Tally:
    """Counts the bytes of one transfer.

    Args:
        total_bytes: Bytes to carry in all.
        report: Where the count is told.
    """

    def __init__(self, total_bytes: int, report: ReportProgress) -> None:
        self.total_bytes = total_bytes
        self._before_bytes = 0
        self._parts: dict[str, int] = {}
        self._report = report

    @property
    def done_bytes(self) -> int:
        """Bytes that are over."""
        return min(self._before_bytes + sum(self._parts.values()), self.total_bytes)

    def begin(self, remaining_bytes: int) -> None:
        """Begin a round of the transfer with what is still to be carried."""
        self._before_bytes = self.total_bytes - remaining_bytes
        self._parts.clear()

    def count(self, part: str, done_bytes: int) -> None:
        """Say how much of one part of this round is over.

        Args:
            part: Whatever names the part.
            done_bytes: Its bytes that are over.
        """
        self._parts[part] = done_bytes

    async def follow(self, transfer: Coroutine[None, None, None]) -> None:
        """Run a transfer, and tell the count from time to time until it ends.

        Args:
            transfer: What counts its bytes here; it is cancelled when the count cannot be told.

        Raises:
            StaleEpochError: Another worker took the promotion over.
        """
        task = asyncio.ensure_future(transfer)
        try:
            await self._report(self.done_bytes, self.total_bytes)
            while not (await asyncio.wait({task}, timeout=TELL_EVERY_SECONDS))[0]:
                await self._report(self.done_bytes, self.total_bytes)
            task.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task})

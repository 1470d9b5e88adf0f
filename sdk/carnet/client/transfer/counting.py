"""How far a transfer is: bytes done and bytes in all.

Responsible for adding up what several blobs report. What was there already counts as done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class ByteCount:
    """Counts the bytes of a transfer that is made of several.

    Args:
        total: Bytes in all.
        progress: Told of bytes done and bytes in all; None for nobody.
    """

    def __init__(self, total: int, progress: Callable[[int, int], None] | None) -> None:
        self.total = total
        self.done = 0
        self._progress = progress

    def add(self, count: int) -> None:
        """Count bytes; fewer than none where some have to be carried again."""
        self.done += count
        if self._progress is not None and count:
            self._progress(self.done, self.total)


class BlobCount:
    """Counts the bytes of one blob within a transfer.

    Args:
        count: The transfer's.
    """

    def __init__(self, count: ByteCount) -> None:
        self._count = count
        self._reached = 0

    def at(self, reached: int) -> None:
        """Say how many of the blob's bytes are done."""
        self._count.add(reached - self._reached)
        self._reached = reached

"""What waits for a thread: handed over by others one at a time, and taken many at once.

Responsible for waking the thread no more often than it has something to do. While it gathers, whoever hands
something over wakes nobody, as each waking takes the interpreter from those who are about to hand over more.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Generic, TypeVar

GATHER_SECONDS = 0.05
GATHER_GAP_SECONDS = 0.01

Item = TypeVar("Item")


class Inbox(Generic[Item]):
    """A queue of one taker."""

    def __init__(self) -> None:
        self._items: deque[Item] = deque()
        self._ready = threading.Event()
        self._wanted = 1

    def __len__(self) -> int:
        """How many wait."""
        return len(self._items)

    def put(self, item: Item, *, urgent: bool = False) -> None:
        """Hand something over; never waits.

        Args:
            item: What is handed over.
            urgent: Whether the taker is woken for it, however few there are.
        """
        self._items.append(item)
        if urgent or len(self._items) >= self._wanted:
            self._ready.set()

    def wait(self, timeout_seconds: float, *, many: int) -> None:
        """Wait until something is there; and then for more, for as long as more keeps coming.

        Args:
            timeout_seconds: How long to wait for the first.
            many: How many are worth waiting for, ``GATHER_SECONDS`` at most; 1 for the first alone.
        """
        if not self._wait_for(1, timeout_seconds) or many <= 1:
            return
        end = time.monotonic() + GATHER_SECONDS
        there = 0
        while there < len(self._items) < many and (left := end - time.monotonic()) > 0:
            there = len(self._items)
            if self._wait_for(many, min(left, GATHER_GAP_SECONDS)):
                return

    def take(self) -> Item | None:
        """Take what came first; None where nothing waits."""
        return self._items.popleft() if self._items else None

    def _wait_for(self, wanted: int, timeout_seconds: float) -> bool:
        """Wait to be woken; returns at once where so many are there."""
        self._wanted = wanted
        self._ready.clear()
        try:
            # Who handed over before this look may have seen the old number; who comes after it sees the new.
            return len(self._items) >= wanted or self._ready.wait(timeout_seconds)
        finally:
            self._wanted = 1

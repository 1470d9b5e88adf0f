"""Parts on their way, a few ahead of the stream that they belong to, in bounded memory.

Responsible for how many parts are held at once: a stream always has one under way, so that each makes
progress, and more of them, up to its own limit, while all together have not used up what they share.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

THREADS = 24
SHARED = 16

Result = TypeVar("Result")


class PartThreads:
    """The threads that parts travel on, and the allowance that streams share.

    Args:
        threads: How many parts travel at once.
        shared: How many parts beyond the first of each stream are held at once.
    """

    def __init__(self, threads: int = THREADS, shared: int = SHARED) -> None:
        self.pool = ThreadPoolExecutor(threads, thread_name_prefix="parts")
        self.allowance = BoundedSemaphore(shared)

    def close(self) -> None:
        """End the threads; what they are at is finished, what waits is dropped."""
        self.pool.shutdown(wait=True, cancel_futures=True)


class Lookahead(Generic[Result]):
    """The parts of one stream that are under way; used by one thread at a time.

    Args:
        threads: Where they travel.
        at_most: How many at once.
    """

    def __init__(self, threads: PartThreads, at_most: int) -> None:
        self._threads = threads
        self._at_most = at_most
        self._under_way: deque[tuple[Future[Result], bool]] = deque()

    def __len__(self) -> int:
        """Return how many are under way or were not taken."""
        return len(self._under_way)

    def try_start(self, work: Callable[[], Result]) -> bool:
        """Start one more if there is room for it.

        Args:
            work: What to do for it.

        Returns:
            Whether it was started; the first always is.
        """
        shares = bool(self._under_way)
        if shares and not (
            len(self._under_way) < self._at_most and self._threads.allowance.acquire(blocking=False)
        ):
            return False
        self._under_way.append((self._threads.pool.submit(work), shares))
        return True

    def take(self) -> Result:
        """Wait for the one that was started first, and return what came of it or raise what it raised."""
        future, shares = self._under_way.popleft()
        try:
            return future.result()
        finally:
            if shares:
                self._threads.allowance.release()

    def oldest_is_done(self) -> bool:
        """Tell whether `take` would return at once."""
        return bool(self._under_way) and self._under_way[0][0].done()

    def drop(self, *, within_seconds: float = 0.0) -> None:
        """Forget those that are under way; their errors are nobody's any more.

        Args:
            within_seconds: How long to let them get there; those that did not begin by then never do.
        """
        dropped = list(self._under_way)
        self._under_way.clear()
        if within_seconds:
            wait([future for future, _ in dropped], timeout=within_seconds)
        for future, shares in dropped:
            future.cancel()
            if shares:
                future.add_done_callback(lambda _: self._threads.allowance.release())

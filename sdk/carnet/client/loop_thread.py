"""An event loop in a thread of its own, for callers that have none.

Responsible for running coroutines and asynchronous iterators on that loop from any thread, and for stopping
it cleanly. Interrupting the caller cancels what runs for it.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from carnet.errors import PreconditionFailedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterator
    from concurrent.futures import Future

T = TypeVar("T")


class LoopThread:
    """A running event loop; ``close`` stops it, and nothing can be run after that."""

    def __init__(self, *, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called."""
        return self._loop.is_closed()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end and return its result.

        Raises:
            PreconditionFailedError: The loop is closed, or it is the one that is calling.
        """
        if self._loop.is_closed() or threading.current_thread() is self._thread:
            coroutine.close()
            raise PreconditionFailedError(
                "this client is closed"
                if self._loop.is_closed()
                else "a client cannot be called from its own progress callback"
            )
        future = self.begin(coroutine)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def begin(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Begin to run a coroutine, and return what its result will be in; ``close`` cancels it."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def iterate(self, items: AsyncIterator[T]) -> Iterator[T]:
        """Run an asynchronous iterator item by item; it is closed when the iteration stops early."""
        end: Any = object()

        async def following() -> Any:
            return await anext(items, end)

        try:
            while (item := self.run(following())) is not end:
                yield item
        finally:
            close = getattr(items, "aclose", None)
            if close is not None and not self._loop.is_closed():
                self.run(close())

    def close(self) -> None:
        """Cancel what still runs, and stop."""
        if self._loop.is_closed():
            return
        self.run(self._cancel_rest())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _cancel_rest(self) -> None:
        rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        await self._loop.shutdown_asyncgens()
        await self._loop.shutdown_default_executor()

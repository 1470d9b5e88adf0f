"""A thread of its own for what a host does beside serving: a loop, and a client on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from carnet.client.async_client import AsyncClient
from carnet.client.loop_thread import LoopThread

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from concurrent.futures import Future

    from carnet.client.client import Client

T = TypeVar("T")


class Background:
    """Runs coroutines beside its host's threads, over connections of its own.

    Args:
        client: Whose federation and identity are used; it may be closed meanwhile.
        name: The thread's name.

    Attributes:
        client: The client that coroutines here use.
    """

    def __init__(self, client: Client | AsyncClient, *, name: str) -> None:
        self.client = AsyncClient(client.federation, client.identity)
        self._loop = LoopThread(name=name)

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called."""
        return self._loop.closed

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end and return its result."""
        return self._loop.run(coroutine)

    def begin(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Begin to run a coroutine; ``close`` cancels it."""
        return self._loop.begin(coroutine)

    def close(self) -> None:
        """Cancel what runs, and close the connections."""
        if not self._loop.closed:
            self._loop.run(self.client.close())
            self._loop.close()

"""Several blobs at once: a few streams side by side, and the first failure ends them all."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

STREAMS = 2
Item = TypeVar("Item")


async def in_parallel(
    items: Iterable[Item], work: Callable[[Item], Awaitable[None]], *, at_once: int = STREAMS
) -> None:
    """Work on items, a few at once; the first failure cancels the others and is raised as it is.

    Args:
        items: What to work on.
        work: Works on one.
        at_once: How many at the same time.

    Raises:
        CarnetError: What ``work`` raised.
    """
    queue = iter(items)

    async def worker() -> None:
        for item in queue:
            await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(worker())
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None

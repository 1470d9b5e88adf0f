"""Receipts for entries that were found by reading the database."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from carnet.errors import UnavailableError

if TYPE_CHECKING:
    from carnet.translog.receipt import Receipt
    from carnet_server.log.service import LogService

SIGNED_WITHIN_SECONDS = 10.0


async def signed_receipt(log: LogService, index: int) -> Receipt:
    """Prove that an entry is in the log, as soon as a checkpoint covers it.

    What a commit changed can be read a moment before its checkpoint is signed.

    Args:
        log: The log.
        index: An entry's index that stands in a committed row.

    Raises:
        NotFoundError: The log has no such entry.
        UnavailableError: No checkpoint covers the entry in time.
    """
    if log.size <= index:
        await _wait_for(log, index)
    return await log.receipt(index)


async def _wait_for(log: LogService, index: int) -> None:
    subscription = log.subscribe()
    try:
        async with asyncio.timeout(SIGNED_WITHIN_SECONDS):
            while log.size <= index:
                await anext(subscription)
    except (TimeoutError, StopAsyncIteration) as error:
        raise UnavailableError(f"entry {index} is committed and not signed yet: try again") from error
    finally:
        subscription.close()

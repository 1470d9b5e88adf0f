"""The ticks: at fixed intervals, look for promotions that are due and for leases that ran out.

Responsible for when, and nothing else: the scheduler is in memory, and a tick that is missed or doubled
changes nothing, since what is due is a question to the database.
"""

from __future__ import annotations

import logging
from datetime import UTC
from typing import TYPE_CHECKING

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from carnet.errors import CarnetError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from carnet_sync.promotions.worker import Worker

logger = logging.getLogger(__name__)

DUE_SECONDS = 1.0
TAKE_OVER_SECONDS = 1.0


class Schedule:
    """Fires the ticks on the running event loop.

    Args:
        worker: Who does what is due.
        due_seconds: How often promotions that are due are looked for.
        take_over_seconds: How often leases that ran out are looked for.
    """

    def __init__(
        self,
        worker: Worker,
        *,
        due_seconds: float = DUE_SECONDS,
        take_over_seconds: float = TAKE_OVER_SECONDS,
    ) -> None:
        self._scheduler = AsyncIOScheduler(
            timezone=UTC,
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        self._add("due", worker.enqueue_due, due_seconds)
        self._add("take-over", worker.take_over, take_over_seconds)

    def _add(self, name: str, tick: Callable[[], Awaitable[None]], seconds: float) -> None:
        async def run() -> None:
            try:
                await tick()
            except CarnetError as error:
                logger.warning("the tick %r did nothing: %s", name, error.message)

        self._scheduler.add_job(run, "interval", seconds=seconds, id=name)

    def start(self) -> None:
        """Begin to fire."""
        self._scheduler.start()

    def stop(self) -> None:
        """Fire no more; a tick under way is left to end."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

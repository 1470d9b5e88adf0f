"""Counting how often aliases are resolved, cheaply.

Responsible for a count in memory for each alias, written to one row for each at most once a minute; what was
not written is lost where a process is killed. The counts say what is used, and nothing is decided by them.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from carnet.errors import CarnetError
from carnet_server.aliases.observation_queries import add_resolves

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from carnet.references import ResourceName
    from carnet_server.log.transaction import Transaction
    from carnet_server.log.writer import Writer

WRITE_EVERY_SECONDS = 60.0
ALIASES_MAX = 50_000

logger = logging.getLogger(__name__)


class ResolveCounts:
    """What was resolved since the last writing.

    Args:
        writer: The environment's writer.
        clock: Tells the time.
    """

    def __init__(self, writer: Writer, *, clock: Callable[[], datetime]) -> None:
        self._writer = writer
        self._clock = clock
        self._counts: dict[ResourceName, tuple[int, datetime]] = {}

    def count(self, name: ResourceName) -> None:
        """Count that an alias was resolved; of more than ``ALIASES_MAX`` the rest is not counted."""
        known = self._counts.get(name)
        if known is not None or len(self._counts) < ALIASES_MAX:
            self._counts[name] = ((known[0] if known else 0) + 1, self._clock())

    async def flush(self) -> None:
        """Write what was counted; what cannot be written now is kept. Raises nothing."""
        taken, self._counts = self._counts, {}
        if not taken:
            return

        def write(tx: Transaction) -> None:
            for name, (count, last_at) in taken.items():
                add_resolves(tx.connection, name, more=count, last_at=last_at)

        try:
            await self._writer.commit(write)
        except CarnetError as error:
            logger.warning("the counts of resolves are not written yet: %s", error.message)
            for name, (count, last_at) in taken.items():
                later = self._counts.get(name)
                self._counts[name] = (
                    count + (later[0] if later else 0),
                    max(last_at, later[1]) if later else last_at,
                )

"""Following the registries' logs, so that what is awaited is noticed when it happens.

Responsible for making promotions due when an entry tells of their evidence, approvals or rules. It is a
courtesy: a promotion looks again by itself from time to time, so that a missed entry costs seconds and
nothing else. What an entry says is not verified here, because nothing rests on it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from carnet.errors import (
    CancelledError,
    CarnetError,
    DeadlineExceededError,
    InvalidInputError,
    UnavailableError,
)
from carnet.translog.entry import EntryType, parse_entry
from carnet_sync.promotions import queries
from carnet_sync.promotions.worker import utc_now

if TYPE_CHECKING:
    from collections.abc import Iterable

    from carnet_sync.database import Database
    from carnet_sync.environments.links import Links
    from carnet_sync.promotions.worker import Worker

logger = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
PROBE_DEADLINE_SECONDS = 5.0
# Those that a promotion's own steps cause are left out, or it would wake itself.
_ABOUT_ONE = frozenset(
    {
        EntryType.EVIDENCE_ADDED,
        EntryType.APPROVAL_RECORDED,
        EntryType.BREAK_GLASS_RECORDED,
        EntryType.VERSION_REVOKED,
        EntryType.PROMOTION_CANCELLED,
    }
)
_ABOUT_ALL = frozenset({EntryType.POLICY_CHANGED, EntryType.TRUST_CHANGED})


class LogFollower:
    """Follows the logs of all environments in background tasks.

    Args:
        database: Where the promotions are.
        links: The registries.
        worker: Who looks at what was woken.
    """

    def __init__(self, database: Database, links: Links, worker: Worker) -> None:
        self._database = database
        self._links = links
        self._worker = worker
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, environments: Iterable[str]) -> None:
        """Begin to follow."""
        self._tasks = [
            asyncio.create_task(self._follow(name), name=f"follow-{name}") for name in environments
        ]

    async def stop(self) -> None:
        """Stop following."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _follow(self, environment: str) -> None:
        next_index: int | None = None
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                registry = self._links.registry(environment)
                if next_index is None:
                    # What was written before is found by the checks at the start.
                    described = await registry.describe(deadline_seconds=PROBE_DEADLINE_SECONDS)
                    next_index = described.log_size
                async for entry in registry.entries(next_index):
                    pause = FIRST_PAUSE_SECONDS
                    next_index = entry.index + 1
                    await self._notice(environment, entry.entry)
            except (UnavailableError, DeadlineExceededError, CancelledError):
                pass
            except CarnetError as error:
                logger.warning("the log of %s cannot be followed: %s", environment, error.message)
                next_index = None
            except Exception:
                logger.exception("following the log of %s failed", environment)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _notice(self, environment: str, data: bytes) -> None:
        try:
            entry = parse_entry(data)
        except InvalidInputError as error:
            logger.warning("an entry of %s's log cannot be read: %s", environment, error.message)
            return
        meant: dict[str, Any]
        if entry.type in _ABOUT_ONE:
            subject = entry.subject
            meant = {key: str(subject.get(key, "")) for key in ("promotion", "bundle_digest")}
        elif entry.type in _ABOUT_ALL:
            meant = {"waiting_for": environment}
        else:
            return
        now = utc_now()
        for promotion_id in await self._database.write(lambda c: queries.wake(c, now, **meant)):
            self._worker.enqueue(promotion_id)

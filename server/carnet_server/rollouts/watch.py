"""Telling who gets which traffic, as it changes.

One follower of the log for a whole process wakes the watchers of an alias: the database is read once for a
change, however many watch. A watcher keeps the newest state only, so that one that is slow skips what is past
and never misses the last. Where the follower fell behind, everything that is watched is read anew.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from carnet.errors import CarnetError, OffsetOutOfRangeError, UnavailableError
from carnet.references import ResourceName
from carnet.translog.entry import EntryType
from carnet_server.rollouts.traffic import read_traffic

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from sqlalchemy import Connection

    from carnet.translog.entry import Entry
    from carnet_server.database.engine import Database
    from carnet_server.log.service import LogService, Subscription
    from carnet_server.rollouts.traffic import Traffic

_CHANGES = frozenset(
    {
        EntryType.ALIAS_MOVED,
        EntryType.ALIAS_REMOVED,
        EntryType.ROLLOUT_STARTED,
        EntryType.ROLLOUT_CHANGED,
    }
)
_AGAIN_SECONDS = 1.0

logger = logging.getLogger(__name__)


class _Watcher:
    """One who watches an alias: the newest state that it was not told yet."""

    def __init__(self) -> None:
        self._news: Traffic | None = None
        self._stopped = False
        self._wake = asyncio.Event()

    def offer(self, traffic: Traffic) -> None:
        if self._news is None or traffic.revision > self._news.revision:
            self._news = traffic
            self._wake.set()

    def stop(self) -> None:
        self._stopped = True
        self._wake.set()

    async def next(self) -> Traffic | None:
        """Wait for what is new; None once there will be nothing more."""
        await self._wake.wait()
        self._wake.clear()
        if self._stopped:
            self._wake.set()
            return None
        news, self._news = self._news, None
        return news


class TrafficWatch:
    """The watchers of a process, by alias.

    Args:
        database: The environment's database.
        log: Its log.
    """

    def __init__(self, database: Database, log: LogService) -> None:
        self._database = database
        self._log = log
        self._watchers: dict[ResourceName, set[_Watcher]] = {}
        self._following: asyncio.Task[None] | None = None

    async def watch(self, name: ResourceName, after_revision: int) -> AsyncGenerator[Traffic, None]:
        """Tell who gets which traffic of an alias: as it is now, then every change as it is committed.

        Args:
            name: The alias; it need not exist yet.
            after_revision: The last revision that the watcher has; 0 for none. The present state is told only
                where it is newer, and to a watcher that has none.

        Yields:
            The traffic.

        Raises:
            OffsetOutOfRangeError: The watcher has a revision that is not there yet, or a negative one.
            UnavailableError: The registry is stopping.
        """
        watcher = _Watcher()
        self._watchers.setdefault(name, set()).add(watcher)
        self._follow_log()
        try:
            present = await self._database.read(lambda connection: read_traffic(connection, name))
            if not 0 <= after_revision <= present.revision:
                raise OffsetOutOfRangeError(
                    f"after_revision: {after_revision} is no revision that the traffic of {name} has had: it "
                    f"is at {present.revision}",
                    metadata={"field": "after_revision", "revision": str(present.revision)},
                )
            if present.revision > after_revision or after_revision == 0:
                yield present
            told = present.revision
            while (traffic := await watcher.next()) is not None:
                if traffic.revision > told:
                    yield traffic
                    told = traffic.revision
            raise UnavailableError("the registry is stopping")
        finally:
            self._watchers[name].discard(watcher)
            if not self._watchers[name]:
                del self._watchers[name]

    async def stop(self) -> None:
        """End every watcher."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.wait([self._following])

    def _follow_log(self) -> None:
        """Begin to follow the log with the first watcher; subscribed before anything is read."""
        if self._following is None or self._following.done():
            self._following = asyncio.create_task(self._follow(self._log.subscribe()))

    async def _follow(self, subscription: Subscription) -> None:
        """Tell of what is new until the log ends; whatever ends this ends the watchers too."""
        try:
            while not await self._follow_to_its_end(subscription):
                subscription.close()
                subscription = self._log.subscribe()
                await self._tell(list(self._watchers))
        finally:
            subscription.close()
            for watchers in self._watchers.values():
                for watcher in watchers:
                    watcher.stop()

    async def _follow_to_its_end(self, subscription: Subscription) -> bool:
        """Tell of what is new; False where we fell too far behind to be told of everything."""
        try:
            async for _, entry in subscription:
                name = _changed_alias(entry)
                if name in self._watchers:
                    await self._tell([name])
        except UnavailableError:
            return False
        return True

    async def _tell(self, names: Sequence[ResourceName]) -> None:
        """Read what changed, and tell those who watch it; again where it cannot be read now."""

        def read(connection: Connection) -> list[Traffic]:
            return [read_traffic(connection, name) for name in names]

        while True:
            try:
                found = await self._database.read(read)
                break
            except CarnetError as error:
                logger.warning("who gets which traffic cannot be read now: %s", error.message)
                await asyncio.sleep(_AGAIN_SECONDS)
        for traffic in found:
            for watcher in self._watchers.get(traffic.name, ()):
                watcher.offer(traffic)


def _changed_alias(entry: Entry) -> ResourceName | None:
    if entry.type not in _CHANGES:
        return None
    subject = entry.subject
    return ResourceName(str(subject["namespace"]), str(subject["model"]), alias=str(subject["alias"]))

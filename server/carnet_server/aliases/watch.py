"""Telling of an alias as it moves.

The database says where the alias stands when the watcher comes; from there on the committed entries say it
all. Each move counts the revision up by one and has one entry: what is told is a fold of the log, and nobody
reads the database for a move. It is folded once for all who watch an alias, and each of them holds nothing
but its place in the moves.
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from carnet.errors import OffsetOutOfRangeError, UnavailableError
from carnet.translog.entry import EntryType
from carnet_server.aliases import queries
from carnet_server.aliases.domain import Alias

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from sqlalchemy import Connection

    from carnet.references import ResourceName
    from carnet.translog.entry import Entry
    from carnet_server.database.engine import Database
    from carnet_server.log.service import LogService, Subscription

_Told = TypeVar("_Told")

MOVES_KEPT = 256
_MOVES = frozenset({EntryType.ALIAS_MOVED, EntryType.ALIAS_REMOVED})


class _Move:
    """One move of an alias; what it led to is worked out by the first watcher that comes to it."""

    __slots__ = ("_after", "_entry", "index")

    def __init__(self, index: int, entry: Entry) -> None:
        self.index = index
        self._entry = entry
        self._after: Alias | None = None

    def after(self, before: Alias) -> Alias:
        """Return the alias after this move; ``before`` is what it was, and the same whoever asks."""
        if self._after is None:
            self._after = _after(before, self.index, self._entry)
        return self._after


class _Followed:
    """The moves of one alias, for as long as anybody watches it.

    Attributes:
        moves: The newest.
        count: How many there were since the first watcher came.
        watchers: How many watch.
    """

    def __init__(self, subscription: Subscription) -> None:
        self.moves: deque[_Move] = deque(maxlen=MOVES_KEPT)
        self.count = 0
        self.watchers = 0
        self._loop = asyncio.get_running_loop()
        self._subscription = subscription
        self._waiting: set[asyncio.Future[None]] = set()
        self._following = self._loop.create_task(self._follow())

    def close(self) -> None:
        """End: nobody watches any more."""
        self._following.cancel()
        self._subscription.close()

    async def after(self, place: int) -> _Move:
        """Return the move at a place, once it is there.

        Raises:
            UnavailableError: The registry is stopping, or that move is not kept any more.
        """
        while place == self.count:
            if self._following.done():
                raise UnavailableError("the registry is stopping")
            moved = self._loop.create_future()
            self._waiting.add(moved)
            try:
                await moved
            finally:
                self._waiting.discard(moved)
        if place < self.count - len(self.moves):
            raise UnavailableError("the reader of this stream fell too far behind: start again")
        return self.moves[place - self.count]

    async def _follow(self) -> None:
        try:
            async for index, entry in self._subscription:
                self.moves.append(_Move(index, entry))
                self.count += 1
                self._wake()
        finally:
            self._loop.call_soon(self._wake)

    def _wake(self) -> None:
        for moved in self._waiting:
            if not moved.done():
                moved.set_result(None)


class AliasWatch:
    """The watchers of a process.

    Args:
        database: The environment's database.
        log: Its log.
    """

    def __init__(self, database: Database, log: LogService) -> None:
        self._database = database
        self._log = log
        self._followed: dict[ResourceName, _Followed] = {}

    async def watch(
        self, name: ResourceName, after_revision: int, tell: Callable[[Alias], _Told]
    ) -> AsyncGenerator[_Told, None]:
        """Tell of an alias: what it is now, then each move as it is committed.

        Args:
            name: The alias; it need not exist yet.
            after_revision: The last revision that the watcher has; 0 for none. The present state is told only
                where it is newer, and to a watcher that has none.
            tell: Makes what is told of the alias.

        Yields:
            What ``tell`` made of the alias, which has version 0 where it was removed or never was set.

        Raises:
            OffsetOutOfRangeError: The watcher has a revision that is not there yet, or a negative one.
            UnavailableError: The watcher fell too far behind, or the registry is stopping.
        """
        followed = self._follow(name)
        followed.watchers += 1
        try:
            place = followed.count
            told = await self._database.read(lambda connection: _read_present(connection, name))
            if not 0 <= after_revision <= told.revision:
                raise OffsetOutOfRangeError(
                    f"after_revision: {after_revision} is not a revision that alias {name.alias!r} of "
                    f"{name.namespace}/{name.model} has had: it is at {told.revision}",
                    metadata={"field": "after_revision", "revision": str(told.revision)},
                )
            if told.revision > after_revision or after_revision == 0:
                yield tell(told)
            while True:
                move = await followed.after(place)
                place += 1
                # What was committed while the database was read stands in it already.
                if move.index > told.log_index:
                    told = move.after(told)
                    yield tell(told)
        finally:
            followed.watchers -= 1
            if not followed.watchers:
                followed.close()
                del self._followed[name]

    def _follow(self, name: ResourceName) -> _Followed:
        """Follow an alias with its first watcher; subscribed before anything is read."""
        if name not in self._followed:
            self._followed[name] = _Followed(self._log.subscribe(partial(_is_about, name)))
        return self._followed[name]


def _is_about(name: ResourceName, entry: Entry) -> bool:
    subject = entry.subject
    return (
        entry.type in _MOVES
        and subject["alias"] == name.alias
        and subject["model"] == name.model
        and subject["namespace"] == name.namespace
    )


def _after(before: Alias, index: int, entry: Entry) -> Alias:
    """Return an alias as it is after the next move of it."""
    subject = entry.subject
    return Alias(
        before.namespace,
        before.model,
        before.alias,
        int(subject.get("version", 0)),
        str(subject.get("bundle_digest", "")),
        before.revision + 1,
        entry.time,
        index,
    )


def _read_present(connection: Connection, name: ResourceName) -> Alias:
    last = queries.read_last_move(connection, name)
    if last is None:
        return Alias(name.namespace, name.model, name.alias, 0, "", 0, None, 0)
    return last.after

"""Telling of an alias as it moves.

The log wakes a watcher, and the database says what happened: so a watcher never misses the last state,
whatever it is told late or twice.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from carnet.errors import OffsetOutOfRangeError, UnavailableError
from carnet.translog.entry import EntryType
from carnet_server.aliases import queries
from carnet_server.aliases.domain import Alias

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from sqlalchemy import Connection

    from carnet.references import ResourceName
    from carnet.translog.entry import Entry
    from carnet_server.database.engine import Database
    from carnet_server.log.service import LogService

_MOVES = frozenset({EntryType.ALIAS_MOVED, EntryType.ALIAS_REMOVED})


async def watch_alias(
    database: Database, log: LogService, name: ResourceName, after_revision: int
) -> AsyncGenerator[Alias, None]:
    """Tell of an alias: what it is now, then each move as it is committed.

    Args:
        database: The environment's database.
        log: Its log.
        name: The alias; it need not exist yet.
        after_revision: The last revision that the watcher has; 0 for none. The present state is told only
            where it is newer, and to a watcher that has none.

    Yields:
        The alias, with version 0 where it was removed or never was set.

    Raises:
        OffsetOutOfRangeError: The watcher has a revision that is not there yet, or a negative one.
        UnavailableError: The watcher fell too far behind, or the registry is stopping.
    """
    subscription = log.subscribe()
    try:
        present = await database.read(lambda connection: _read_present(connection, name))
        if not 0 <= after_revision <= present.revision:
            raise OffsetOutOfRangeError(
                f"after_revision: {after_revision} is not a revision that alias {name.alias!r} of "
                f"{name.namespace}/{name.model} has had: it is at {present.revision}",
                metadata={"field": "after_revision", "revision": str(present.revision)},
            )
        if present.revision > after_revision or after_revision == 0:
            yield present
        told = present.revision
        async for _, entry in subscription:
            if not _is_about(entry, name):
                continue
            moves = await database.read(partial(queries.read_moves, name=name, after_revision=told))
            for move in moves:
                yield move.after
                told = move.revision
        raise UnavailableError("the registry is stopping")
    finally:
        subscription.close()


def _is_about(entry: Entry, name: ResourceName) -> bool:
    subject = entry.subject
    return entry.type in _MOVES and (
        subject.get("namespace"),
        subject.get("model"),
        subject.get("alias"),
    ) == (
        name.namespace,
        name.model,
        name.alias,
    )


def _read_present(connection: Connection, name: ResourceName) -> Alias:
    last = queries.read_last_move(connection, name)
    if last is None:
        return Alias(name.namespace, name.model, name.alias, 0, "", 0, None, 0)
    return last.after

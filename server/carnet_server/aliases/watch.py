"""Telling of an alias as it moves.

The database says where the alias stands when the watcher comes; from there on the committed entries say it
all. Each move counts the revision up by one and has one entry: what is told is a fold of the log, and nobody
reads the database for a move, however many watch.
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
    subscription = log.subscribe(partial(_is_about, name))
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
        told = present
        async for index, entry in subscription:
            # What was committed while the database was read stands in it already.
            if index > told.log_index:
                told = _after(told, index, entry)
                yield told
        raise UnavailableError("the registry is stopping")
    finally:
        subscription.close()


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

"""The move of one database: rows in chunks, each a commit, and at last what makes it whole.

Rows of tables that only grow are committed as they come, so that a move that was interrupted goes on; rows
that are there already must be the source's. All other tables are copied in the last transaction, which also
compares every table row by row, has the service verify what it knows of (``MovableSchema.verify``), and
takes the mark away. Until then no service starts on the target.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from carnet.serving.engine import open_engine
from carnet.serving.moving.ends import Side, errors_of
from carnet.serving.moving.marker import MARKER, hold_marker
from carnet.serving.moving.rows import PlainTable
from carnet.serving.moving.source import without_timeouts
from carnet.serving.moving.target import Standing, begin_target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sqlalchemy import Engine

    from carnet.serving.moving.rows import Values
    from carnet.serving.moving.source import Source
    from carnet.serving.moving.target import Target

    Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class MovedDatabase:
    """What was moved.

    Attributes:
        service: Whose database it is.
        tables: How many rows each table has, in both databases.
        copied_rows: How many of them were copied now.
        facts: What the service verified.
    """

    service: str
    tables: Mapping[str, int]
    copied_rows: int
    facts: Mapping[str, str | int] = field(default_factory=dict)


def move_database(source: Source, target: Target, *, progress: Progress) -> MovedDatabase:
    """Move a database, or go on with a move that was interrupted.

    Args:
        source: The database, held still.
        target: Where to.
        progress: Told of the stage, the rows that are done and the rows in all.

    Returns:
        What was moved.

    Raises:
        LogTamperedError: The target is not what the source is; it stays marked as unfinished.
        PreconditionFailedError: Another process finished this move.
        InvalidInputError: The target cannot keep a value.
        StorageFullError: The target's disk is full.
        UnavailableError: A database failed; the move can be gone on with.
    """
    if target.standing is Standing.NOTHING:
        begin_target(source, target)
    with errors_of(target.label):
        engine = open_engine(target.url, connections=1)
    try:
        return _Move(source, target, engine, progress).run()
    finally:
        engine.dispose()


class _Move:
    def __init__(self, source: Source, target: Target, engine: Engine, progress: Progress) -> None:
        self._source = source
        self._target = target
        self._engine = engine
        self._progress = progress
        self._growing: list[PlainTable] = []
        self._changing: list[PlainTable] = []
        for table in source.schema.in_order():
            (self._growing if source.schema.grows(table) else self._changing).append(PlainTable(table))
        self._total = sum(table.count(source.side) for table in self._tables)
        self._done = 0
        self._copied = 0

    @property
    def _tables(self) -> list[PlainTable]:
        return [*self._growing, *self._changing]

    def run(self) -> MovedDatabase:
        whole = self._target.standing is Standing.MOVED
        if not whole:
            for table in self._growing:
                self._go_on(table)
        with self._transaction(marked=not whole) as side:
            if not whole:
                self._copy_anew(side)
            self._done = 0
            rows = {
                table.name: table.require_equal(self._source.side, side, self._verified)
                for table in self._tables
            }
            with errors_of(side.label):
                facts = self._source.schema.verify(self._source.side.connection, side.connection)
                if not whole:
                    MARKER.drop(side.connection)
        return MovedDatabase(self._source.schema.name, rows, self._copied, facts)

    def _go_on(self, table: PlainTable) -> None:
        """Copy what a table that only grows does not have yet, a chunk a commit."""
        after: Values | None = None
        for chunk in table.read_chunks(self._source.side):
            last = table.key_of(chunk[-1])
            with self._transaction(marked=True) as side:
                there = table.read_between(side, after, last)
                missing = [row for row in chunk if table.key_of(row) not in there]
                for row in chunk:
                    if there.pop(table.key_of(row), row) != row:
                        raise table.different(side, table.key_of(row))
                if there:
                    raise table.different(side, min(there))
                table.insert(side, missing)
            self._copied += len(missing)
            self._tell("copying", len(chunk))
            after = last

    def _copy_anew(self, side: Side) -> None:
        """Copy the tables whose rows change, whatever was there."""
        for table in reversed(self._changing):
            table.clear(side)
        for table in self._changing:
            for chunk in table.read_chunks(self._source.side):
                table.insert(side, chunk)
                self._copied += len(chunk)
                self._tell("copying", len(chunk))

    @contextlib.contextmanager
    def _transaction(self, *, marked: bool) -> Iterator[Side]:
        """Change the target in one transaction, while the mark is there; a failure undoes it."""
        label = self._target.label
        with contextlib.ExitStack() as stack:
            with errors_of(label):
                connection = stack.enter_context(self._engine.connect())
                transaction = connection.begin()
                without_timeouts(connection)
                if marked:
                    hold_marker(connection)
            yield Side(label, connection)
            with errors_of(label):
                transaction.commit()

    def _verified(self, count: int) -> None:
        self._tell("verifying", count)

    def _tell(self, stage: str, count: int) -> None:
        self._done += count
        self._progress(stage, self._done, self._total)

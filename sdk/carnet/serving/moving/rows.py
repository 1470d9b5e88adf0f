"""Rows as they are stored, in the order of their keys, a few at a time.

Responsible for reading a table the same way from any database: values pass as plain integers, texts and
bytes, without what a service makes of them, and texts are ordered by their bytes everywhere
(``carnet.serving.columns``). Memory is bounded by `CHUNK_ROWS` and `CHUNK_BYTES`, not by the table.
"""

from __future__ import annotations

import contextlib
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BigInteger,
    Column,
    Enum,
    MetaData,
    String,
    Table,
    and_,
    delete,
    func,
    insert,
    literal,
    select,
    tuple_,
)

from carnet.errors import LogTamperedError
from carnet.serving.columns import UtcDateTime
from carnet.serving.moving.ends import Side, errors_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import ColumnElement
    from sqlalchemy.types import TypeEngine

FETCH_ROWS = 100
CHUNK_ROWS = 1_000
CHUNK_BYTES = 4 << 20

Values = tuple[Any, ...]


class PlainTable:
    """A table without the types that a service gives its columns.

    Args:
        table: The service's table.
    """

    def __init__(self, table: Table) -> None:
        self.name = table.name
        self.table = Table(
            table.name,
            MetaData(),
            *(Column(each.name, _plain(each.type), primary_key=each.primary_key) for each in table.columns),
        )
        self._keys = [self.table.c[each.name] for each in table.primary_key.columns]
        places = [list(table.columns).index(each) for each in table.primary_key.columns]
        self._key_places = places

    def key_of(self, row: Values) -> Values:
        """Return a row's primary key."""
        return tuple(row[place] for place in self._key_places)

    def count(self, side: Side) -> int:
        """Count the rows."""
        with errors_of(side.label):
            return int(side.connection.execute(select(func.count()).select_from(self.table)).scalar_one())

    def read(self, side: Side) -> Iterator[Values]:
        """Yield every row, in the order of their keys.

        Raises:
            UnavailableError: The database failed.
        """
        statement = select(self.table).order_by(*self._keys)
        with errors_of(side.label):
            result = side.connection.execute(statement, execution_options={"yield_per": FETCH_ROWS})
            with contextlib.closing(result):
                for row in result:
                    yield tuple(row)

    def read_chunks(self, side: Side) -> Iterator[list[Values]]:
        """Yield every row, many at a time; see `read`."""
        chunk: list[Values] = []
        weight = 0
        for row in self.read(side):
            chunk.append(row)
            weight += sum(len(value) for value in row if isinstance(value, bytes | str))
            if len(chunk) == CHUNK_ROWS or weight >= CHUNK_BYTES:
                yield chunk
                chunk, weight = [], 0
        if chunk:
            yield chunk

    def read_between(self, side: Side, after: Values | None, last: Values) -> dict[Values, Values]:
        """Read the rows whose keys are behind one and not behind another.

        Args:
            side: Where.
            after: The key behind which to begin; None for the beginning.
            last: The last key.

        Returns:
            The rows by their keys.
        """
        until = tuple_(*self._keys) <= self._literal(last)
        wanted = until if after is None else and_(tuple_(*self._keys) > self._literal(after), until)
        with errors_of(side.label):
            rows = [tuple(row) for row in side.connection.execute(select(self.table).where(wanted))]
        return {self.key_of(row): row for row in rows}

    def _literal(self, key: Values) -> ColumnElement[Any]:
        return tuple_(*(literal(value, column.type) for value, column in zip(key, self._keys, strict=True)))

    def insert(self, side: Side, rows: Sequence[Values]) -> None:
        """Insert rows.

        Raises:
            InvalidInputError: The database cannot keep a value.
            UnavailableError: It failed.
        """
        if rows:
            names = [column.name for column in self.table.columns]
            with errors_of(f"{side.label}: table {self.name}"):
                side.connection.execute(
                    insert(self.table), [dict(zip(names, row, strict=True)) for row in rows]
                )

    def clear(self, side: Side) -> None:
        """Delete every row."""
        with errors_of(side.label):
            side.connection.execute(delete(self.table))

    def require_equal(self, source: Side, target: Side, tell: Callable[[int], None]) -> int:
        """Insist that a table is the same in both databases, row by row.

        Args:
            source: The one.
            target: The other.
            tell: Told of rows that were compared.

        Returns:
            How many rows it has.

        Raises:
            LogTamperedError: It is not.
        """
        count = 0
        for ours, theirs in zip_longest(self.read(source), self.read(target)):
            if ours != theirs:
                present = [row for row in (ours, theirs) if row is not None]
                raise self.different(target, min(self.key_of(row) for row in present))
            count += 1
            if count % CHUNK_ROWS == 0:
                tell(CHUNK_ROWS)
        tell(count % CHUNK_ROWS)
        return count

    def different(self, target: Side, key: Values) -> LogTamperedError:
        """Return the error of a row that is not the same in both databases."""
        return LogTamperedError(
            f"{target.label}: table {self.name} is not the source's, at key "
            f"{', '.join(str(each) for each in key)[:200]}: drop this database, and move into an empty one",
            metadata={"table": self.name},
        )


def _plain(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    if isinstance(kind, UtcDateTime):
        return BigInteger()
    return String() if isinstance(kind, Enum) else kind

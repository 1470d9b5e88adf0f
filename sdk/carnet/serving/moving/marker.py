"""The mark that a database carries while another is moved into it.

A table with one row, made together with the schema and dropped together with the last rows; no service
starts where it is (``carnet.serving.schema``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, Integer, MetaData, Table, inspect, select

from carnet.errors import InvalidInputError, PreconditionFailedError
from carnet.serving.columns import NAME, TEXT
from carnet.serving.schema import UNFINISHED_MOVE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection

MARKER = Table(
    UNFINISHED_MOVE,
    MetaData(),
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("service", NAME, nullable=False),
    Column("revision", NAME, nullable=False),
    Column("source", TEXT, nullable=False),
)


@dataclass(frozen=True)
class Marker:
    """What the mark says.

    Attributes:
        service: The name of the schema that is being moved.
        revision: The schema's revision.
        source: Where it is moved from, for people.
    """

    service: str
    revision: str
    source: str

    @classmethod
    def from_row(cls, row: Any) -> Marker:
        """Return what a row of the table says."""
        return cls(row.service, row.revision, row.source)

    def make(self, connection: Connection) -> None:
        """Put the mark into a database that has nothing else.

        Raises:
            InvalidInputError: It has something.
        """
        if tables := inspect(connection).get_table_names():
            raise not_empty(tables)
        MARKER.create(connection)
        connection.execute(
            MARKER.insert(),
            {"id": 1, "service": self.service, "revision": self.revision, "source": self.source},
        )


def hold_marker(connection: Connection) -> None:
    """Insist, within a transaction, that the mark is there; on PostgreSQL no other move goes on meanwhile.

    Raises:
        PreconditionFailedError: Another has finished this move, or dropped the table.
    """
    if not inspect(connection).has_table(UNFINISHED_MOVE):
        raise PreconditionFailedError("another process has finished this move, or has undone it")
    connection.execute(select(MARKER.c.id).with_for_update()).one()


def not_empty(tables: Iterable[str]) -> InvalidInputError:
    """Return the error of a database into which nothing is moved, because it has something else in it."""
    names = sorted(tables)
    shown = ", ".join(names[:4]) + (", …" if len(names) > 4 else "")
    return InvalidInputError(
        f"it has something else in it (tables {shown}): name an empty database, or drop what is there"
    )

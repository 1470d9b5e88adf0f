"""What a service says of its database, so that the database can be moved.

Responsible for finding the installed services through the entry-point group ``carnet.schemas``, so that none
of them has to import another. A schema is told from another by its tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from carnet.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from sqlalchemy import Connection, MetaData, Table

    Facts = Mapping[str, str | int]

GROUP = "carnet.schemas"


def _verify_nothing(source: Connection, target: Connection) -> Facts:
    del source, target
    return {}


@dataclass(frozen=True)
class MovableSchema:
    """One service's database.

    Attributes:
        name: What a person calls it: ``registry``.
        steps: Alembic's folder.
        tables: The tables as they are now.
        growing: The names of tables whose rows come and stay as they are; a move goes on in them where it
            was interrupted.
        verify: Compares what a copy must have beyond equal rows, and returns facts to show; it is given the
            source and the target, and raises LogTamperedError.
    """

    name: str
    steps: Path
    tables: MetaData
    growing: frozenset[str] = frozenset()
    verify: Callable[[Connection, Connection], Facts] = _verify_nothing

    def in_order(self) -> list[Table]:
        """Return the tables, each behind those that it refers to."""
        return self.tables.sorted_tables

    def grows(self, table: Table) -> bool:
        """Tell whether a table, and all that it refers to, only grow."""
        return table.name in self.growing and all(
            self.grows(key.column.table) for key in table.foreign_keys if key.column.table is not table
        )


def installed_schemas() -> list[MovableSchema]:
    """Return the schema of every service that is installed.

    Raises:
        InvalidInputError: A package that one of them needs is not installed.
    """
    found = []
    for point in entry_points(group=GROUP):
        try:
            found.append(point.load())
        except ModuleNotFoundError as error:
            raise InvalidInputError(
                f"the package {error.name!r} is not installed: pip install 'carnet[server,sync]'",
                metadata={"package": error.name or ""},
            ) from error
    return found


def recognise(schemas: Collection[MovableSchema], tables: Collection[str]) -> MovableSchema:
    """Tell whose database it is that has certain tables.

    Args:
        schemas: Those that are known.
        tables: The names of the tables.

    Raises:
        InvalidInputError: It is nobody's, or more than one's.
    """
    present = set(tables)
    found = [schema for schema in schemas if present & schema.tables.tables.keys()]
    if not found or "alembic_version" not in present:
        raise InvalidInputError(
            "it has no Carnet schema: name the database of a registry or promotion service"
        )
    if len(found) > 1:
        names = " and ".join(schema.name for schema in found)
        raise InvalidInputError(f"it has tables of more than one service ({names}): it cannot be moved")
    return found[0]

"""The database that is moved into.

Responsible for what may be there already: nothing, what an interrupted move of the same schema left, or the
finished move itself. Anything else is refused before a byte is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from carnet.errors import InvalidInputError, LogTamperedError
from carnet.serving.engine import open_engine, shown_url
from carnet.serving.moving.ends import Side, errors_of
from carnet.serving.moving.looking import Look, look_at, same_database
from carnet.serving.moving.marker import Marker, not_empty
from carnet.serving.moving.rows import PlainTable
from carnet.serving.schema import upgrade_schema

if TYPE_CHECKING:
    from carnet.serving.moving.source import Source


class Standing(Enum):
    """How far a move into a database is."""

    NOTHING = auto()
    BEGUN = auto()
    MOVED = auto()


@dataclass(frozen=True)
class Target:
    """A database that may be moved into.

    Attributes:
        url: Its URL.
        label: What it is called in errors.
        standing: What is there already.
    """

    url: str
    label: str
    standing: Standing


def inspect_target(source: Source, url: str, *, label: str) -> Target:
    """Look whether a database may be moved into; nothing is written.

    Args:
        source: What is to be moved.
        url: A URL that was resolved.
        label: What the target is called in errors.

    Raises:
        InvalidInputError: It may not: it is the source, or has something else in it.
        UnavailableError: It cannot be reached.
    """
    with errors_of(label):
        if same_database(source.url, url):
            raise InvalidInputError("it is the database that is to be moved: name another")
        look = look_at(url, label="database")
        standing = _standing(source, url, look)
    return Target(url, label, standing)


def _standing(source: Source, url: str, look: Look) -> Standing:
    if not look.tables:
        return Standing.NOTHING
    if look.unfinished is not None:
        found = (look.unfinished.service, look.unfinished.revision)
        if found != (source.schema.name, source.revision):
            raise InvalidInputError(
                f"a move into it of a {found[0]} with schema {found[1]} was not finished, and this is a "
                f"{source.schema.name} with schema {source.revision}: drop it, and begin again"
            )
        return Standing.BEGUN
    ours = source.schema.tables.tables.keys()
    if look.revision == source.revision and ours <= look.tables and _is_copy(source, url):
        return Standing.MOVED
    raise not_empty(look.tables)


def _is_copy(source: Source, url: str) -> bool:
    engine = open_engine(url, connections=1, read_only=True)
    try:
        with engine.connect() as connection:
            side = Side("database", connection)
            for table in source.schema.in_order():
                PlainTable(table).require_equal(source.side, side, lambda _: None)
    except LogTamperedError:
        return False
    finally:
        engine.dispose()
    return True


def begin_target(source: Source, target: Target) -> None:
    """Make the schema of a target, and the mark that it is not whole, in one transaction.

    Args:
        source: What is to be moved.
        target: A target in which there was nothing.

    Raises:
        InvalidInputError: Something came into it meanwhile.
        UnavailableError: It cannot be written.
    """
    marker = Marker(source.schema.name, source.revision, shown_url(source.url))
    with errors_of(target.label):
        upgrade_schema(target.url, source.schema.steps, prepare=marker.make)

"""Looking at a database without changing a byte of it.

Responsible for what a move must know before it begins: which tables are there, which schema, and whether an
earlier move was left in the middle. A file that is not there is not made.
"""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from sqlalchemy import NullPool, create_engine, inspect, make_url, select

from carnet.errors import InvalidInputError
from carnet.serving.engine import open_engine, require_usable
from carnet.serving.moving.ends import errors_of
from carnet.serving.moving.marker import MARKER, Marker
from carnet.serving.schema import UNFINISHED_MOVE, schema_revision

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine

_SQLITE_MAGIC = b"SQLite format 3\x00"


@dataclass(frozen=True)
class Look:
    """What a database has.

    Attributes:
        tables: The names of its tables; none where there is no file either.
        revision: Its schema; None for none of ours.
        unfinished: The move into it that was left in the middle, if there is one.
    """

    tables: frozenset[str]
    revision: str | None = None
    unfinished: Marker | None = None


def database_file(url: str) -> Path | None:
    """Return the file of an SQLite database; None for one that is a server's."""
    parsed = make_url(url)
    return Path(str(parsed.database)) if parsed.get_backend_name() == "sqlite" else None


def same_database(one: str, other: str) -> bool:
    """Tell whether two URLs that were resolved plainly name one database."""
    files = database_file(one), database_file(other)
    if files[0] is not None and files[1] is not None:
        return files[0].resolve() == files[1].resolve()
    first, second = make_url(one), make_url(other)
    return (first.drivername, first.host, first.port or 5432, first.database) == (
        second.drivername,
        second.host,
        second.port or 5432,
        second.database,
    )


def look_at(url: str, *, label: str) -> Look:
    """Look what a database has.

    Args:
        url: A URL that was resolved.
        label: What it is called in errors.

    Raises:
        InvalidInputError: The server refused us, or the file is no database.
        UnavailableError: It cannot be reached.
    """
    with errors_of(label):
        path = database_file(url)
        if path is not None and not _is_database(path):
            return Look(frozenset())
        with _connected(url, path) as connection:
            tables = frozenset(inspect(connection).get_table_names())
            unfinished = connection.execute(select(MARKER)).first() if UNFINISHED_MOVE in tables else None
            return Look(
                tables,
                schema_revision(connection),
                None if unfinished is None else Marker.from_row(unfinished),
            )


def _is_database(path: Path) -> bool:
    """Tell whether a file is an SQLite database; an empty one, or none, is not."""
    try:
        with path.open("rb") as file:
            head = file.read(len(_SQLITE_MAGIC))
    except FileNotFoundError:
        return False
    except OSError as error:
        raise InvalidInputError(f"it cannot be read: {error.strerror}") from error
    if head and head != _SQLITE_MAGIC:
        raise InvalidInputError("the file is not an SQLite database")
    return bool(head)


@contextlib.contextmanager
def _connected(url: str, path: Path | None) -> Iterator[Connection]:
    engine = open_engine(url, connections=1, read_only=True) if path is None else _open_unchanged(path)
    try:
        require_usable(engine)
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def _open_unchanged(path: Path) -> Engine:
    """Open an SQLite file that may be anybody's: without the settings that would be written to it.

    Where nobody has the file open, SQLite is told so, or it would leave two files beside it.
    """
    alone = not path.with_name(f"{path.name}-wal").exists()

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(f"file:{quote(str(path))}?mode=ro{'&immutable=1' * alone}", uri=True)

    return create_engine("sqlite://", creator=connect, poolclass=NullPool)

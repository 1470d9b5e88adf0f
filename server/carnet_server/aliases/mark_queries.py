"""The statements of the marks of aliases, built once, and the reads and writes that use them.

The last change of an alias's mark is its mark; one to version 0 took it away. Rows do not leave this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, exists, insert, select
from sqlmodel import SQLModel

from carnet_server.aliases.marks import Mark
from carnet_server.aliases.queries import MOVES
from carnet_server.aliases.tables import AliasMarkRow
from carnet_server.log.queries import DOCUMENTS
from carnet_server.models.notes import read_note

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection, Row

    from carnet.references import ResourceName

MARKS = SQLModel.metadata.tables[str(AliasMarkRow.__tablename__)]
_NEWER = MARKS.alias("newer")
_MARK_COLUMNS = tuple(column.name for column in MARKS.c)

_OF_MODEL = (
    MARKS.c.namespace == bindparam("of_namespace"),
    MARKS.c.model == bindparam("of_model"),
)
_IS_LAST = ~exists().where(
    _NEWER.c.namespace == MARKS.c.namespace,
    _NEWER.c.model == MARKS.c.model,
    _NEWER.c.alias == MARKS.c.alias,
    _NEWER.c.revision > MARKS.c.revision,
)
_WITH_NOTE = select(MARKS, DOCUMENTS.c.data.label("note")).outerjoin_from(
    MARKS, DOCUMENTS, DOCUMENTS.c.digest == MARKS.c.note_digest
)
_READ_LAST = _WITH_NOTE.where(*_OF_MODEL, MARKS.c.alias == bindparam("of_alias"), _IS_LAST)
_READ_BY_REQUEST = _WITH_NOTE.where(
    *_OF_MODEL, MARKS.c.alias == bindparam("of_alias"), MARKS.c.request_id == bindparam("of_request")
)
_READ_MARKS = _WITH_NOTE.where(
    *_OF_MODEL,
    MARKS.c.alias.in_(bindparam("of_aliases", expanding=True)),
    MARKS.c.marked_version != 0,
    _IS_LAST,
)
_READ_MARKED = select(MARKS.c.marked_version).where(*_OF_MODEL, MARKS.c.marked_version != 0, _IS_LAST)
_READ_LIVE_DIGEST = (
    select(MOVES.c.bundle_digest)
    .where(
        MOVES.c.namespace == bindparam("of_namespace"),
        MOVES.c.model == bindparam("of_model"),
        MOVES.c.alias == bindparam("of_alias"),
        MOVES.c.new_version == bindparam("of_version"),
    )
    .limit(1)
)
_INSERT_MARK = insert(MARKS)


def read_last_change(connection: Connection, name: ResourceName) -> Mark | None:
    """Read the last change of an alias's mark, which may have taken it away; None for none."""
    row = connection.execute(_READ_LAST, _of(name)).first()
    return None if row is None else _mark(row)


def read_marked_version(connection: Connection, name: ResourceName) -> int:
    """Read the version that is marked for an alias; 0 for none."""
    last = read_last_change(connection, name)
    return last.marked_version if last else 0


def read_marks(connection: Connection, name: ResourceName, aliases: Sequence[str]) -> Mapping[str, Mark]:
    """Read the marks of some aliases of one model, by alias; of those that have one."""
    asked = {"of_namespace": name.namespace, "of_model": name.model, "of_aliases": list(aliases)}
    return {row.alias: _mark(row) for row in connection.execute(_READ_MARKS, asked)}


def read_marked(connection: Connection, namespace: str, model: str) -> set[int]:
    """Read the versions of a model that are marked for any alias, set or removed."""
    asked = {"of_namespace": namespace, "of_model": model}
    return set(connection.execute(_READ_MARKED, asked).scalars())


def read_mark_by_request(connection: Connection, name: ResourceName, request_id: str) -> Mark | None:
    """Read the change of an alias's mark that a request made; None where it made none."""
    row = connection.execute(_READ_BY_REQUEST, _of(name) | {"of_request": request_id}).first()
    return None if row is None else _mark(row)


def read_live_digest(connection: Connection, name: ResourceName, version: int) -> str:
    """Read the digest of a version that an alias points at or pointed at; empty where it never did."""
    found: str | None = connection.execute(_READ_LIVE_DIGEST, _of(name) | {"of_version": version}).scalar()
    return found or ""


def insert_mark(connection: Connection, mark: Mark) -> None:
    """Write a change of a mark."""
    connection.execute(_INSERT_MARK, {name: getattr(mark, name) for name in _MARK_COLUMNS})


def _of(name: ResourceName) -> dict[str, str | int]:
    return {"of_namespace": name.namespace, "of_model": name.model, "of_alias": name.alias}


def _mark(row: Row[tuple[object, ...]]) -> Mark:
    return Mark(**{**row._mapping, "note": read_note(row.note)})  # noqa: SLF001  SQLAlchemy's public name for it

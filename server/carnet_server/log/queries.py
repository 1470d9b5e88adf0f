"""The log's statements, built once, and the reads that need more than one."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import SQLModel

from carnet.canonical import canonical_json
from carnet.errors import NotFoundError
from carnet_server.database.keys import has_key, parameters_of
from carnet_server.log.tables import DocumentRow, LogEntryRow, LogHeadRow, LogNodeRow, RevisionRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Select

ENTRIES = SQLModel.metadata.tables["log_entries"]
HEAD = SQLModel.metadata.tables["log_head"]
NODES = SQLModel.metadata.tables["log_nodes"]
DOCUMENTS = SQLModel.metadata.tables["documents"]
REVISIONS = SQLModel.metadata.tables["revisions"]
_ROWS = (DocumentRow, LogEntryRow, LogHeadRow, LogNodeRow, RevisionRow)

LOCK_HEAD = select(HEAD.c.origin, HEAD.c.size, HEAD.c.root).where(HEAD.c.id == 1).with_for_update()
READ_HEAD = select(HEAD.c.origin, HEAD.c.size, HEAD.c.root).where(HEAD.c.id == 1)
INSERT_HEAD = insert(HEAD)
UPDATE_HEAD = (
    update(HEAD).where(HEAD.c.id == 1).values(size=bindparam("new_size"), root=bindparam("new_root"))
)
INSERT_ENTRIES = insert(ENTRIES)
INSERT_NODES = insert(NODES)
_INSERT_DOCUMENT = {
    name: dialect.insert(DOCUMENTS).on_conflict_do_nothing(index_elements=[DOCUMENTS.c.digest])
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
}
ERASED_MEDIA_TYPE = "application/vnd.carnet.erased+json"
"""Of what stands in the place of an erased document, under its digest: `tombstone`."""
_NOT_ERASED = DOCUMENTS.c.media_type != ERASED_MEDIA_TYPE
READ_DOCUMENT = select(DOCUMENTS.c.data).where(DOCUMENTS.c.digest == bindparam("wanted"), _NOT_ERASED)
READ_DOCUMENTS = select(DOCUMENTS.c.digest, DOCUMENTS.c.media_type, DOCUMENTS.c.data).where(
    DOCUMENTS.c.digest.in_(bindparam("wanted", expanding=True)), _NOT_ERASED
)
_READ_HELD = select(DOCUMENTS.c.media_type, DOCUMENTS.c.created_at).where(
    DOCUMENTS.c.digest == bindparam("wanted")
)
_READ_TOMBSTONE = select(DOCUMENTS.c.data).where(
    DOCUMENTS.c.digest == bindparam("wanted"), DOCUMENTS.c.media_type == ERASED_MEDIA_TYPE
)
ERASE_DOCUMENT = (
    update(DOCUMENTS)
    .where(DOCUMENTS.c.digest == bindparam("wanted"))
    .values(media_type=ERASED_MEDIA_TYPE, data=bindparam("tombstone"))
)
BUMP_REVISION = (
    update(REVISIONS)
    .where(REVISIONS.c.scope == bindparam("wanted"))
    .values(revision=REVISIONS.c.revision + 1)
)
INSERT_REVISION = insert(REVISIONS)
READ_REVISIONS = select(REVISIONS.c.scope, REVISIONS.c.revision).where(
    REVISIONS.c.scope.in_(bindparam("wanted", expanding=True))
)
READ_ENTRIES = (
    select(ENTRIES.c.index, ENTRIES.c.entry, ENTRIES.c.leaf_hash)
    .where(ENTRIES.c.index >= bindparam("first"), ENTRIES.c.index < bindparam("end"))
    .order_by(ENTRIES.c.index)
)
READ_LEAF_HASHES = (
    select(ENTRIES.c.leaf_hash)
    .where(ENTRIES.c.index >= bindparam("first"), ENTRIES.c.index < bindparam("end"))
    .order_by(ENTRIES.c.index)
)
READ_NODE_RANGE = (
    select(NODES.c.hash)
    .where(
        NODES.c.level == bindparam("of_level"),
        NODES.c.index >= bindparam("first"),
        NODES.c.index < bindparam("end"),
    )
    .order_by(NODES.c.index)
)
_READ_LEAVES = select(ENTRIES.c.index, ENTRIES.c.leaf_hash).where(
    ENTRIES.c.index.in_(bindparam("wanted", expanding=True))
)


@functools.lru_cache(maxsize=128)
def _read_nodes(count: int) -> Select[Any]:
    """Return the statement that reads so many nodes."""
    return select(NODES.c.level, NODES.c.index, NODES.c.hash).where(
        has_key((NODES.c.level, NODES.c.index), count)
    )


def read_nodes(connection: Connection, wanted: Iterable[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
    """Read the hashes of complete subtrees.

    Args:
        connection: Where to read.
        wanted: ``(level, index)`` of each; level 0 is the leaves.

    Returns:
        The hash of each.

    Raises:
        NotFoundError: One is not stored.
    """
    places = set(wanted)
    leaves = [index for level, index in places if level == 0]
    above = [place for place in places if place[0] > 0]
    found: dict[tuple[int, int], bytes] = {}
    if leaves:
        found.update(
            {(0, index): leaf for index, leaf in connection.execute(_READ_LEAVES, {"wanted": leaves})}
        )
    if above:
        rows = connection.execute(_read_nodes(len(above)), parameters_of(above))
        found.update({(level, index): value for level, index, value in rows})
    if len(found) != len(places):
        missing = min(places - found.keys())
        raise NotFoundError(f"the log has no node at level {missing[0]}, index {missing[1]}")
    return found


@dataclass(frozen=True, slots=True)
class HeldDocument:
    """A document that is held, or was.

    Attributes:
        media_type: Its media type.
        created_at: When it was stored first.
        erased_by: The index of the entry that erased it; None for one that is there.
    """

    media_type: str
    created_at: datetime
    erased_by: int | None


def read_held_document(connection: Connection, digest: str) -> HeldDocument | None:
    """Read what is known of a document; None where there never was one."""
    row = connection.execute(_READ_HELD, {"wanted": digest}).first()
    if row is None:
        return None
    erased_by = None
    if row.media_type == ERASED_MEDIA_TYPE:
        erased_by = int(
            json.loads(connection.execute(_READ_TOMBSTONE, {"wanted": digest}).scalar_one())["erased_by"]
        )
    return HeldDocument(row.media_type, row.created_at, erased_by)


def insert_document(
    connection: Connection, digest: str, data: bytes, *, media_type: str, created_at: datetime
) -> bool:
    """Write a document, unless one of its digest is there or was.

    Args:
        connection: Where to write.
        digest: The SHA-256 of its bytes.
        data: Its bytes.
        media_type: Its media type.
        created_at: The time.

    Returns:
        Whether it was written.
    """
    row = {"digest": digest, "media_type": media_type, "data": data, "created_at": created_at}
    return connection.execute(_INSERT_DOCUMENT[connection.dialect.name], row).rowcount == 1


def tombstone(log_index: int) -> bytes:
    """Return what stands in the place of an erased document: the entry that says so."""
    return canonical_json({"erased_by": log_index})


def read_revisions(connection: Connection, scopes: Sequence[str]) -> dict[str, int]:
    """Read how often each scope's facts changed; 0 for one that never did.

    Args:
        connection: Where to read.
        scopes: The scopes' names.
    """
    rows = connection.execute(READ_REVISIONS, {"wanted": list(scopes)})
    found = {scope: revision for scope, revision in rows}  # noqa: C416  rows are not pairs to a type checker
    return {scope: found.get(scope, 0) for scope in scopes}

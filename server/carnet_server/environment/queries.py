"""Which documents the log says are in force, and the documents themselves.

Responsible for reading them: by the table ``documents_in_force``, which every process of the environment
shares, and at the start by the log's newest entries too. The table repeats what the log says, so where the
two differ the table was edited.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from sqlalchemy import select
from sqlmodel import SQLModel

from carnet.canonical import sha256_hex
from carnet.errors import DataLossError, LogTamperedError
from carnet.signing.document import DocumentKind
from carnet.translog.entry import EntryType, parse_entry
from carnet_server.environment.tables import DocumentInForceRow
from carnet_server.log.queries import READ_DOCUMENT, READ_ENTRIES, READ_HEAD

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from carnet.translog.entry import Entry

KINDS: tuple[DocumentKind, ...] = get_args(DocumentKind)
TABLE = SQLModel.metadata.tables[str(DocumentInForceRow.__tablename__)]
_READ_ALL = select(TABLE.c.kind, TABLE.c.digest)
_TYPES: Mapping[DocumentKind, EntryType] = {
    "policy": EntryType.POLICY_CHANGED,
    "trust": EntryType.TRUST_CHANGED,
}
_ENTRIES_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Recorded:
    """A document that the log says is in force.

    Attributes:
        digest: Its SHA-256.
        data: Its bytes.
        signatures: The envelopes that are kept with it; nothing where there are none.
    """

    digest: str
    data: bytes
    signatures: bytes = b""


def read_digests(connection: Connection) -> dict[str, str]:
    """Read the digests of the documents in force, by kind; nothing for an environment that never had any."""
    return {row.kind: row.digest for row in connection.execute(_READ_ALL)}


def read_stored(connection: Connection, digest: str) -> bytes:
    """Read a document that an entry names.

    Raises:
        DataLossError: It is not stored, or its bytes are others.
    """
    data: bytes | None = connection.execute(READ_DOCUMENT, {"wanted": digest}).scalar()
    if data is None or sha256_hex(data) != digest:
        raise DataLossError(
            f"the document {digest} that is in force is not stored as it was: restore the database"
        )
    return data


def read_recorded(connection: Connection) -> dict[str, Recorded]:
    """Read the documents in force by the log's newest entries, which the table must repeat.

    Returns:
        The documents by kind; nothing for an environment that never had any.

    Raises:
        LogTamperedError: The table names another document than the log.
        DataLossError: A document is not stored, or its bytes are others.
    """
    entries = _newest_changes(connection)
    told = {kind: str(entry.new) for kind, entry in entries.items()}
    if told != read_digests(connection):
        raise LogTamperedError(
            "the table documents_in_force names other documents than the log's newest entries: "
            "it was edited; restore the database"
        )
    return {
        kind: Recorded(
            told[kind],
            read_stored(connection, told[kind]),
            read_stored(connection, entry.request_digest) if entry.request_digest else b"",
        )
        for kind, entry in entries.items()
    }


def _newest_changes(connection: Connection) -> dict[str, Entry]:
    """Find the newest entry of each kind, from the log's end."""
    found: dict[str, Entry] = {}
    marks = {kind: f'"type":"{entry_type}"'.encode() for kind, entry_type in _TYPES.items()}
    head = connection.execute(READ_HEAD).first()
    end = 0 if head is None else head.size
    while end and len(found) < len(marks):
        first = max(0, end - _ENTRIES_AT_ONCE)
        rows = connection.execute(READ_ENTRIES, {"first": first, "end": end}).all()
        for row in reversed(rows):
            for kind, mark in marks.items():
                if kind not in found and mark in row.entry:
                    entry = parse_entry(row.entry)
                    if entry.type is _TYPES[kind]:
                        found[kind] = entry
        end = first
    return found

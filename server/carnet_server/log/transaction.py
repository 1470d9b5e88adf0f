"""What a change of the environment's database works with: a savepoint of its own, and the log's next places.

Responsible for what a change may do beside its own statements: append entries, keep the documents that they
rest on, and say whose facts changed. Commits nothing (``carnet_server.log.writer``).
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from carnet.canonical import sha256_hex
from carnet.errors import ErasedError
from carnet.translog.entry import Actor, Entry, EntryType
from carnet_server.log import queries

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class EntryDraft:
    """What a change says of itself; the writer adds id, environment, time and place in the log.

    Attributes:
        type: What kind of change it is.
        actor: Who made it.
        subject: What it is about: namespace, model, version, bundle_digest, alias, promotion, …
        old: Where a pointer was, if one moved.
        new: Where it is now, or the outcome.
        envelope_digest: The document that the change rests on.
        request_digest: The digest of the request that asked for it.
    """

    type: EntryType
    actor: Actor
    subject: Mapping[str, str | int]
    old: str | None = None
    new: str | None = None
    envelope_digest: str | None = None
    request_digest: str | None = None


class Transaction:
    """What a change works with: a connection inside its own savepoint, and the log's next places.

    Attributes:
        connection: The connection; a change never commits or rolls back by itself.
        now: The time of this commit, the same for every entry of the batch.
        environment: The environment's name.
    """

    def __init__(self, connection: Connection, *, now: datetime, environment: str, next_index: int) -> None:
        self.connection = connection
        self.now = now
        self.environment = environment
        self._next_index = next_index
        self.entries: list[Entry] = []

    def append(self, draft: EntryDraft) -> int:
        """Append an entry to the log, with this change.

        Args:
            draft: What changed.

        Returns:
            The entry's index.
        """
        entry = Entry(
            event_id=uuid.uuid4().hex,
            type=draft.type,
            environment=self.environment,
            time=self.now,
            actor=draft.actor,
            subject=draft.subject,
            old=draft.old,
            new=draft.new,
            envelope_digest=draft.envelope_digest,
            request_digest=draft.request_digest,
        )
        self.entries.append(entry)
        return self._next_index + len(self.entries) - 1

    def store_document(self, data: bytes, media_type: str) -> str:
        """Store a document that an entry rests on; one that is stored already is kept.

        Args:
            data: Its bytes.
            media_type: Its media type.

        Returns:
            The SHA-256 of the bytes.

        Raises:
            ErasedError: It was erased: nothing brings it back.
        """
        digest = sha256_hex(data)
        if queries.insert_document(self.connection, digest, data, media_type=media_type, created_at=self.now):
            return digest
        held = queries.read_held_document(self.connection, digest)
        if held is not None and held.erased_by is not None:
            raise ErasedError(
                f"the document {digest} was erased by entry {held.erased_by}, and is not stored again: say "
                "anew what is to be said",
                metadata={"digest": digest, "log_index": str(held.erased_by)},
            )
        return digest

    def erase_document(self, digest: str, log_index: int) -> None:
        """Put a tombstone in the place of a document, for good.

        Args:
            digest: The document.
            log_index: The entry of this transaction that says so.
        """
        asked = {"wanted": digest, "tombstone": queries.tombstone(log_index)}
        self.connection.execute(queries.ERASE_DOCUMENT, asked)

    def touch(self, *scopes: str) -> None:
        """Say that the facts of scopes change here, so that decisions based on them notice.

        Args:
            scopes: Names as ``carnet_server.log.revisions`` makes them.
        """
        for scope in scopes:
            if self.connection.execute(queries.BUMP_REVISION, {"wanted": scope}).rowcount == 0:
                self.connection.execute(queries.INSERT_REVISION, {"scope": scope, "revision": 1})

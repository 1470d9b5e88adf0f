"""Erasing a document of the log: its bytes go for good, and an entry says so.

Responsible for the order of things. Which entries a document belongs to is looked up before the transaction,
since that reads much; what came since, whether it must be kept, the entry and the bytes are one transaction.
No entry is changed: each still names the digest, and every proof holds as before.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from carnet.canonical import check_digest
from carnet.errors import CarnetError, MustBeKeptError, NotFoundError
from carnet.translog.entry import EntryType
from carnet_server.aliases.domain import check_reason_code
from carnet_server.log.queries import READ_DOCUMENT, READ_HEAD, read_held_document
from carnet_server.log.transaction import EntryDraft
from carnet_server.models.notes import NOTE_MEDIA_TYPE, make_note
from carnet_server.retention import erasure_queries as queries
from carnet_server.retention.erasure_rules import refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from carnet.translog.entry import Actor
    from carnet.translog.receipt import Receipt
    from carnet_policies.schema_retention import ErasureTerms
    from carnet_server.access.identity import Caller
    from carnet_server.database.engine import Database
    from carnet_server.environment.state import EnvironmentState
    from carnet_server.log.queries import HeldDocument
    from carnet_server.log.service import LogService
    from carnet_server.log.transaction import Transaction
    from carnet_server.log.writer import Writer
    from carnet_server.models.notes import Note
    from carnet_server.retention.erasure_rules import Use

_ABOUT = ("namespace", "model", "version", "promotion")
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Erased:
    """A document that was erased.

    Attributes:
        digest: The document.
        erased_before: Whether that was so before; the receipt is then of the first erasure.
        receipt: The receipt of the entry that says so.
    """

    digest: str
    erased_before: bool
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class _Wish:
    """What is to be erased, by whom and why, and the entries that it belongs to, up to an index."""

    digest: str
    actor: Actor
    reason_code: str
    note: Note | None
    terms: ErasureTerms | None
    uses: Sequence[Use]
    looked_until: int


class Erasing:
    """Erases documents.

    Args:
        database: The environment's database.
        writer: Its writer.
        log: Its log.
        state: Its policy.
    """

    def __init__(self, database: Database, writer: Writer, log: LogService, state: EnvironmentState) -> None:
        self._database = database
        self._writer = writer
        self._log = log
        self._state = state

    async def erase(self, caller: Caller, digest: str, *, reason_code: str, note: str = "") -> Erased:
        """Erase a document; one that was erased before stays so, and says so.

        Args:
            caller: Who erases it.
            digest: The document's SHA-256, in hexadecimal.
            reason_code: Why, as a code; it stands in the entry.
            note: Why, for people; may be empty. It is a document of its own.

        Returns:
            The receipt of the entry that says that it was erased.

        Raises:
            InvalidInputError: An argument is malformed.
            NotFoundError: There is no such document here.
            MustBeKeptError: It is none that may be erased, the policy keeps it, it is under a legal hold, or
                something that has not ended needs it; ``metadata["because"]`` says which.
        """
        check_digest(digest, field="digest")
        check_reason_code(reason_code)
        document = make_note(note)
        held = await self._database.read(lambda connection: _read_held(connection, digest))
        if held.erased_by is not None:
            return Erased(
                digest, erased_before=True, receipt=await self._log.receipt_of_change(held.erased_by)
            )
        uses, until = await self._look_for_uses(digest, held)
        terms = self._state.policy.document.retention
        wish = _Wish(digest, caller.actor, reason_code, document, terms.erase if terms else None, uses, until)
        before, index = await self._writer.commit(partial(_erase, wish=wish, held=held))
        if not before:
            await self._overwrite(digest)
        return Erased(digest, erased_before=before, receipt=await self._log.receipt_of_change(index))

    async def _look_for_uses(self, digest: str, held: HeldDocument) -> tuple[list[Use], int]:
        """Find the entries that a document belongs to, in short reads, up to the log's present end."""
        size = self._log.size
        first = await self._database.read(
            lambda connection: queries.read_start(connection, held.created_at, size)
        )
        uses: list[Use] = []
        while True:
            page = partial(queries.read_uses, digest=digest, stored_at=held.created_at, first=first)
            found, following = await self._database.read(page)
            uses += found
            if following == first:
                return uses, first
            first = following

    async def _overwrite(self, digest: str) -> None:
        """See that the bytes leave the files of the database too, as far as that is in our hands."""
        try:
            done = await asyncio.to_thread(self._database.flush_deleted)
        except CarnetError as error:
            logger.warning("%s is erased, and its bytes may be in the database's files: %s", digest, error)
        else:
            if not done:
                logger.warning("%s is erased, and its bytes are in the database's files a while yet", digest)


def _read_held(connection: Connection, digest: str) -> HeldDocument:
    held = read_held_document(connection, digest)
    if held is None:
        raise NotFoundError(
            f"there is no document {digest} here: documents are named by the envelope_digest of entries",
            metadata={"digest": digest},
        )
    return held


def _erase(tx: Transaction, *, wish: _Wish, held: HeldDocument) -> tuple[bool, int]:
    """Erase, if it may be; return whether that was done before, and the entry that says so."""
    connection, digest = tx.connection, wish.digest
    erased_by = _read_held(connection, digest).erased_by
    if erased_by is not None:
        return True, erased_by
    uses, first = list(wish.uses), wish.looked_until
    while connection.execute(READ_HEAD).one().size > first:
        found, first = queries.read_uses(connection, digest, held.created_at, first)
        uses += found
    refused = refusal(uses, wish.terms, queries.read_needs(connection, uses, tx.now), tx.now)
    if refused is not None:
        raise MustBeKeptError(
            f"the document {digest} must be kept: {refused.message}",
            metadata={"digest": digest, "because": refused.because},
        )
    document = connection.execute(READ_DOCUMENT, {"wanted": digest}).scalar_one()
    subject = uses[0].entry.subject
    index = tx.append(
        EntryDraft(
            EntryType.DOCUMENT_ERASED,
            wish.actor,
            {"document": digest} | {key: subject[key] for key in _ABOUT if key in subject},
            new=wish.reason_code,
            envelope_digest=tx.store_document(wish.note.data, NOTE_MEDIA_TYPE) if wish.note else None,
        )
    )
    queries.empty_copies(connection, digest, uses, document)
    tx.erase_document(digest, index)
    return False, index

"""Marking the known-good version of an alias, and taking the mark away.

Only a version that the alias points at or pointed at can be marked, and none that is revoked: what is marked
is where a rollback may lead. A mark and its entry commit in one transaction.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from carnet.errors import AlreadyExistsError, NotFoundError, PreconditionFailedError
from carnet.references import check_version_number
from carnet.translog.entry import EntryType
from carnet_server.aliases import mark_queries, queries
from carnet_server.aliases.domain import check_request_id, request_digest
from carnet_server.aliases.marks import Mark, Marked, Marking, check_expected_mark, check_marked
from carnet_server.log.revisions import model_scope
from carnet_server.log.transaction import EntryDraft
from carnet_server.models.domain import require_files
from carnet_server.models.notes import NOTE_MEDIA_TYPE, make_note, read_note
from carnet_server.models.queries import read_listed_version

if TYPE_CHECKING:
    from carnet.references import ResourceName
    from carnet_server.access.identity import Caller
    from carnet_server.aliases.domain import Alias
    from carnet_server.log.service import LogService
    from carnet_server.log.transaction import Transaction
    from carnet_server.log.writer import Writer


class ChampionMarks:
    """Changes the marks of aliases.

    Args:
        writer: The environment's writer.
        log: Its log.
    """

    def __init__(self, writer: Writer, log: LogService) -> None:
        self._writer = writer
        self._log = log

    async def mark(
        self,
        caller: Caller,
        name: ResourceName,
        version: int,
        *,
        expected_marked_version: int | None,
        note: str,
        request_id: str,
    ) -> Marked:
        """Mark the known-good version of an alias, in place of the one that was marked before.

        Args:
            caller: Who asks.
            name: The alias.
            version: The version, which the alias points at or pointed at before.
            expected_marked_version: The marked version that the caller saw, 0 for none; None for any.
            note: Why, for people; may be empty.
            request_id: Makes a repeated request the same request; empty for none.

        Returns:
            The alias, the mark, and the receipt.

        Raises:
            InvalidInputError: An argument is malformed.
            NotFoundError: The alias never was set.
            PreconditionFailedError: The alias never pointed at the version, or it is revoked.
            PurgedError: Its files were purged.
            ConflictError: Another version than the expected one is marked.
            AlreadyExistsError: The request's id was used for another request.
        """
        check_version_number(version)
        asked = request_digest("mark", version=version, expected=expected_marked_version, note=note)
        marking = Marking(
            name,
            version,
            caller.actor,
            expected=check_expected_mark(expected_marked_version),
            note=make_note(note),
            request_id=check_request_id(request_id),
            request_digest=asked if request_id else None,
        )
        return await self._change(marking)

    async def unmark(
        self,
        caller: Caller,
        name: ResourceName,
        *,
        expected_marked_version: int | None,
        note: str,
        request_id: str,
    ) -> Marked:
        """Take the mark of an alias away.

        The arguments and errors are those of ``mark``; an alias that has none is not found.
        """
        asked = request_digest("unmark", expected=expected_marked_version, note=note)
        marking = Marking(
            name,
            0,
            caller.actor,
            expected=check_expected_mark(expected_marked_version),
            note=make_note(note),
            request_id=check_request_id(request_id),
            request_digest=asked if request_id else None,
        )
        return await self._change(marking)

    async def _change(self, marking: Marking) -> Marked:
        alias, mark = await self._writer.commit(partial(_change_mark, marking=marking))
        return Marked(alias, mark, await self._log.receipt_of_change(mark.log_index))


def _change_mark(tx: Transaction, marking: Marking) -> tuple[Alias, Mark]:
    """Change a mark, with its entry; a repeated request gives its first outcome and changes nothing."""
    name = marking.name
    repeated = _find_repeated(tx, marking)
    last_move = queries.read_last_move(tx.connection, name)
    if last_move is None:
        raise NotFoundError(f"alias {name.alias!r} of {name.namespace}/{name.model} never was set here")
    if repeated is not None:
        return last_move.after, repeated
    before = mark_queries.read_last_change(tx.connection, name)
    marked = before.marked_version if before else 0
    check_marked(name, marking.expected, marked)
    if marking.version:
        digest = _require_once_live(tx, name, marking.version)
    elif marked:
        digest = ""
    else:
        raise NotFoundError(f"alias {name.alias!r} of {name.namespace}/{name.model} has no marked version")
    mark = _record(tx, marking, old=marked, digest=digest, after=before.revision if before else 0)
    tx.touch(model_scope(name.namespace, name.model))
    return last_move.after, mark


def _find_repeated(tx: Transaction, marking: Marking) -> Mark | None:
    if not marking.request_id:
        return None
    made = mark_queries.read_mark_by_request(tx.connection, marking.name, marking.request_id)
    if made is not None and made.request_digest != marking.request_digest:
        raise AlreadyExistsError(
            f"request_id {marking.request_id!r} was used for another request about the mark of this alias: "
            "give each request its own id",
            metadata={"field": "request_id"},
        )
    return made


def _require_once_live(tx: Transaction, name: ResourceName, number: int) -> str:
    """Return the digest of a version that may be marked."""
    model = f"{name.namespace}/{name.model}"
    digest = mark_queries.read_live_digest(tx.connection, name, number)
    if not digest:
        moves = queries.read_moves(tx.connection, name)
        live = sorted({move.new_version for move in moves if move.new_version})
        raise PreconditionFailedError(
            f"alias {name.alias!r} of {model} never pointed at version {number}: only what was live under it "
            f"can be marked as known-good, one of {', '.join(map(str, live))}",
            metadata={"subject": str(name)},
        )
    version = read_listed_version(tx.connection, name.namespace, name.model, number)
    if version is None or version.revoked:
        raise PreconditionFailedError(
            f"version {number} of {model} is revoked: it cannot be marked as known-good",
            metadata={"subject": str(name)},
        )
    require_files(version)
    return digest


def _record(tx: Transaction, marking: Marking, *, old: int, digest: str, after: int) -> Mark:
    """Write a change of a mark and its entry."""
    name, note = marking.name, marking.note
    note_digest = tx.store_document(note.data, NOTE_MEDIA_TYPE) if note else None
    subject: dict[str, str | int] = {"namespace": name.namespace, "model": name.model, "alias": name.alias}
    if marking.version:
        subject |= {"version": marking.version, "bundle_digest": digest}
    index = tx.append(
        EntryDraft(
            EntryType.ALIAS_MARKED,
            marking.actor,
            subject,
            old=str(old or ""),
            new=str(marking.version or ""),
            envelope_digest=note_digest,
            # The digest of a request with a text in it has no salt, and would outlive the text.
            request_digest=None if note else marking.request_digest,
        )
    )
    mark = Mark(
        namespace=name.namespace,
        model=name.model,
        alias=name.alias,
        revision=after + 1,
        old_marked_version=old,
        marked_version=marking.version,
        bundle_digest=digest,
        actor=marking.actor.subject,
        note_digest=note_digest,
        request_id=marking.request_id or None,
        request_digest=marking.request_digest,
        created_at=tx.now,
        log_index=index,
    )
    mark_queries.insert_mark(tx.connection, mark)
    return replace(mark, note=read_note(note.data if note else None))

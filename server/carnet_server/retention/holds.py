"""Holds: keeping a version, or a whole model, from being purged, whatever the policy says.

A hold is placed and released with an entry each. It keeps nothing from being moved, archived or revoked.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from carnet.errors import AlreadyExistsError, NotFoundError, PreconditionFailedError
from carnet.serving.paging import decode_page_token, encode_page_token, page_limit
from carnet.translog.entry import EntryType
from carnet_server.access.permissions import READERS
from carnet_server.aliases.domain import check_request_id, request_digest
from carnet_server.log.transaction import EntryDraft
from carnet_server.models.domain import check_reason, require_files, version_subject
from carnet_server.models.notes import NOTE_MEDIA_TYPE, make_note
from carnet_server.models.queries import has_model, read_listed_version
from carnet_server.retention import hold_queries
from carnet_server.retention.holding import Hold, HoldChange, check_expiry

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from carnet.references import ResourceName
    from carnet.translog.entry import Actor
    from carnet_server.access.identity import Caller
    from carnet_server.database.engine import Database
    from carnet_server.log.service import LogService
    from carnet_server.log.transaction import Transaction
    from carnet_server.log.writer import Writer
    from carnet_server.models.notes import Note


class Holds:
    """Places, releases and lists holds.

    Args:
        database: The environment's database.
        writer: Its writer.
        log: Its log.
        clock: Tells the time by which holds that are listed have ended.
    """

    def __init__(
        self,
        database: Database,
        writer: Writer,
        log: LogService,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._writer = writer
        self._log = log
        self._clock = clock

    async def place(
        self,
        caller: Caller,
        name: ResourceName,
        *,
        reason: str,
        expires_at: datetime | None,
        request_id: str,
    ) -> HoldChange:
        """Hold a version, or a model and all of its versions.

        Args:
            caller: Who holds it.
            name: The version or the model.
            reason: Why, for people.
            expires_at: When it ends by itself; None for never.
            request_id: Makes a repeated request the same request; empty for none.

        Raises:
            InvalidInputError: The reason is missing, or the time is over.
            NotFoundError: There is no such version or model.
            PurgedError: The version's files were purged.
            AlreadyExistsError: The request's id was used for another request.
        """
        note = make_note(check_reason(reason, field="reason"))
        assert note is not None
        check_request_id(request_id)
        asked = _digest_of(name, reason, expires_at) if request_id else None
        hold = await self._writer.commit(
            lambda tx: _place(tx, caller.actor, name, note, expires_at, request_id=request_id, asked=asked)
        )
        return HoldChange(replace(hold, note=reason), await self._log.receipt_of_change(hold.log_index))

    async def release(self, caller: Caller, name: ResourceName, hold: int, reason: str) -> HoldChange:
        """End a hold; one that was released already stays as it is.

        Args:
            caller: Who releases it.
            name: What is held.
            hold: The hold's number.
            reason: Why, for people.

        Raises:
            InvalidInputError: The reason is missing.
            NotFoundError: There is no such hold on it.
            PreconditionFailedError: It ended by itself before.
        """
        note = make_note(check_reason(reason, field="reason"))
        assert note is not None
        released = await self._writer.commit(lambda tx: _release(tx, caller.actor, name, hold, note))
        assert released.release_log_index is not None
        return HoldChange(released, await self._log.receipt_of_change(released.release_log_index))

    async def list_page(
        self,
        caller: Caller,
        place: ResourceName | None,
        *,
        include_ended: bool,
        page_size: int,
        page_token: str,
    ) -> tuple[list[Hold], str]:
        """List holds, the newest first.

        Args:
            caller: Who asks; only what it may read is listed.
            place: A namespace or a model; None for everywhere.
            include_ended: Also those that were released or have ended by themselves.
            page_size: How many at most; 0 for the default.
            page_token: The token of the page before; empty for the first.

        Returns:
            The holds, and the token of the next page; empty at the end.

        Raises:
            InvalidInputError: The size or the token is malformed.
        """
        query = f"holds {place or '-'} {include_ended}"
        position = decode_page_token(page_token, query, int)
        limit, now = page_limit(page_size), self._clock()

        def read(connection: Connection) -> list[Hold]:
            there = [place.namespace] if place else hold_queries.list_held_namespaces(connection)
            return hold_queries.list_holds(
                connection,
                [each for each in there if caller.roles_in(each) & READERS],
                model=place.model if place else "",
                include_ended=include_ended,
                before=position[0] if position else None,
                limit=limit + 1,
                now=now,
            )

        found = await self._database.read(read)
        if len(found) <= limit:
            return found, ""
        return found[:limit], encode_page_token(query, (found[limit - 1].hold,))


def _digest_of(name: ResourceName, reason: str, expires_at: datetime | None) -> str:
    until = expires_at.isoformat() if expires_at else None
    return request_digest("hold", name=str(name), reason=reason, expires_at=until)


def _place(
    tx: Transaction,
    actor: Actor,
    name: ResourceName,
    note: Note,
    expires_at: datetime | None,
    *,
    request_id: str,
    asked: str | None,
) -> Hold:
    made = hold_queries.read_hold_by_request(tx.connection, request_id) if request_id else None
    if made is not None:
        if made.request_digest != asked:
            raise AlreadyExistsError(
                f"request_id {request_id!r} was used for another request, which placed hold {made.hold}: "
                "give each request its own id",
                metadata={"field": "request_id", "hold": str(made.hold)},
            )
        return made
    check_expiry(expires_at, tx.now)
    number = hold_queries.read_last_number(tx.connection) + 1
    digest = tx.store_document(note.data, NOTE_MEDIA_TYPE)
    index = tx.append(
        EntryDraft(
            EntryType.HOLD_PLACED,
            actor,
            _subject(tx.connection, name) | {"hold": number},
            new=expires_at.isoformat() if expires_at else None,
            envelope_digest=digest,
        )
    )
    hold = Hold(
        hold=number,
        namespace=name.namespace,
        model=name.model,
        version=name.version,
        actor=actor.subject,
        note_digest=digest,
        created_at=tx.now,
        expires_at=expires_at,
        released_at=None,
        releaser="",
        request_id=request_id or None,
        request_digest=asked,
        log_index=index,
        release_log_index=None,
    )
    hold_queries.insert_hold(tx.connection, hold)
    return hold


def _release(tx: Transaction, actor: Actor, name: ResourceName, number: int, note: Note) -> Hold:
    hold = hold_queries.read_hold(tx.connection, number)
    if hold is None or hold.name != str(name):
        raise NotFoundError(
            f"there is no hold {number} on {name} here: list the holds", metadata={"field": "hold"}
        )
    if hold.released_at is not None:
        return hold
    if hold.expires_at is not None and hold.expires_at <= tx.now:
        raise PreconditionFailedError(
            f"hold {number} on {name} ended by itself at {hold.expires_at:%Y-%m-%d %H:%M:%S} UTC: there is "
            "nothing to release",
            metadata={"subject": str(name)},
        )
    index = tx.append(
        EntryDraft(
            EntryType.HOLD_RELEASED,
            actor,
            _subject(tx.connection, name) | {"hold": number},
            envelope_digest=tx.store_document(note.data, NOTE_MEDIA_TYPE),
        )
    )
    released = replace(hold, released_at=tx.now, releaser=actor.subject, release_log_index=index)
    hold_queries.release_hold(tx.connection, released)
    return released


def _subject(connection: Connection, name: ResourceName) -> dict[str, str | int]:
    """Return what entries about a hold on something are about, if that is here."""
    if not name.version:
        if not has_model(connection, name.namespace, name.model):
            raise NotFoundError(f"there is no model {name.namespace}/{name.model} here")
        return {"namespace": name.namespace, "model": name.model}
    version = read_listed_version(connection, name.namespace, name.model, name.version)
    if version is None:
        raise NotFoundError(f"there is no version {name.version} of {name.namespace}/{name.model} here")
    return version_subject(name.namespace, name.model, name.version, require_files(version).bundle_digest)

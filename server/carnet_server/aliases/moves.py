"""Moving an alias: the one place where one is moved.

``move_alias`` runs inside the transaction of whoever may move it: a caller that sets or removes it, an
operator who rolls back, an admission, or a rollout. It compares and swaps, and writes the alias, the move and
its log entry. Who may move which alias is decided before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.errors import AlreadyExistsError, NotFoundError, PreconditionFailedError
from carnet.translog.entry import EntryType
from carnet_server.aliases import queries
from carnet_server.aliases.domain import AliasMove, check_revision
from carnet_server.log.revisions import model_scope
from carnet_server.log.transaction import EntryDraft
from carnet_server.models.domain import require_files
from carnet_server.models.notes import NOTE_MEDIA_TYPE
from carnet_server.models.queries import read_listed_version
from carnet_server.models.stages import follow_aliases

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from carnet.references import ResourceName
    from carnet_server.aliases.domain import Move
    from carnet_server.log.transaction import Transaction
    from carnet_server.models.domain import Version


def find_repeated(
    connection: Connection, name: ResourceName, request_id: str, digest: str | None
) -> AliasMove | None:
    """Read the move that the same request made before.

    Args:
        connection: Where to read.
        name: The alias.
        request_id: The request's id; empty for none.
        digest: The digest of what is asked for.

    Returns:
        The move; None where this is the first time.

    Raises:
        AlreadyExistsError: The id was used for something else.
    """
    made = queries.read_move_by_request(connection, name, request_id) if request_id else None
    if made is not None and made.request_digest != digest:
        raise AlreadyExistsError(
            f"request_id {request_id!r} was used for another request about this alias, which made its "
            f"revision {made.revision}: give each request its own id",
            metadata={"field": "request_id", "revision": str(made.revision)},
        )
    return made


def require_live_version(connection: Connection, namespace: str, model: str, number: int) -> Version:
    """Read a version that an alias may point at.

    Raises:
        NotFoundError: It is not here.
        PreconditionFailedError: It is revoked.
        PurgedError: Its files were purged.
    """
    version = read_listed_version(connection, namespace, model, number)
    if version is None:
        raise NotFoundError(f"there is no version {number} of {namespace}/{model} here")
    if version.revoked:
        raise PreconditionFailedError(
            f"version {number} of {namespace}/{model} is revoked: no alias may be moved to it",
            metadata={"subject": version.name},
        )
    return require_files(version)


def move_alias(tx: Transaction, move: Move) -> AliasMove:
    """Move an alias, with its entry; a repeated request gives its first outcome and moves nothing.

    Args:
        tx: The transaction.
        move: What is asked for.

    Returns:
        The move that was made; ``after`` is the alias.

    Raises:
        ConflictError: The alias is not at the expected revision.
        NotFoundError: The version is not here, or an alias that shall be removed is not set.
        PreconditionFailedError: The version is revoked.
        PurgedError: Its files were purged.
        AlreadyExistsError: The request's id was used for another request.
    """
    name = move.name
    repeated = find_repeated(tx.connection, name, move.request_id, move.request_digest)
    if repeated is not None:
        return repeated
    present = queries.read_alias(tx.connection, name)
    last = queries.read_last_move(tx.connection, name)
    last_revision = last.revision if last else 0
    check_revision(name, move.expected_revision, present, last_revision)
    digest = ""
    if move.version:
        digest = require_live_version(tx.connection, name.namespace, name.model, move.version).bundle_digest
    elif present is None:
        raise NotFoundError(f"alias {name.alias!r} of {name.namespace}/{name.model} is not set")
    made = _record(
        tx, move, old_version=present.version if present else 0, digest=digest, after=last_revision
    )
    queries.write_alias(tx.connection, made.after, is_new=present is None)
    follow_aliases(tx, move.actor, name.namespace, name.model, made.old_version, made.new_version)
    tx.touch(model_scope(name.namespace, name.model))
    return made


def _record(tx: Transaction, move: Move, *, old_version: int, digest: str, after: int) -> AliasMove:
    """Write a move and its entry."""
    note_digest = tx.store_document(move.note.data, NOTE_MEDIA_TYPE) if move.note else None
    subject: dict[str, str | int] = {"namespace": move.namespace, "model": move.model, "alias": move.alias}
    if move.version:
        subject |= {"version": move.version, "bundle_digest": digest}
    if move.promotion:
        subject["promotion"] = move.promotion
    if move.rollout:
        subject["rollout"] = move.rollout
    index = tx.append(
        EntryDraft(
            EntryType.ALIAS_MOVED if move.version else EntryType.ALIAS_REMOVED,
            move.actor,
            subject,
            old=_text(old_version),
            new=_text(move.version),
            envelope_digest=move.envelope_digest or note_digest,
            # The digest of a request with a text in it has no salt, and would outlive the text.
            request_digest=None if move.note else move.request_digest,
        )
    )
    made = AliasMove(
        namespace=move.namespace,
        model=move.model,
        alias=move.alias,
        revision=after + 1,
        kind=move.kind,
        old_version=old_version,
        new_version=move.version,
        bundle_digest=digest,
        actor=move.actor.subject,
        reason_code=move.reason_code,
        note_digest=note_digest,
        promotion=move.promotion,
        request_id=move.request_id or None,
        request_digest=move.request_digest,
        created_at=tx.now,
        log_index=index,
    )
    queries.insert_move(tx.connection, made)
    return made


def _text(version: int) -> str:
    return str(version) if version else ""

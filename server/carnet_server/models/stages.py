"""Moving versions from stage to stage: by hand, with the aliases, by an approved admission, by revocation.

Everything here runs inside the transaction of whoever moves it, and each move is an entry of its own: a stage
is what replaying the log gives. Which moves are legal is said in ``carnet.stages``. Takes nothing away: a
version keeps its files at every stage.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from carnet.errors import ConflictError, NotFoundError
from carnet.stages import Stage, admitting, check_by_hand, following
from carnet.translog.entry import EntryType
from carnet_server.aliases.queries import read_aliases_of
from carnet_server.log.revisions import bundle_scope, model_scope
from carnet_server.log.transaction import EntryDraft
from carnet_server.models import queries
from carnet_server.models.domain import require_files
from carnet_server.models.notes import NOTE_MEDIA_TYPE

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from carnet.references import ResourceName
    from carnet.translog.entry import Actor
    from carnet_server.log.transaction import Transaction
    from carnet_server.models.domain import Version
    from carnet_server.models.notes import Note


def set_stage(
    tx: Transaction, actor: Actor, name: ResourceName, wanted: Stage, note: Note, *, expected: Stage | None
) -> Version:
    """Move a version by hand; one that stands there already stays as it is, without an entry.

    Args:
        tx: The transaction.
        actor: Who moves it.
        name: The version.
        wanted: Where to.
        note: Why, for people.
        expected: Where the caller saw it; None for anywhere.

    Returns:
        The version as it stands then.

    Raises:
        NotFoundError: There is no such version.
        ConflictError: It does not stand where it was seen; ``metadata["stage"]`` says where it does.
        IllegalTransitionError: It cannot go there from where it stands; the message names where it can go.
        PurgedError: Its files were purged, and it stays where it is for good.
    """
    version = require_version(tx.connection, name)
    if expected is not None and version.stage is not expected:
        raise ConflictError(
            f"version {name.version} of {name.namespace}/{name.model} is {version.stage}, and {expected} was "
            "expected: read it again and decide anew",
            metadata={"subject": version.name, "stage": str(version.stage)},
        )
    if version.stage is wanted:
        return version
    require_files(version)
    check_by_hand(f"{name.version} of {name.namespace}/{name.model}", version.stage, wanted)
    tx.touch(model_scope(version.namespace, version.model))
    return _move(tx, actor, version, wanted, envelope_digest=_store(tx, note))


def follow_aliases(tx: Transaction, actor: Actor, namespace: str, model: str, *numbers: int) -> None:
    """Move versions to where the aliases put them, once an alias of their model was moved.

    The version that the last alias left is archived, and one that an alias came to is deployed.

    Args:
        tx: The transaction, in which the alias is moved already, and its model touched.
        actor: Who moved it.
        namespace: Where.
        model: The alias's model.
        numbers: The versions that it left and came to, in this order; 0 for none.
    """
    live = {alias.version for alias in read_aliases_of(tx.connection, [(namespace, model)])}
    for number in dict.fromkeys(number for number in numbers if number):
        version = queries.read_listed_version(tx.connection, namespace, model, number)
        assert version is not None  # an alias points at versions only, and they are never deleted
        _move(tx, actor, version, following(version.stage, live=number in live))


def approve_admitted(
    tx: Transaction, actor: Actor, version: Version, *, promotion: str, decision_digest: str
) -> Version:
    """Say that people approved the admission of a version; of one that is deployed there is nothing to say.

    Args:
        tx: The transaction.
        actor: Who admits it.
        version: The version, as it stands.
        promotion: The promotion that brought it.
        decision_digest: The stored decision, which lists the approvals.

    Returns:
        The version as it stands then.
    """
    wanted = admitting(version.stage)
    tx.touch(model_scope(version.namespace, version.model))
    return _move(tx, actor, version, wanted, promotion=promotion, envelope_digest=decision_digest)


def revoke_version(tx: Transaction, actor: Actor, name: ResourceName, note: Note) -> Version:
    """Withdraw a version for good, with its entry; one that is withdrawn already stays as it is.

    Args:
        tx: The transaction.
        actor: Who withdraws it.
        name: The version.
        note: Why, for people.

    Raises:
        NotFoundError: There is no such version.
    """
    version = require_version(tx.connection, name)
    if version.revoked:
        return version
    tx.touch(bundle_scope(version.bundle_digest), model_scope(version.namespace, version.model))
    return _move(
        tx, actor, version, Stage.REVOKED, kind=EntryType.VERSION_REVOKED, envelope_digest=_store(tx, note)
    )


def require_version(connection: Connection, name: ResourceName) -> Version:
    """Read a version with its manifest and signature.

    Raises:
        NotFoundError: There is none of that name.
    """
    version = queries.read_version(connection, name.namespace, name.model, name.version)
    if version is None:
        raise NotFoundError(f"there is no version {name.version} of {name.namespace}/{name.model} here")
    return version


def _move(
    tx: Transaction,
    actor: Actor,
    version: Version,
    wanted: Stage,
    *,
    kind: EntryType = EntryType.VERSION_STAGE_CHANGED,
    promotion: str = "",
    envelope_digest: str | None = None,
) -> Version:
    """Write a move and its entry; none where the version stands there already."""
    if version.stage is wanted:
        return version
    index = tx.append(
        EntryDraft(
            kind,
            actor,
            version.subject | ({"promotion": promotion} if promotion else {}),
            old=str(version.stage),
            new=str(wanted),
            envelope_digest=envelope_digest,
        )
    )
    moved = replace(version, stage=wanted, staged_at=tx.now, stage_log_index=index)
    if wanted is Stage.REVOKED:
        moved = replace(moved, revoked_log_index=index)
    if not queries.write_stage(tx.connection, moved, old=version.stage):
        raise ConflictError(
            f"{version.name} was moved from {version.stage} meanwhile: read it again and decide anew",
            metadata={"subject": version.name},
        )
    return moved


def _store(tx: Transaction, note: Note) -> str:
    return tx.store_document(note.data, NOTE_MEDIA_TYPE)

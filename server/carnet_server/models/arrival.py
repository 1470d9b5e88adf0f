"""Registering a version: the one place where a version gets into an environment.

``register_version`` runs inside the transaction of whoever decided that the version may come in: publication
and admission. It insists on what must hold of any version here, whatever was decided, and writes the version,
its files and its log entry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.errors import AlreadyExistsError, PreconditionFailedError
from carnet.translog.entry import EntryType
from carnet_server.blobs.domain import Blob
from carnet_server.blobs.queries import require_blobs
from carnet_server.log.revisions import bundle_scope, model_scope
from carnet_server.log.transaction import EntryDraft
from carnet_server.models import queries
from carnet_server.models.contract import require_free
from carnet_server.models.domain import Model, require_files
from carnet_server.search.index import index_version

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from carnet.bundle.manifest import Manifest
    from carnet.translog.entry import Actor
    from carnet_server.log.transaction import Transaction
    from carnet_server.models.domain import Arrival, Version


def find_registered(connection: Connection, arrival: Arrival) -> Version | None:
    """Read the version that arrives, if it is here already.

    Args:
        connection: Where to read.
        arrival: The version.

    Returns:
        The version; None where its number is free.

    Raises:
        AlreadyExistsError: The number is another bundle's; ``metadata`` tells both digests.
    """
    manifest, digest = arrival.manifest, arrival.bundle_digest
    held = queries.read_version(connection, manifest.namespace, manifest.model, manifest.version)
    if held is None or held.bundle_digest == digest:
        return held
    raise AlreadyExistsError(
        f"version {manifest.version} of {manifest.namespace}/{manifest.model} exists with the bundle digest "
        f"{held.bundle_digest}, and this bundle has {digest}: a version never changes; "
        "publish this one under the next number",
        metadata={"existingDigest": held.bundle_digest, "givenDigest": digest},
    )


def register_version(
    tx: Transaction, arrival: Arrival, *, actor: Actor, decision_digest: str
) -> tuple[Version, bool]:
    """Register a version that was decided on, with its entry; one that is here already is left as it is.

    Args:
        tx: The transaction.
        arrival: The version. Its bytes and signature are verified before.
        actor: Who brings it.
        decision_digest: The stored document of the decision that lets it in.

    Returns:
        The version, and whether it is new here.

    Raises:
        AlreadyExistsError: The number, or the semantic version, is another bundle's.
        PreconditionFailedError: The model has another home.
        BlobsMissingError: The namespace has not been given some of its blobs.
        PurgedError: It was here, and its files were purged.
    """
    manifest = arrival.manifest
    held = find_registered(tx.connection, arrival)
    if held is not None:
        return require_files(held), False
    _ensure_model(tx, manifest)
    require_free(tx.connection, manifest)
    blobs = [Blob(file.digest, file.size_bytes) for file in manifest.files]
    require_blobs(tx.connection, manifest.namespace, blobs)
    published = not arrival.source
    version = arrival.as_version(created_at=tx.now, log_index=0)
    index = tx.append(
        EntryDraft(
            EntryType.VERSION_PUBLISHED if published else EntryType.VERSION_ADMITTED,
            actor,
            version.subject | ({"promotion": arrival.promotion} if arrival.promotion else {}),
            envelope_digest=decision_digest,
        )
    )
    version = arrival.as_version(created_at=tx.now, log_index=index)
    queries.insert_version(tx.connection, version, manifest.files)
    index_version(tx.connection, version)
    tx.touch(model_scope(version.namespace, version.model), bundle_scope(version.bundle_digest))
    return version, True


def _ensure_model(tx: Transaction, manifest: Manifest) -> None:
    model = queries.read_model(tx.connection, manifest.namespace, manifest.model)
    if model is None:
        made = Model(manifest.namespace, manifest.model, manifest.home, tx.now, "", 0, 0)
        queries.insert_model(tx.connection, made)
    elif model.home != manifest.home:
        raise PreconditionFailedError(
            f"model {manifest.namespace}/{manifest.model} has its home in {model.home}, and the manifest "
            f"names {manifest.home}: a model has one home, which gives its versions their numbers",
            metadata={"subject": model.name, "home": model.home},
        )

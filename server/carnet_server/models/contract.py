"""Whether a version that is published keeps what its semantic version promises.

Responsible for reading the model's earlier versions for the rules of ``carnet.bundle.contract``, and for the
errors. Invariant: what is read are facts of the model, whose revision a publication compares when it commits.
A version that is admitted from elsewhere was judged at its home, and one that comes back after a purge was
judged when it came first; their semantic version must be free.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.bundle.contract import EarlierVersion, find_violation
from carnet.bundle.manifest import parse_manifest
from carnet.bundle.semantic_version import parse_semantic_version
from carnet.errors import AlreadyExistsError, ContractBrokenError, DataLossError
from carnet_server.models import queries

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from carnet.bundle.manifest import Manifest


def require_contract(connection: Connection, manifest: Manifest) -> None:
    """Insist that a version about to be published keeps what its semantic version promises.

    Args:
        connection: Where to read.
        manifest: Its manifest.

    Raises:
        ContractBrokenError: It does not; ``metadata`` has the field, and the number that would be right.
        AlreadyExistsError: The semantic version is another version's.
        DataLossError: A stored version is gone meanwhile or damaged.
    """
    if not manifest.semantic_version:
        return
    names = (manifest.namespace, manifest.model)
    if queries.was_purged(connection, *names, manifest.content_digest):
        require_free(connection, manifest)
        return
    earlier = [
        EarlierVersion(version, parse_semantic_version(semantic_version), revoked)
        for version, semantic_version, revoked in queries.read_semantic_versions(connection, *names)
    ]

    def read(version: int) -> Manifest:
        held = queries.read_version(connection, *names, version)
        if held is None:
            raise DataLossError(f"version {version} of {'/'.join(names)} is listed, and cannot be read")
        return parse_manifest(held.manifest)

    found = find_violation(manifest, earlier, read)
    if found is None:
        return
    remedy = f"publish it as {found.suggestion}: write `semantic_version: {found.suggestion}`"
    family = AlreadyExistsError if found.taken else ContractBrokenError
    raise family(
        f"{found.field}: {found.message}; {remedy}",
        metadata={
            "field": found.field,
            "subject": manifest.subject_name,
            "semanticVersion": manifest.semantic_version,
            "nextSemanticVersion": str(found.suggestion),
        },
    )


def require_free(connection: Connection, manifest: Manifest) -> None:
    """Insist that no other version of the model states this semantic version, but for itself before a purge.

    Args:
        connection: Where to read.
        manifest: The manifest of the version that arrives.

    Raises:
        AlreadyExistsError: One does.
    """
    if not manifest.semantic_version:
        return
    names = (manifest.namespace, manifest.model)
    stated = manifest.semantic_version
    version = queries.find_semantic_version(connection, *names, stated, but_purged=manifest.content_digest)
    if version is not None:
        raise AlreadyExistsError(
            f"semantic_version: {stated} is that of version {version} of {'/'.join(names)}",
            metadata={"field": "semantic_version", "subject": manifest.subject_name},
        )

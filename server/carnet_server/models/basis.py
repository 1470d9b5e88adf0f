"""What a decision about a publication is based on: the facts, read at stated revisions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from carnet.errors import PreconditionFailedError
from carnet.references import ResourceName
from carnet_server.blobs.domain import Blob
from carnet_server.blobs.queries import require_blobs
from carnet_server.log.revisions import (
    POLICY_SCOPE,
    TRUST_SCOPE,
    bundle_scope,
    model_scope,
    read_revisions,
)
from carnet_server.models import queries
from carnet_server.models.contract import require_contract
from carnet_server.models.domain import check_next_number
from carnet_server.models.facts import Candidate, FactReader

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from carnet_policies.facts import Facts
    from carnet_server.access.trust import Trust
    from carnet_server.environment.state import EnvironmentState
    from carnet_server.models.domain import Arrival, Version
    from carnet_server.models.publication import VerifiedPublication


@dataclass(frozen=True, slots=True)
class Basis:
    """The facts, and the revisions of where they came from."""

    facts: Facts
    revisions: Mapping[str, int]

    def moved(self, connection: Connection) -> bool:
        """Whether any of it changed since it was read."""
        return read_revisions(connection, list(self.revisions)) != self.revisions


def read_basis(
    connection: Connection, verified: VerifiedPublication, *, state: EnvironmentState, trust: Trust
) -> Basis:
    """Read what a decision is to be based on: revisions first, so that a change in between is noticed.

    Args:
        connection: Where to read.
        verified: The publication.
        state: The environment's keys and policy.
        trust: The trust document that the publication was verified under.

    Raises:
        ConflictError: The version has not the next number.
        PreconditionFailedError: A version of the same content is revoked.
        BlobsMissingError: The namespace has not been given some of the blobs.
        ContractBrokenError: It breaks what its semantic version promises.
        AlreadyExistsError: Its semantic version is taken.
    """
    arrival = verified.arrival
    manifest = arrival.manifest
    _require_publishable(connection, arrival)
    blobs = [Blob(file.digest, file.size_bytes) for file in manifest.files]
    require_blobs(connection, manifest.namespace, blobs)
    revisions = read_revisions(connection, _scopes(arrival))
    require_contract(connection, manifest)
    reader = FactReader(connection, trust, state.signing_key.verification_key)
    alias = state.policy.document.baseline_alias
    baseline = reader.baseline(manifest.namespace, manifest.model, alias)
    if baseline is not None:
        revisions |= read_revisions(connection, [bundle_scope(baseline.bundle_digest)])
    candidate = Candidate(
        manifest=manifest,
        bundle_digest=arrival.bundle_digest,
        namespace=manifest.namespace,
        signature=verified.signature,
        publisher=verified.publisher,
    )
    facts = reader.facts(candidate, baseline=baseline, now=datetime.now(UTC))
    return Basis(facts, revisions)


def _require_publishable(connection: Connection, arrival: Arrival) -> None:
    """Insist that a version has the next number, and that its content was not withdrawn.

    Raises:
        ConflictError: Another number is the next.
        PreconditionFailedError: A version of the same content is revoked.
    """
    manifest = arrival.manifest
    name = ResourceName(manifest.namespace, manifest.model)
    find_same_content(connection, name, arrival.content_digest)
    latest = queries.read_latest_number(connection, manifest.namespace, manifest.model)
    check_next_number(name, manifest.version, latest)


def find_same_content(connection: Connection, name: ResourceName, content_digest: str) -> Version | None:
    """Read the newest version of a content whose files are kept, and insist that none of it is revoked.

    Args:
        connection: Where to read.
        name: The model.
        content_digest: The content.

    Returns:
        The version; None where the content is new here, or was purged.

    Raises:
        PreconditionFailedError: One is revoked: under another number it would be the same again.
    """
    same = queries.read_versions_by_content(connection, name.namespace, name.model, content_digest)
    revoked = next((version for version in same if version.revoked), None)
    if revoked is not None:
        raise PreconditionFailedError(
            f"this content was published as version {revoked.version} of {name.namespace}/{name.model}, "
            "which is revoked: change the model before you publish it again",
            metadata={"subject": revoked.name},
        )
    return next((version for version in same if not version.purged), None)


def _scopes(arrival: Arrival) -> list[str]:
    manifest = arrival.manifest
    return [
        POLICY_SCOPE,
        TRUST_SCOPE,
        bundle_scope(arrival.bundle_digest),
        model_scope(manifest.namespace, manifest.model),
    ]

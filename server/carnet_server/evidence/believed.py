"""What decisions may look at: the held evidence that counts under today's trust.

Every envelope is assessed anew, so that a key that was taken out of the trust document no longer counts, and
one that was put in does.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from carnet.canonical import sha256_hex
from carnet.errors import DataLossError, IntegrityError
from carnet_policies.facts import Attestation, MetricValue, PeerDecision
from carnet_server.evidence import queries
from carnet_server.evidence.assessment import assess

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from carnet.signing.keys import VerificationKey
    from carnet_server.access.trust import Trust
    from carnet_server.evidence.assessment import Assessment
    from carnet_server.evidence.domain import Evidence


def trusted_attestations(
    connection: Connection, namespace: str, bundle_digest: str, *, trust: Trust, own_key: VerificationKey
) -> list[Attestation]:
    """Read the attestations about a bundle whose signers are trusted here for them, the oldest first.

    Environments' decisions are not among them: see ``peer_decisions``.

    Args:
        connection: Where to read.
        namespace: The bundle's namespace.
        bundle_digest: The bundle.
        trust: The trust document in force.
        own_key: The key of this environment's own decisions.

    Raises:
        DataLossError: A stored envelope is damaged.
    """
    return [
        Attestation(
            digest=found.digest,
            predicate_type=found.predicate_type,
            suite=found.content.suite,
            result=found.content.result,
            signer_subject=found.signer.subject,
            signer_roles=found.signer.roles,
            signer_person=found.signer.person,
            time=found.content.time,
            metrics=tuple(
                MetricValue(
                    metric.name, metric.value, metric.direction, dict(metric.slice), metric.sample_count
                )
                for metric in found.content.metrics
            ),
        )
        for found in _trusted(connection, namespace, bundle_digest, trust, own_key)
        if not found.signer.environment
    ]


def peer_decisions(
    connection: Connection, namespace: str, bundle_digest: str, *, trust: Trust, own_key: VerificationKey
) -> list[PeerDecision]:
    """Read the decisions about a bundle that other environments made and signed, the oldest first.

    The arguments and errors are those of ``trusted_attestations``.
    """
    return [
        PeerDecision(
            environment=found.signer.environment,
            bundle_digest=found.bundle_digest,
            result=found.content.result,
            digest=found.digest,
            time=found.content.time,
        )
        for found in _trusted(connection, namespace, bundle_digest, trust, own_key)
        if found.signer.environment not in ("", trust.environment) and found.content.time is not None
    ]


def as_of_today(evidence: Evidence, *, trust: Trust, own_key: VerificationKey) -> Evidence:
    """Return held evidence with what is to be thought of its signer now.

    Raises:
        DataLossError: The stored envelope is damaged.
    """
    found = _assess_held(evidence, trust, own_key)
    if found is None:
        return replace(evidence, signer="", signer_key_id="", trusted=False)
    return replace(
        evidence, signer=found.signer.subject, signer_key_id=found.signer.key_id, trusted=found.trusted
    )


def _trusted(
    connection: Connection, namespace: str, bundle_digest: str, trust: Trust, own_key: VerificationKey
) -> Iterator[Assessment]:
    for evidence in queries.read_all_evidence(connection, namespace, bundle_digest):
        found = _assess_held(evidence, trust, own_key)
        if found is not None and found.trusted:
            yield found


def _assess_held(evidence: Evidence, trust: Trust, own_key: VerificationKey) -> Assessment | None:
    """Assess what is held; None where it does not hold under today's trust, though its bytes are whole."""
    if sha256_hex(evidence.envelope) != evidence.digest:
        raise DataLossError(
            f"the stored evidence {evidence.digest} about {evidence.bundle_digest} is damaged: restore the "
            "database"
        )
    try:
        found = assess(
            evidence.envelope,
            namespace=evidence.namespace,
            trust=trust,
            own_key=own_key,
            at=evidence.created_at,
        )
    except IntegrityError:
        return None
    return found if found.bundle_digest == evidence.bundle_digest else None

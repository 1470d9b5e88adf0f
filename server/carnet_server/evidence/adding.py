"""Writing evidence, inside the transaction of whoever adds it.

``add_evidence`` is for what somebody brings, with an entry of its own; ``insert_evidence`` for an attestation
that another entry tells of, as an environment's own decision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.canonical import DIGEST_PATTERN
from carnet.errors import StatementInvalidError
from carnet.signing.decision import Decision
from carnet.signing.dsse import parse_envelope
from carnet.translog.entry import EVIDENCE_UNTRUSTED, EntryType
from carnet_server.evidence import queries
from carnet_server.evidence.assessment import own_signer
from carnet_server.evidence.domain import Evidence
from carnet_server.log.revisions import bundle_scope
from carnet_server.log.transaction import EntryDraft
from carnet_server.models.domain import version_subject
from carnet_server.models.queries import read_listed_version, read_version_by_digest

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from carnet.references import ResourceName
    from carnet.signing.dsse import Envelope
    from carnet.signing.keys import VerificationKey
    from carnet.translog.entry import Actor
    from carnet_server.evidence.assessment import Assessment
    from carnet_server.log.transaction import Transaction

ENVELOPE_MEDIA_TYPE = "application/vnd.dsse.envelope.v1+json"


def require_about(connection: Connection, name: ResourceName, bundle_digest: str) -> None:
    """Insist that a bundle is the version of a name, as far as this environment knows.

    Args:
        connection: Where to read.
        name: The version's name.
        bundle_digest: The bundle that an attestation is about.

    Raises:
        StatementInvalidError: The version here is another bundle, or the bundle another version.
    """
    held = read_listed_version(connection, name.namespace, name.model, name.version)
    if held is not None and held.bundle_digest != bundle_digest:
        raise StatementInvalidError(
            f"the attestation is about the bundle {bundle_digest}, and {name.namespace}/{name.model}"
            f"@{name.version} is {held.bundle_digest} here",
            metadata={"field": "subject[0].digest.sha256"},
        )
    if held is None and read_version_by_digest(connection, bundle_digest) is not None:
        raise StatementInvalidError(
            f"the attestation is about the bundle {bundle_digest}, which is another version than "
            f"{name.namespace}/{name.model}@{name.version}",
            metadata={"field": "subject[0].digest.sha256"},
        )


def add_evidence(
    tx: Transaction, name: ResourceName, assessment: Assessment, envelope: bytes, *, actor: Actor
) -> tuple[Evidence, bool]:
    """Add an attestation with its entry; one that is held already is left as it is.

    Args:
        tx: The transaction.
        name: The version that it is added to.
        assessment: What was found of it before.
        envelope: The envelope's bytes.
        actor: Who brings it.

    Returns:
        What is held now, and whether it is new.

    Raises:
        StatementInvalidError: It is about another bundle than the version.
    """
    bundle_digest = assessment.bundle_digest
    require_about(tx.connection, name, bundle_digest)
    held = queries.read_evidence(tx.connection, name.namespace, bundle_digest, assessment.digest)
    if held is not None:
        return held, False
    digest = tx.store_document(envelope, ENVELOPE_MEDIA_TYPE)
    index = tx.append(
        EntryDraft(
            EntryType.EVIDENCE_ADDED,
            actor,
            version_subject(name.namespace, name.model, name.version, bundle_digest),
            new=None if assessment.trusted else EVIDENCE_UNTRUSTED,
            envelope_digest=digest,
        )
    )
    added = Evidence(
        namespace=name.namespace,
        bundle_digest=bundle_digest,
        digest=digest,
        model=name.model,
        version=name.version,
        predicate_type=assessment.predicate_type,
        suite=assessment.content.suite,
        result=assessment.content.result,
        signer=assessment.signer.subject,
        signer_key_id=assessment.signer.key_id or _named_key(envelope),
        trusted=assessment.trusted,
        created_at=tx.now,
        log_index=index,
        envelope=envelope,
    )
    insert_evidence(tx, added)
    return added, True


def _named_key(envelope: bytes) -> str:
    """Return the key that an unknown signer's attestation names, by which it is found once that is known."""
    named = (each.keyid for each in parse_envelope(envelope).signatures)
    return next((key_id for key_id in named if DIGEST_PATTERN.fullmatch(key_id)), "")


def insert_evidence(tx: Transaction, evidence: Evidence) -> None:
    """Write an attestation that an entry of this transaction tells of; one that is held is left as it is."""
    held = queries.read_evidence(tx.connection, evidence.namespace, evidence.bundle_digest, evidence.digest)
    if held is None:
        queries.insert_evidence_row(tx.connection, evidence)
        tx.touch(bundle_scope(evidence.bundle_digest))


def insert_own_decision(
    tx: Transaction,
    name: ResourceName,
    bundle_digest: str,
    envelope: Envelope,
    *,
    result: str,
    own_key: VerificationKey,
    log_index: int,
) -> None:
    """Keep this environment's own decision as evidence about the bundle, so that the next one is given it.

    Args:
        tx: The transaction.
        name: The version that was decided on.
        bundle_digest: Its digest.
        envelope: The signed decision.
        result: ``PASSED`` or ``FAILED``.
        own_key: The key that it is signed with.
        log_index: The entry that tells of it.
    """
    signer = own_signer(tx.environment, own_key)
    insert_evidence(
        tx,
        Evidence(
            namespace=name.namespace,
            bundle_digest=bundle_digest,
            digest=envelope.digest,
            model=name.model,
            version=name.version,
            predicate_type=Decision.PREDICATE_TYPE,
            suite="",
            result=result,
            signer=signer.subject,
            signer_key_id=signer.key_id,
            trusted=True,
            created_at=tx.now,
            log_index=log_index,
            envelope=envelope.to_bytes(),
        ),
    )

"""Believing an attestation or not: who signed it, what it says, and whether that counts here.

Pure rules over an envelope's bytes and this environment's own trust document. Invariant: ``trusted`` is said
only of a signature that verifies with a key which the trust document grants this predicate type in this
namespace, or of an environment's decision that its own key signed. What is stored is assessed anew wherever
something depends on it, so that a key that is trusted no longer counts no longer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from carnet.errors import (
    KeyUntrustedError,
    ReferenceInvalidError,
    StatementInvalidError,
)
from carnet.references import parse_reference
from carnet.signing.decision import Decision, verifier_id
from carnet.signing.dsse import parse_envelope, verify_envelope
from carnet.signing.evidence_content import EvidenceContent, content_of
from carnet.signing.statement import parse_statement

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from carnet.references import ResourceName
    from carnet.signing.dsse import Envelope
    from carnet.signing.keys import VerificationKey
    from carnet.signing.statement import Statement
    from carnet_server.access.key_ring import KeyRing
    from carnet_server.access.trust import Trust


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signed, as far as this environment knows.

    Attributes:
        key_id: The key; empty where it is unknown here.
        subject: Whose it is; empty where it is unknown here.
        roles: The roles in which it may sign this predicate type.
        environment: The environment that it signs decisions for; empty where it is none's.
        person: The person behind it; None for nobody.
        unbelieved: Why its key is believed for nothing; empty where that is not so.
    """

    key_id: str = ""
    subject: str = ""
    roles: frozenset[str] = frozenset()
    environment: str = ""
    person: str | None = None
    unbelieved: str = ""


@dataclass(frozen=True, slots=True)
class Assessment:
    """An attestation, and what is to be thought of it.

    Attributes:
        digest: The envelope's digest.
        subject_name: The name of the statement's subject.
        bundle_digest: The digest of its subject.
        predicate_type: Its predicate type.
        content: What it says; empty where it is not trusted and not well formed.
        signer: Who signed it.
        trusted: Whether it counts.
    """

    digest: str
    subject_name: str
    bundle_digest: str
    predicate_type: str
    content: EvidenceContent
    signer: Signer
    trusted: bool


def assess(
    data: bytes, *, namespace: str, trust: Trust, own_key: VerificationKey, at: datetime
) -> Assessment:
    """Assess an attestation.

    Args:
        data: The envelope's bytes.
        namespace: Where the bundle is that it is about.
        trust: This environment's trust document.
        own_key: The key that this environment's own decisions are signed with.
        at: When it arrived here.

    Raises:
        SignatureInvalidError: The envelope is malformed, or a signature that names a known key is bad.
        StatementInvalidError: The payload is no statement, or a trusted signer's predicate is malformed.
    """
    envelope = parse_envelope(data)
    statement = parse_statement(envelope)
    ring = trust.ring(at).with_certificates_of(envelope)
    known = {**ring.everybody, own_key.key_id: own_key}
    try:
        known_id = verify_envelope(envelope, known)
    except KeyUntrustedError:
        return _assessment(envelope, statement, _content_if_any(statement), Signer(), trusted=False)
    believed = _believed(statement, namespace, trust, ring, own_key)
    key_id = _first_signer(envelope, {key_id: known[key_id] for key_id in believed})
    if not key_id:
        signer = _known_signer(known_id, ring)
        return _assessment(envelope, statement, _content_if_any(statement), signer, trusted=False)
    return _assessment(envelope, statement, content_of(statement), believed[key_id], trusted=True)


def check_subject(assessment: Assessment, name: ResourceName) -> None:
    """Insist that an attestation which names a version in Carnet's form names the one that it is added to.

    Other tools name a subject in their own way; the digest is what binds.

    Raises:
        StatementInvalidError: It names another version.
    """
    try:
        subject = parse_reference(assessment.subject_name)
    except ReferenceInvalidError:
        return
    stated = (subject.namespace, subject.model, subject.version)
    if subject.version and stated != (name.namespace, name.model, name.version):
        raise StatementInvalidError(
            f"the statement's subject is {assessment.subject_name!r}, and it was added to "
            f"{name.namespace}/{name.model}@{name.version}",
            metadata={"field": "subject[0].name"},
        )


def require_trusted(assessment: Assessment) -> None:
    """Insist that an attestation counts.

    Raises:
        KeyUntrustedError: Its signer is unknown here, or not trusted for its predicate type.
    """
    if assessment.trusted:
        return
    signer, kind = assessment.signer, assessment.predicate_type
    if signer.unbelieved:
        raise KeyUntrustedError(signer.unbelieved, metadata={"keyId": signer.key_id})
    if signer.key_id:
        who = signer.subject or f"key {signer.key_id[:16]}…"
        problem = f"is signed by {who}, who is not trusted here to attest {kind[:200]!r}"
    else:
        problem = "is signed by nobody who is known here"
    raise KeyUntrustedError(
        f"the attestation {problem}: an administrator grants the key that predicate type in trust.yaml, or a "
        "trusted signer attests",
        metadata={"keyId": signer.key_id, "predicateType": kind[:200]},
    )


def own_signer(environment: str, own_key: VerificationKey) -> Signer:
    """Return this environment as the signer of its own decisions."""
    return Signer(own_key.key_id, verifier_id(environment), environment=environment)


def _believed(
    statement: Statement, namespace: str, trust: Trust, ring: KeyRing, own_key: VerificationKey
) -> dict[str, Signer]:
    """Return who is believed when they say this in a namespace, by key id."""
    kind = statement.predicate_type
    believed = {
        key_id: Signer(key_id, key.subject, key.evidence_roles(kind), person=key.person)
        for key_id, key in ring.for_evidence(kind, namespace).items()
    }
    decided_by = _decided_by(statement)
    peer = trust.peer(decided_by, namespace)
    if peer is not None:
        believed |= {
            key_id: Signer(key_id, peer.subject, environment=decided_by) for key_id in peer.signing_keys
        }
    elif decided_by == trust.environment:
        believed[own_key.key_id] = own_signer(decided_by, own_key)
    return believed


def _decided_by(statement: Statement) -> str:
    """Return the environment that a decision says made it; empty for what is none."""
    if statement.predicate_type != Decision.PREDICATE_TYPE:
        return ""
    try:
        return Decision.parse(statement).environment
    except StatementInvalidError:
        return ""


def _known_signer(key_id: str, ring: KeyRing) -> Signer:
    key = ring.key(key_id)
    return Signer(key_id, key.subject, unbelieved=key.unbelieved) if key else Signer(key_id)


def _first_signer(envelope: Envelope, keys: Mapping[str, VerificationKey]) -> str:
    """Return the key id of the first signature by one of the keys; empty where there is none."""
    try:
        return verify_envelope(envelope, keys)
    except KeyUntrustedError:
        return ""


def _content_if_any(statement: Statement) -> EvidenceContent:
    try:
        return content_of(statement)
    except StatementInvalidError:
        return EvidenceContent()


def _assessment(
    envelope: Envelope, statement: Statement, content: EvidenceContent, signer: Signer, *, trusted: bool
) -> Assessment:
    return Assessment(
        digest=envelope.digest,
        subject_name=statement.subject_name,
        bundle_digest=statement.subject_digest,
        predicate_type=statement.predicate_type,
        content=content,
        signer=signer,
        trusted=trusted,
    )

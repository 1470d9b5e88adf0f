"""Checking what peers answer against what is pinned.

Responsible for the rule that no answer is believed: a receipt must lead to the environment's pinned log
key and be about what was asked, a manifest must hash to the digest that is stated, a signature must be by a
pinned key, an attestation must be about this bundle. Makes no calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.bundle.manifest import parse_manifest
from carnet.canonical import sha256_hex
from carnet.client.messages import receipt_of, time_of
from carnet.client.results import Evidence, Metric, VerifiedReceipt
from carnet.errors import (
    CarnetError,
    DigestMismatchError,
    DocumentInvalidError,
    KeyUntrustedError,
    LogTamperedError,
    ProofInvalidError,
    StatementInvalidError,
)
from carnet.signing.approval import Approval
from carnet.signing.break_glass import BreakGlass, BreakGlassReview
from carnet.signing.decision import Decision
from carnet.signing.dsse import parse_envelope, signers_of, verify_envelope
from carnet.signing.evidence_content import content_of
from carnet.signing.model_signature import check_covers, verify_model_signature
from carnet.signing.statement import parse_statement
from carnet.translog.checkpoint import parse_checkpoint
from carnet.translog.finality import finality_of
from carnet.translog.receipt import verify_receipt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from carnet.bundle.manifest import Manifest
    from carnet.client.federation import Federation, PinnedEnvironment
    from carnet.references import Reference
    from carnet.registry.v1 import admission_pb2, evidence_pb2, log_pb2, models_pb2
    from carnet.signing.statement import Statement
    from carnet.translog.entry import EntryType


def checked_receipt(
    message: log_pb2.Receipt,
    environment: PinnedEnvironment,
    *,
    types: tuple[EntryType, ...] = (),
    subject: Mapping[str, str | int],
    if_named: Mapping[str, str | int] | None = None,
    new: str | None = None,
) -> VerifiedReceipt:
    """Verify a receipt, and that it is about what was asked.

    Args:
        message: The receipt as it was answered.
        environment: The environment, with its pinned log key.
        types: The types that its entry may have; any where there are none.
        subject: What the entry's subject must say.
        if_named: What it must say of these, where it names them at all.
        new: What the entry must say that a pointer is now.

    Raises:
        ProofInvalidError: There is no receipt, or its proof, its checkpoint or a cosignature by a pinned
            witness does not hold.
        KeyUntrustedError: Its checkpoint is not signed by the pinned key.
        LogTamperedError: Its entry says something else than the answer that it came with.
    """
    name = environment.name
    if not message.entry:
        raise ProofInvalidError(f"{name} answered without a receipt: nothing shows that its log has this")
    receipt = receipt_of(message)
    entry = verify_receipt(receipt, environment.log)
    where = f"entry {receipt.index} of {name}'s log"
    if entry.environment != name:
        raise LogTamperedError(f"{where} is about the environment {entry.environment!r}")
    if types and entry.type not in types:
        raise LogTamperedError(
            f"{where} is {entry.type}, and {' or '.join(types)} is wanted: the answer is not what was logged"
        )
    unnamed = {key: value for key, value in (if_named or {}).items() if key not in entry.subject}
    for key, value in {**subject, **(if_named or {})}.items():
        logged = entry.subject.get(key, unnamed.get(key))
        if logged != value:
            raise LogTamperedError(f"{where} says {key} {logged!r}, and the answer says {value!r}")
    if new is not None and entry.new != new:
        raise LogTamperedError(f"{where} says {entry.new!r}, and the answer says {new!r}")
    return VerifiedReceipt(
        environment=name,
        entry=entry,
        receipt=receipt,
        finality=finality_of(receipt.checkpoint, environment.witnesses),
    )


def checked_final_size(checkpoint: str, environment: PinnedEnvironment) -> int:
    """Verify how many entries of a log are final.

    Args:
        checkpoint: The checkpoint that its registry says a quorum cosigned; empty for none.
        environment: The environment, with its pinned log key and witnesses.

    Returns:
        The checkpoint's size; 0 where no quorum of the pinned witnesses cosigned it.

    Raises:
        KeyUntrustedError: It is not signed by the pinned log key.
        ProofInvalidError: It is no checkpoint, or a signature on it by a pinned key is bad.
    """
    if not checkpoint:
        return 0
    size = parse_checkpoint(checkpoint, environment.log).size
    return size if environment.witnesses.is_final(checkpoint) else 0


def checked_manifest(version: models_pb2.Version, reference: Reference) -> Manifest:
    """Verify that a version's manifest is the one that its digest names.

    Args:
        version: The version as it was answered, with its canonical manifest.
        reference: The version that it must be, by its number.

    Raises:
        DigestMismatchError: The manifest hashes to another digest.
        StatementInvalidError: It is no manifest, or another version's.
    """
    data = version.canonical_manifest
    digest = sha256_hex(data)
    if digest != version.bundle_digest:
        raise DigestMismatchError(
            f"{reference}: its manifest has the SHA-256 {digest}, not {version.bundle_digest}"
        )
    try:
        manifest = parse_manifest(data)
    except DocumentInvalidError as error:
        raise StatementInvalidError(f"{reference}: {error.message}", metadata=error.metadata) from error
    named = (manifest.namespace, manifest.model, manifest.version)
    if named != (reference.namespace, reference.model, reference.version):
        raise StatementInvalidError(f"{reference}: its manifest is that of {manifest.subject_name}")
    return manifest


def checked_signature(signature: bytes, manifest: Manifest, federation: Federation) -> str:
    """Verify a bundle's signature, and return who signed it.

    Raises:
        SignatureInvalidError: It does not verify.
        KeyUntrustedError: It is not by a pinned key.
        StatementInvalidError: It does not cover exactly the bundle.
    """
    verified = verify_model_signature(signature, federation.keys, authorities=federation.authorities)
    check_covers(verified, manifest)
    return federation.statement_signer(verified.key_id, verified.certificate)


def checked_evidence(message: evidence_pb2.Evidence, bundle_digest: str, federation: Federation) -> Evidence:
    """Verify that an attestation is what it is stated to be, and about this bundle.

    A signer whose key is not pinned here is no error: ``signer`` is empty then.

    Raises:
        DigestMismatchError: The envelope hashes to another digest.
        SignatureInvalidError: A pinned key's signature does not verify, or it is no envelope.
        StatementInvalidError: It is about another bundle, or says something else than its registry states.
    """
    digest = sha256_hex(message.envelope)
    if digest != message.digest:
        raise DigestMismatchError(f"evidence {message.digest[:16]}… has the SHA-256 {digest}")
    envelope = parse_envelope(message.envelope)
    try:
        keys, certified = signers_of(envelope, federation.statement_keys(), federation.authorities)
        key_id = verify_envelope(envelope, keys)
        signer = federation.statement_signer(key_id, certified.get(key_id))
    except KeyUntrustedError:
        signer = ""
    statement = parse_statement(envelope)
    if statement.subject_digest != bundle_digest:
        raise StatementInvalidError(
            f"evidence {digest[:16]}… is about the bundle {statement.subject_digest}, not {bundle_digest}"
        )
    suite, result, metrics = _said(statement)
    return Evidence(
        digest=digest,
        predicate_type=statement.predicate_type,
        suite=suite,
        result=result,
        signer=signer,
        stated_signer=message.signer,
        trusted=message.trusted,
        metrics=metrics,
        added_at=time_of(message.create_time),
        log_index=message.log_index,
        envelope=message.envelope,
    )


def _said(statement: Statement) -> tuple[str, str, tuple[Metric, ...]]:
    """Return suite, result and metrics of a statement whose type has them, read from its own bytes."""
    try:
        said = content_of(statement)
    except CarnetError:
        # A foreign tool's predicate of that name: it is kept and shown, and says nothing that is read here.
        return "", "", ()
    metrics = tuple(
        Metric(name=each.name, value=each.value, direction=each.direction, slice=dict(each.slice))
        for each in said.metrics
    )
    return said.suite, said.result, metrics


def checked_decision(
    envelope: bytes, target: PinnedEnvironment, bundle_digest: str, *, promotion: str
) -> Decision:
    """Verify that an environment decided for a bundle in a promotion.

    Raises:
        StatementInvalidError: There is no decision, or it is about something else, or says no.
        KeyUntrustedError: It is not signed by the environment's pinned key.
        SignatureInvalidError: The signature does not verify.
    """
    if not envelope:
        raise StatementInvalidError(
            f"promotion {promotion} is said to have succeeded, and no decision of {target.name} shows it"
        )
    parsed = parse_envelope(envelope)
    verify_envelope(parsed, target.signing_keys)
    statement = parse_statement(parsed)
    decision = Decision.parse(statement)
    said = (statement.subject_digest, decision.promotion, decision.environment, decision.passed)
    if said != (bundle_digest, promotion, target.name, True):
        raise StatementInvalidError(
            f"promotion {promotion} is said to have succeeded, and {target.name}'s decision is "
            f"{decision.verification_result} about the bundle {statement.subject_digest} "
            f"in the promotion {decision.promotion or 'none'}"
        )
    return decision


def subject_of(envelope: bytes) -> str:
    """Return the name of the bundle that a verified statement is about."""
    return parse_statement(parse_envelope(envelope)).subject_name


def _word_of(statement: Statement) -> tuple[str, str]:
    """Return what a person signed, as targets hold it: its meaning and its reason."""
    match statement.predicate_type:
        case BreakGlass.PREDICATE_TYPE:
            return "break-glass", BreakGlass.parse(statement).reason
        case BreakGlassReview.PREDICATE_TYPE:
            review = BreakGlassReview.parse(statement)
            return f"review-{review.verdict}", review.reason
    approval = Approval.parse(statement)
    return approval.meaning, approval.reason


def checked_approval_signer(message: admission_pb2.Approval, federation: Federation) -> str:
    """Verify an approval that a target holds, and return who signed it; empty for a key that is not pinned.

    One that was erased is signed by nobody that can be told.

    Raises:
        DigestMismatchError: The envelope hashes to another digest.
        SignatureInvalidError: A pinned key's signature does not verify.
        StatementInvalidError: It says something else than the target states.
    """
    if message.erased and not message.envelope:
        return ""
    digest = sha256_hex(message.envelope)
    if digest != message.digest:
        raise DigestMismatchError(f"approval {message.digest[:16]}… has the SHA-256 {digest}")
    envelope = parse_envelope(message.envelope)
    try:
        key_id = verify_envelope(envelope, federation.keys)
    except KeyUntrustedError:
        return ""
    said = _word_of(parse_statement(envelope))
    if said != (message.meaning, message.reason):
        raise StatementInvalidError(
            f"approval {digest[:16]}… says {said[0]!r}, and the target says {message.meaning!r}"
        )
    return federation.statement_signer(key_id)

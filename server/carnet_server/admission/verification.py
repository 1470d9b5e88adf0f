"""Believing nothing that was carried here: who signed what, and whether it all speaks of one promotion.

Pure rules over bytes and this environment's own trust document. Invariants: every value that is returned was
signed by the party that may state it (the requester its wish, the publisher the bundle, the source its
release statement and its log), and all of them name the same promotion, source, target, version and digest.
What the carrier merely asserts is not looked at; what it leaves out is found (``withheld_evidence``). Decides
nothing: that is the policy's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from carnet.bundle.manifest import Manifest, parse_manifest
from carnet.canonical import sha256_hex
from carnet.errors import (
    DigestMismatchError,
    KeyUntrustedError,
    PermissionDeniedError,
    PreconditionFailedError,
    StatementInvalidError,
)
from carnet.signing.dsse import parse_envelope, verify_envelope
from carnet.signing.model_signature import check_covers, verify_model_signature
from carnet.signing.promotion_request import PromotionRequest
from carnet.signing.release import Release
from carnet.signing.statement import Statement, parse_statement
from carnet.translog.entry import EntryType
from carnet.translog.receipt import verify_receipt
from carnet_server.admission.domain import Signer

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from datetime import datetime

    from carnet.signing.keys import VerificationKey
    from carnet.translog.receipt import Receipt
    from carnet_server.access.trust import Peer, Trust, TrustedKey
    from carnet_server.admission.domain import AdmissionInput

CLOCK_SKEW = timedelta(seconds=60)
ARRIVALS = frozenset({EntryType.VERSION_PUBLISHED, EntryType.VERSION_ADMITTED})


@dataclass(frozen=True, slots=True)
class VerifiedRequest:
    """A requester's signed wish.

    Attributes:
        request: What is wished for.
        subject_name: The bundle's name in the statement.
        bundle_digest: The bundle's digest.
        requester: Who signed.
        digest: The envelope's digest.
    """

    request: PromotionRequest
    subject_name: str
    bundle_digest: str
    requester: Signer
    digest: str


@dataclass(frozen=True, slots=True)
class VerifiedRelease:
    """The source's release statement; ``digest`` is its envelope's, ``data`` the envelope's bytes."""

    release: Release
    digest: str
    data: bytes


@dataclass(frozen=True, slots=True)
class VerifiedInput:
    """Everything that a promotion brings, verified and of one piece."""

    request: VerifiedRequest
    manifest: Manifest
    publisher: Signer
    peer: Peer
    release: VerifiedRelease


def verify_input(
    given: AdmissionInput, *, environment: str, trust: Trust, release_max_age: timedelta, now: datetime
) -> VerifiedInput:
    """Verify what a promotion brings.

    Args:
        given: The bytes as they were carried here.
        environment: This environment.
        trust: Its trust document.
        release_max_age: How old the release statement may be.
        now: This environment's clock.

    Returns:
        What is verified.

    Raises:
        SignatureInvalidError: An envelope or signature is malformed or does not verify.
        KeyUntrustedError: A signer is not trusted here for what it signed.
        PermissionDeniedError: The requester has not that role here.
        StatementInvalidError: A statement is about something else than the others.
        DocumentInvalidError: The manifest is malformed or not canonical.
        DigestMismatchError: The manifest is another than the one that was asked for.
        ProofInvalidError: The source's receipt does not hold.
        PreconditionFailedError: The release statement is too old.
    """
    request = verify_request(given.request, environment=environment, trust=trust)
    peer = known_peer(trust, request.request.source)
    manifest = verify_manifest(given.manifest, request)
    publisher = verify_publisher(given.signature, manifest, trust)
    release = verify_release(given.release, request, peer, max_age=release_max_age, now=now)
    verify_arrival(given.source_receipt, request, peer, release.release)
    return VerifiedInput(request, manifest, publisher, peer, release)


def verify_request(data: bytes, *, environment: str, trust: Trust) -> VerifiedRequest:
    """Verify a promotion request: its signer, the signer's role, and that it is for this environment.

    Raises:
        SignatureInvalidError: The envelope is malformed or does not verify.
        KeyUntrustedError: The signer is not trusted here for requests in that namespace.
        PermissionDeniedError: The signer has not the role ``requester`` in that namespace.
        StatementInvalidError: It is not a request, or one for another environment.
    """
    key, statement, digest = open_signed(data, trust, trust.keys_for("request"))
    request = PromotionRequest.parse(statement)
    require_covers(key, request.namespace, "promotion requests")
    if "requester" not in trust.roles(key.subject, request.namespace):
        raise PermissionDeniedError(
            f"{key.subject} signed the promotion request and has not the role requester in namespace "
            f"{request.namespace!r} of {environment}",
            metadata={"subject": key.subject, "roles": "requester"},
        )
    if request.target != environment:
        raise StatementInvalidError(
            f"the promotion request is for {request.target}, and this is {environment}",
            metadata={"field": "target"},
        )
    return VerifiedRequest(request, statement.subject_name, statement.subject_digest, signer_of(key), digest)


def known_peer(trust: Trust, environment: str) -> Peer:
    """Return the peer of a name.

    Raises:
        KeyUntrustedError: This environment knows no such peer.
    """
    peer = trust.peer(environment)
    if peer is None:
        raise KeyUntrustedError(
            f"{trust.environment} knows no environment {environment!r}: an administrator adds it, with its "
            "keys, to the trust document"
        )
    return peer


def verify_manifest(data: bytes, request: VerifiedRequest) -> Manifest:
    """Verify that a manifest is canonical and the one that was asked for.

    Raises:
        DocumentInvalidError: It is malformed or not canonical.
        DigestMismatchError: It has another digest than the request names.
        StatementInvalidError: It names another home, namespace, model or version than the request.
    """
    manifest = parse_manifest(data)
    digest = sha256_hex(data)
    if digest != request.bundle_digest:
        raise DigestMismatchError(
            f"the manifest has the digest {digest}, and the request is about {request.bundle_digest}"
        )
    _same(
        "the manifest",
        {
            "home": manifest.subject_name,
            "namespace": manifest.namespace,
            "model": manifest.model,
            "version": manifest.version,
        },
        {
            "home": request.subject_name,
            "namespace": request.request.namespace,
            "model": request.request.model,
            "version": request.request.version,
        },
    )
    return manifest


def verify_publisher(signature: bytes, manifest: Manifest, trust: Trust) -> Signer:
    """Verify the model signature: by a trusted publisher, over exactly the manifest's files and the manifest.

    Raises:
        SignatureInvalidError: It is malformed or does not verify.
        KeyUntrustedError: Its key is not trusted here for bundles in that namespace.
        StatementInvalidError: It covers other files.
        DigestMismatchError: It covers files of other contents.
    """
    verified = verify_model_signature(signature, trust.keys_for("bundle"))
    key = trust.key(verified.key_id)
    assert key is not None
    require_covers(key, manifest.namespace, "bundles")
    check_covers(verified, manifest)
    return signer_of(key)


def verify_release(
    data: bytes, request: VerifiedRequest, peer: Peer, *, max_age: timedelta, now: datetime
) -> VerifiedRelease:
    """Verify the source's release statement: signed by it, for this promotion, and fresh.

    A statement that says *revoked* is verified like any other: refusing it is a decision, and logged.

    Raises:
        SignatureInvalidError: The envelope is malformed or does not verify.
        KeyUntrustedError: It is not signed by the source environment.
        StatementInvalidError: It is about something else, or from the future.
        PreconditionFailedError: It is too old.
    """
    envelope = parse_envelope(data)
    verify_envelope(envelope, peer.signing_keys)
    statement = parse_statement(envelope)
    release = Release.parse(statement)
    wished = request.request
    _same(
        "the release statement",
        {
            "promotion": release.promotion,
            "environment": release.environment,
            "target": release.target,
            "namespace": release.namespace,
            "model": release.model,
            "version": release.version,
            "subject": (statement.subject_name, statement.subject_digest),
            "log_origin": release.log_origin,
        },
        {
            "promotion": wished.promotion,
            "environment": wished.source,
            "target": wished.target,
            "namespace": wished.namespace,
            "model": wished.model,
            "version": wished.version,
            "subject": (request.subject_name, request.bundle_digest),
            "log_origin": peer.log.name,
        },
    )
    check_fresh(release, max_age=max_age, now=now)
    return VerifiedRelease(release, envelope.digest, data)


def check_fresh(release: Release, *, max_age: timedelta, now: datetime) -> None:
    """Insist that a release statement is neither too old nor from the future.

    Raises:
        PreconditionFailedError: It is older than the policy takes.
        StatementInvalidError: It was issued later than now, by more than clocks may differ.
    """
    if release.issued_at > now + CLOCK_SKEW:
        raise StatementInvalidError(
            f"the release statement is from the future ({release.issued_at.isoformat()}, now is "
            f"{now.isoformat()}): set the clocks of {release.environment} and {release.target}",
            metadata={"field": "issued_at"},
        )
    if now - release.issued_at > max_age:
        raise PreconditionFailedError(
            f"the release statement of {release.environment} is of {release.issued_at.isoformat()}, and "
            f"{release.target} takes none that is older than {max_age}: get a fresh one",
            metadata={"field": "release"},
        )


def verify_arrival(receipt: Receipt, request: VerifiedRequest, peer: Peer, release: Release) -> None:
    """Verify that the source's log has this very version, at a size that the release statement goes beyond.

    Raises:
        KeyUntrustedError: The receipt's checkpoint is not signed by the source's log key.
        ProofInvalidError: The receipt does not hold.
        StatementInvalidError: Its entry is about something else, or the release is older than the receipt.
    """
    entry = verify_receipt(receipt, peer.log)
    if entry.type not in ARRIVALS:
        raise StatementInvalidError(
            f"the source's receipt is for an entry {entry.type}, and one for the version's publication or "
            "admission is needed",
            metadata={"field": "source_receipt"},
        )
    wished = request.request
    names = ("namespace", "model", "version", "bundle_digest")
    _same(
        "the source's receipt",
        {"environment": entry.environment} | {name: entry.subject.get(name) for name in names},
        {
            "environment": wished.source,
            "namespace": wished.namespace,
            "model": wished.model,
            "version": wished.version,
            "bundle_digest": request.bundle_digest,
        },
    )
    if release.log_size < receipt.tree_size:
        raise StatementInvalidError(
            f"the release statement is made at log size {release.log_size}, before the receipt's "
            f"{receipt.tree_size}",
            metadata={"field": "log_size"},
        )


def withheld_evidence(release: Release, held: Collection[str], given: Iterable[bytes]) -> list[str]:
    """Return the digests of evidence that the source holds, and that is neither here nor carried here.

    Args:
        release: The verified release statement.
        held: The digests that are held here about the bundle.
        given: The envelopes that were carried here.
    """
    here = set(held) | {sha256_hex(each) for each in given}
    return [digest for digest in release.evidence if digest not in here]


def check_nothing_withheld(release: Release, held: Collection[str], given: Iterable[bytes]) -> None:
    """Insist that all evidence of the source is here or carried here; extras are welcome.

    Raises:
        StatementInvalidError: Some is missing; the message names the first.
    """
    withheld = withheld_evidence(release, held, given)
    if withheld:
        raise StatementInvalidError(
            f"withheld evidence {withheld[0]} ({len(withheld)} in all): {release.environment} states that it "
            "holds it about this bundle, and it was not brought here",
            metadata={"field": "evidence", "digests": ",".join(withheld[:10])},
        )


def open_signed(
    data: bytes, trust: Trust, keys: Mapping[str, VerificationKey]
) -> tuple[TrustedKey, Statement, str]:
    """Verify an envelope against some of this environment's trusted keys.

    Args:
        data: The envelope's bytes.
        trust: The trust document.
        keys: Those of its keys that will do.

    Returns:
        The signer's key, the statement, and the envelope's digest.

    Raises:
        SignatureInvalidError: The envelope is malformed or does not verify.
        KeyUntrustedError: No signature is by such a key.
        StatementInvalidError: The payload is not a statement.
    """
    envelope = parse_envelope(data)
    key = trust.key(verify_envelope(envelope, keys))
    assert key is not None
    return key, parse_statement(envelope), envelope.digest


def require_covers(key: TrustedKey, namespace: str, what: str) -> None:
    """Insist that a key is trusted in a namespace.

    Raises:
        KeyUntrustedError: It is trusted in others only.
    """
    if not key.covers(namespace):
        raise KeyUntrustedError(
            f"the key of {key.subject} is not trusted for {what} in namespace {namespace!r}",
            metadata={"keyId": key.key_id},
        )


def signer_of(key: TrustedKey) -> Signer:
    """Return who signs with a key."""
    return Signer(key.key_id, key.subject, key.person)


def _same(what: str, stated: Mapping[str, object], wanted: Mapping[str, object]) -> None:
    for field, value in wanted.items():
        if stated[field] != value:
            raise StatementInvalidError(
                f"{what} says {stated[field]!r} for {field}, and the promotion request {value!r}",
                metadata={"field": field},
            )

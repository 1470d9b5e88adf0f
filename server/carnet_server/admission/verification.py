"""Believing nothing that was carried here: who signed what, and whether it all speaks of one promotion.

Pure rules over bytes and this environment's own trust document. Invariants: every value that is returned was
signed by the party that may state it (the requester its wish, the publisher the bundle, the source its
release statement and its log), and all of them name the same promotion, source, target, version and digest.
What the carrier merely asserts is not looked at. Decides nothing: that is the policy's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from carnet.signing.model_signature import check_covers
from carnet_server.access.bundle_signer import verify_bundle_signer
from carnet_server.admission.request_rules import check_request_age, verify_manifest, verify_request
from carnet_server.admission.signers import known_peer, signer_of
from carnet_server.admission.source_rules import verify_arrival, verify_release

if TYPE_CHECKING:
    from datetime import datetime

    from carnet.bundle.manifest import Manifest
    from carnet_policies.schema import PolicyDocument
    from carnet_server.access.trust import Peer, Trust
    from carnet_server.admission.domain import AdmissionInput, Signer
    from carnet_server.admission.request_rules import VerifiedRequest
    from carnet_server.admission.source_rules import VerifiedRelease


@dataclass(frozen=True, slots=True)
class VerifiedInput:
    """Everything that a promotion brings, verified and of one piece."""

    request: VerifiedRequest
    manifest: Manifest
    publisher: Signer
    peer: Peer
    release: VerifiedRelease


def verify_input(
    given: AdmissionInput, *, environment: str, trust: Trust, policy: PolicyDocument, now: datetime
) -> VerifiedInput:
    """Verify what a promotion brings.

    Args:
        given: The bytes as they were carried here.
        environment: This environment.
        trust: Its trust document.
        policy: Its policy, for how old the request and the release statement may be.
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
        PreconditionFailedError: The request or the release statement is too old.
    """
    arrived_at = given.arrived_at or now
    request = verify_request(given.request, environment=environment, trust=trust, at=arrived_at)
    check_request_age(request.request, max_age=policy.request_max_age, now=now)
    peer = known_peer(trust, request.request.source, request.request.namespace)
    manifest = verify_manifest(given.manifest, request)
    publisher = verify_publisher(given.signature, manifest, trust, at=arrived_at)
    release = verify_release(given.release, request, peer, max_age=policy.release_max_age, now=now)
    verify_arrival(given.source_receipt, request, peer, release.release)
    return VerifiedInput(request, manifest, publisher, peer, release)


def verify_publisher(signature: bytes, manifest: Manifest, trust: Trust, *, at: datetime) -> Signer:
    """Verify the model signature: by a trusted publisher, over exactly the manifest's files and the manifest.

    Raises:
        SignatureInvalidError: It is malformed or does not verify.
        KeyUntrustedError: Its key is not trusted here for bundles in that namespace.
        StatementInvalidError: It covers other files.
        DigestMismatchError: It covers files of other contents.
    """
    key, verified = verify_bundle_signer(signature, manifest.namespace, trust.ring(at))
    check_covers(verified, manifest)
    return signer_of(key)

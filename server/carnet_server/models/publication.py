"""Believing a publication: whose it is, what it covers, and whether it all speaks of one version.

Pure rules over the bytes that a publisher sends and this environment's own trust document. Decides nothing:
that is the policy's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from carnet.bundle.manifest import parse_manifest
from carnet.errors import InvalidInputError
from carnet.signing.model_signature import check_covers
from carnet_policies.facts import Party, SignatureFact
from carnet_server.access.bundle_signer import verify_bundle_signer
from carnet_server.models.domain import Arrival

if TYPE_CHECKING:
    from datetime import datetime

    from carnet.bundle.manifest import Manifest
    from carnet.references import ResourceName
    from carnet_server.access.trust import Trust


@dataclass(frozen=True, slots=True)
class VerifiedPublication:
    """A publication that is what it claims to be.

    Attributes:
        arrival: The version, as it would be registered.
        signature: The bundle's signature, as policies see it.
        publisher: Who signed the bundle.
    """

    arrival: Arrival
    signature: SignatureFact
    publisher: Party


def verify_publication(
    parent: ResourceName,
    data: bytes,
    signature: bytes,
    *,
    environment: str,
    trust: Trust,
    now: datetime,
) -> VerifiedPublication:
    """Verify a publication.

    Args:
        parent: The model that it is published to.
        data: The bytes of the canonical manifest.
        signature: The model signature.
        environment: This environment.
        trust: Its trust document.
        now: Its clock.

    Raises:
        DocumentInvalidError: The manifest is malformed or not canonical.
        InvalidInputError: It names another home, namespace or model.
        SignatureInvalidError: The signature is malformed or does not verify.
        KeyUntrustedError: Its key is not trusted here for bundles in that namespace.
        StatementInvalidError: It covers other files than the manifest's.
        DigestMismatchError: It covers other contents.
    """
    manifest = parse_manifest(data)
    _check_names(manifest, parent, environment)
    signer, verified = verify_bundle_signer(signature, manifest.namespace, trust.ring(now))
    check_covers(verified, manifest)
    arrival = Arrival.of(manifest, signature, publisher=signer.subject, publisher_key_id=verified.key_id)
    return VerifiedPublication(
        arrival,
        SignatureFact(verified.key_id, signer.subject, signer.person),
        Party(signer.subject, signer.person),
    )


def _check_names(manifest: Manifest, parent: ResourceName, environment: str) -> None:
    wanted = {"home": environment, "namespace": parent.namespace, "model": parent.model}
    for field, value in wanted.items():
        stated = getattr(manifest, field)
        if stated != value:
            raise InvalidInputError(
                f"manifest: {field}: is {stated!r}, and it is published to "
                f"{environment}/{parent.namespace}/{parent.model}: a manifest names the place that it is "
                "published to",
                metadata={"field": field},
            )

"""Whose key signed a bundle, and whether it is believed for bundles in that namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.errors import KeyUntrustedError
from carnet.signing.model_signature import read_model_signature, verify_model_signature

if TYPE_CHECKING:
    from carnet.signing.model_signature import ModelSignature
    from carnet_server.access.key_ring import KeyRing, TrustedKey


def verify_bundle_signer(
    signature: bytes, namespace: str, ring: KeyRing
) -> tuple[TrustedKey, ModelSignature]:
    """Verify a bundle's signature by a key that is believed for bundles in a namespace.

    Args:
        signature: The model signature.
        namespace: Where the bundle is to be.
        ring: The keys as they are believed.

    Returns:
        The signer's key, and what it signed.

    Raises:
        SignatureInvalidError: The signature is malformed or does not verify.
        KeyUntrustedError: Its key is not believed for bundles in that namespace.
        StatementInvalidError: It verifies, and is not a strict statement about files.
    """
    envelope = read_model_signature(signature)
    ring = ring.with_certificates_of(envelope)
    try:
        verified = verify_model_signature(signature, ring.for_purposes("bundle"))
    except KeyUntrustedError as error:
        raise ring.say_why(error, envelope) from error
    key = ring.key(verified.key_id)
    assert key is not None
    if not key.covers(namespace):
        raise KeyUntrustedError(
            f"the key of {key.subject} is not trusted for bundles in namespace {namespace!r}",
            metadata={"keyId": key.key_id},
        )
    return key, verified

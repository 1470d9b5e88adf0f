"""Whose signature it is: this environment's trust document, asked about one envelope, key or peer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.errors import KeyUntrustedError
from carnet.signing.dsse import parse_envelope, verify_envelope
from carnet.signing.statement import parse_statement
from carnet_server.admission.domain import Signer

if TYPE_CHECKING:
    from carnet.signing.statement import Statement
    from carnet_server.access.key_ring import KeyRing, TrustedKey
    from carnet_server.access.trust import Peer, Trust


def known_peer(trust: Trust, environment: str, namespace: str) -> Peer:
    """Return the peer of a name.

    Args:
        trust: The trust document.
        environment: The peer's name.
        namespace: The namespace that it must be a peer for.

    Raises:
        KeyUntrustedError: This environment knows no such peer, or not now, or not for that namespace.
    """
    peer = trust.peer(environment, namespace)
    if peer is None:
        raise KeyUntrustedError(
            f"{trust.environment} knows no environment {environment!r} as a peer for namespace "
            f"{namespace!r}: an administrator adds it, with its keys, to the trust document"
        )
    return peer


def open_signed(data: bytes, ring: KeyRing, *purposes: str) -> tuple[TrustedKey, Statement, str]:
    """Verify an envelope against the keys that this environment believes.

    Args:
        data: The envelope's bytes.
        ring: The keys, as they are believed.
        purposes: What the signer's key must be believed for, any of them.

    Returns:
        The signer's key, the statement, and the envelope's digest.

    Raises:
        SignatureInvalidError: The envelope is malformed or does not verify.
        KeyUntrustedError: No signature is by such a key; the message says why a known one will not do.
        StatementInvalidError: The payload is not a statement.
    """
    envelope = parse_envelope(data)
    ring = ring.with_certificates_of(envelope)
    try:
        key = ring.key(verify_envelope(envelope, ring.for_purposes(*purposes)))
    except KeyUntrustedError as error:
        raise ring.say_why(error, envelope) from error
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

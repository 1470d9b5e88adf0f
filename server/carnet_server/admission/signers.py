"""Whose signature it is: this environment's trust document, asked about one envelope, key or peer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.errors import KeyUntrustedError
from carnet.signing.dsse import parse_envelope, verify_envelope
from carnet.signing.statement import parse_statement
from carnet_server.admission.domain import Signer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from carnet.signing.keys import VerificationKey
    from carnet.signing.statement import Statement
    from carnet_server.access.trust import Peer, Trust, TrustedKey


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

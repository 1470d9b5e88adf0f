"""Certificates of callers, looked at on every call.

A connection outlives what its handshake checked, so each call asks again: whether the certificate has ended,
and, once the authorities were changed, whether one that is still believed issued it. What is read from a
certificate is kept by its bytes. Revocation is the trust document's (``carnet.serving.callers.revocations``).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.hashes import SHA256

from carnet.errors import UnauthenticatedError

if TYPE_CHECKING:
    from carnet.client.renewal import FollowedIdentity

_KEPT = 4096
_MAX_CHAIN = 4


@dataclass(frozen=True, slots=True)
class PeerCertificate:
    """What is looked at in a caller's certificate.

    Attributes:
        pem: Its bytes.
        serial: Its serial number, lowercase hex.
        fingerprint: The SHA-256 of its DER form, lowercase hex.
        ends_at: When it ends, seconds since the epoch.
    """

    pem: bytes
    serial: str
    fingerprint: str
    ends_at: float


@lru_cache(maxsize=_KEPT)
def read_certificate(pem: bytes) -> PeerCertificate:
    """Read a certificate that gRPC verified.

    Args:
        pem: Its bytes, as ``x509_pem_cert`` of the authentication context has them.

    Raises:
        UnauthenticatedError: It cannot be read.
    """
    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise UnauthenticatedError(f"the client certificate cannot be read: {error}") from error
    return PeerCertificate(
        pem,
        f"{certificate.serial_number:x}",
        certificate.fingerprint(SHA256()).hex(),
        certificate.not_valid_after_utc.timestamp(),
    )


@lru_cache(maxsize=_KEPT)
def _vouched_for(pem: bytes, chain: bytes, authorities: bytes) -> bool:
    """Whether a certificate leads to an authority, directly or over what it was sent with (RFC 5280, 6.1)."""
    believed = x509.load_pem_x509_certificates(authorities)
    between = x509.load_pem_x509_certificates(chain) if chain else []
    current = x509.load_pem_x509_certificate(pem)
    for _ in range(_MAX_CHAIN):
        if any(_issued(authority, current) for authority in believed):
            return True
        above = next((each for each in between if each != current and _issued(each, current)), None)
        if above is None:
            return False
        current = above
    return False


def _issued(issuer: x509.Certificate, subject: x509.Certificate) -> bool:
    try:
        constraints = issuer.extensions.get_extension_for_class(x509.BasicConstraints)
        subject.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    return constraints.value.ca


def require_valid(
    certificate: PeerCertificate, *, chain: bytes = b"", identity: FollowedIdentity | None
) -> None:
    """Insist that a certificate is good now, and not only when its connection was opened.

    Args:
        certificate: The caller's certificate.
        chain: What it was sent with, PEM; empty for nothing.
        identity: The authorities that are believed; None where they cannot change.

    Raises:
        UnauthenticatedError: It has ended, or its authority is not believed any more.
    """
    if certificate.ends_at < time.time():
        raise UnauthenticatedError("the client certificate has ended: get a new one, and connect again")
    changed = identity is not None and identity.generation
    if identity is not None and changed and not _vouched_for(certificate.pem, chain, identity.current.ca):
        raise UnauthenticatedError(
            "the authority of the client certificate is not believed here any more: get a certificate of one "
            "that is, and connect again"
        )

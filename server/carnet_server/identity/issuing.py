"""Issuing one-time signing certificates to jobs that show an OIDC token.

Responsible for what is asked of whoever wants one: a token, a request that proves possession of the key
(RFC 2986), and the digest of the only bytes that the key is to sign. Who it is for stands in the token; what
the request says of itself is not looked at. Invariant: no certificate leaves before its entry in the log is
committed, with the certificate beside it. Whether anybody believes it is the trust documents' to say.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec

from carnet.canonical import canonical_json, check_digest
from carnet.errors import InvalidInputError, KeyUntrustedError, MessageTooLargeError, PreconditionFailedError
from carnet.signing.certificate import TokenFacts
from carnet.signing.keys import VerificationKey
from carnet.translog.entry import EntryType
from carnet_server.identity.quota import CertificateQuota
from carnet_server.log.transaction import EntryDraft

if TYPE_CHECKING:
    from collections.abc import Callable

    from carnet.serving.callers.claims import Token
    from carnet.signing.certificate import SigningCertificate
    from carnet_server.access.identity import Caller
    from carnet_server.environment.state import EnvironmentState
    from carnet_server.identity.signing_authority import FollowedAuthority
    from carnet_server.log.transaction import Transaction
    from carnet_server.log.writer import Writer

MAX_REQUEST_BYTES = 4 << 10
MAX_CLAIMS_BYTES = 8 << 10
CERTIFICATE_MEDIA_TYPE = "application/pem-certificate-chain"
# What a token says of itself, and not of its job: of no use later, or of use to nobody but a thief.
OWN_CLAIMS = frozenset({"jti", "nonce", "iat", "exp", "nbf", "aud", "at_hash"})


@dataclass(frozen=True, slots=True)
class IssuedCertificate:
    """A certificate that was issued, and the index of its entry."""

    certificate: SigningCertificate
    log_index: int


class IssuingService:
    """Issues certificates.

    Args:
        state: The environment's name and trust document.
        writer: Its writer.
        authority: Its signing authority; None where it has none.
        quota: How many a subject is given.
        clock: The clock.
    """

    def __init__(
        self,
        state: EnvironmentState,
        writer: Writer,
        authority: FollowedAuthority | None,
        *,
        quota: CertificateQuota | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._state = state
        self._writer = writer
        self._authority = authority
        self._quota = quota or CertificateQuota()
        self._clock = clock

    async def issue(self, caller: Caller, request: bytes, payload_digest: str) -> IssuedCertificate:
        """Certify a job's key for one payload.

        Args:
            caller: Who shows a token.
            request: The PKCS #10 request, DER.
            payload_digest: The SHA-256 of the only bytes that the key is to sign.

        Raises:
            PreconditionFailedError: The caller shows no token, or this environment certifies no keys now.
            MessageTooLargeError: The request is over 4 KiB, or the token's claims are over 8 KiB.
            InvalidInputError: The request or the digest is malformed, the request is not signed with its key,
                or that is of another kind than is taken.
            KeyUntrustedError: The key is revoked here.
            ResourceExhaustedError: The subject was given too many within a minute.
        """
        token = _token_of(caller)
        authority = self._authority
        if authority is None:
            raise PreconditionFailedError(
                f"{self._state.name} certifies no keys of jobs: an administrator sets `signing_authority` "
                "{certificate, key} in environment.yaml and restarts the registry"
            )
        check_digest(payload_digest, field="payload_digest")
        key = read_certificate_request(request)
        facts = facts_of(token)
        if self._state.trust.current.revocation_of_key(key.key_id, token.subject) is not None:
            raise KeyUntrustedError(
                f"the key {key.key_id} is revoked here: make a new one for each signature",
                metadata={"keyId": key.key_id},
            )
        self._quota.take(token.subject)
        certificate = await asyncio.to_thread(authority.issue, key, facts, payload_digest, now=self._clock())
        index = await self._writer.commit(lambda tx: _record(tx, caller, certificate))
        return IssuedCertificate(certificate, index)


def _token_of(caller: Caller) -> Token:
    if caller.token is None:
        raise PreconditionFailedError(
            f"{caller.subject} calls by certificate, and a one-time signing certificate is for whoever "
            "shows an OIDC token: sign with the key that the trust document names, or call the address for "
            "tokens",
            metadata={"subject": caller.subject},
        )
    return caller.token


def _record(tx: Transaction, caller: Caller, certificate: SigningCertificate) -> int:
    return tx.append(
        EntryDraft(
            EntryType.CERTIFICATE_ISSUED,
            caller.actor,
            {"key": certificate.key.key_id},
            envelope_digest=tx.store_document(certificate.pem, CERTIFICATE_MEDIA_TYPE),
        )
    )


def read_certificate_request(data: bytes) -> VerificationKey:
    """Read the key out of a certificate request that is signed with it.

    Args:
        data: The PKCS #10 request, DER.

    Raises:
        MessageTooLargeError: It is over 4 KiB.
        InvalidInputError: It is none, its signature does not verify, or its key is of another kind than
            signatures are taken of.
    """
    if len(data) > MAX_REQUEST_BYTES:
        raise MessageTooLargeError(
            f"certificate_request: {len(data)} bytes; at most {MAX_REQUEST_BYTES} are taken",
            metadata={"field": "certificate_request"},
        )
    try:
        request = x509.load_der_x509_csr(data)
        key = request.public_key()
        is_signed = isinstance(key, ec.EllipticCurvePublicKey) and request.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise _bad_request("it is not a PKCS #10 request in DER form") from error
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise _bad_request("its key is no ECDSA key")
    if not is_signed:
        raise _bad_request("it is not signed with the key that is to be certified")
    try:
        return VerificationKey(key)
    except InvalidInputError as error:
        raise _bad_request(error.message) from error


def facts_of(token: Token) -> TokenFacts:
    """Return what a certificate is to say of a token: whom it is for, and what the issuer says of the job.

    Args:
        token: The verified token.

    Raises:
        MessageTooLargeError: Its claims are over 8 KiB.
        InvalidInputError: A claim cannot be written as JSON.
    """
    claims = {name: values for name, values in token.claims.items() if name not in OWN_CLAIMS}
    size = len(canonical_json({name: list(values) for name, values in claims.items()}))
    if size > MAX_CLAIMS_BYTES:
        raise MessageTooLargeError(
            f"the token's claims have {size} bytes; a certificate takes {MAX_CLAIMS_BYTES} at most: ask the "
            "issuer for fewer",
            metadata={"sizeBytes": str(size)},
        )
    return TokenFacts(token.subject, token.issuer, claims)


def _bad_request(problem: str) -> InvalidInputError:
    return InvalidInputError(f"certificate_request: {problem}", metadata={"field": "certificate_request"})

"""One-time signing certificates: a key that an environment certified for one token and one payload.

A job that shows an OIDC token makes a key, and its environment's signing authority certifies it, as Fulcio
does. Responsible for the form of such a certificate (RFC 5280): the token's subject as the one URI of its
subject alternative name, the issuer under Fulcio's object identifier, the token's claims, and the SHA-256 of
the only bytes that its key may sign. Invariant: since the payload is named when the certificate is issued, a
key that leaks later signs nothing, so a signature is believed long after the few minutes for which the
certificate is valid, and no proof of the time of signing is needed. Decides nothing about whom to believe.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from carnet.canonical import canonical_json, sha256_hex
from carnet.errors import (
    CarnetError,
    IntegrityError,
    InvalidInputError,
    KeyUntrustedError,
    SignatureInvalidError,
)
from carnet.signing.keys import VerificationKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

MAX_CERTIFICATE_BYTES = 16 << 10
# Fulcio's "Issuer (V2)"; the other two have no registered arc, so they are UUIDs below 2.25 (X.667).
ISSUER_OID = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
CLAIMS_OID = x509.ObjectIdentifier("2.25.147696109843505694671659730624626531649")
PAYLOAD_OID = x509.ObjectIdentifier("2.25.238803667422426570770858538796103168147")
_UTF8_STRING, _OCTET_STRING = 0x0C, 0x04
_KEPT = 4096


@dataclass(frozen=True, slots=True)
class SigningCertificate:
    """What a one-time certificate says; believed only once an authority's signature was verified.

    Attributes:
        key: The key that is certified.
        subject: The token's subject in its stable form, ``oidc:ISSUER:SUBJECT``.
        issuer: The token's issuer, a URL.
        claims: The token's claims as text.
        payload_digest: The SHA-256 of the only bytes (the DSSE pre-authentication encoding) it may sign.
        issued_at: When it was issued.
        expires_at: When it ended or ends.
        serial: Its serial number, lowercase hex.
        fingerprint: The SHA-256 of its DER form, lowercase hex.
        pem: The certificate.
    """

    key: VerificationKey
    subject: str
    issuer: str
    claims: Mapping[str, tuple[str, ...]] = field(repr=False)
    payload_digest: str
    issued_at: datetime
    expires_at: datetime
    serial: str
    fingerprint: str
    pem: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """What a certificate is to say of a token: its subject, its issuer and its claims."""

    subject: str
    issuer: str
    claims: Mapping[str, tuple[str, ...]] = field(repr=False)


class _Certified(Protocol):
    """A signature that may have a certificate."""

    @property
    def cert(self) -> bytes:
        """The certificate in PEM; empty where there is none."""


class SigningAuthority:
    """The certificate of an environment's signing authority, as it is pinned; equal by its bytes.

    Args:
        certificate: The certificate.

    Attributes:
        pem: The certificate in PEM.
        fingerprint: The SHA-256 of its DER form.
        ends_at: When it ends.
    """

    __slots__ = ("_certificate", "ends_at", "fingerprint", "pem")

    def __init__(self, certificate: x509.Certificate) -> None:
        self._certificate = certificate
        self.pem = certificate.public_bytes(serialization.Encoding.PEM)
        self.fingerprint = certificate.fingerprint(hashes.SHA256()).hex()
        self.ends_at = certificate.not_valid_after_utc

    @classmethod
    def from_pem(cls, pem: str | bytes) -> SigningAuthority:
        """Read an authority's certificate.

        Raises:
            InvalidInputError: It is not one certificate in PEM, or not one of an authority with an ECDSA key.
        """
        data = pem.encode() if isinstance(pem, str) else pem
        try:
            found = x509.load_pem_x509_certificates(data)
            constraints = found[0].extensions.get_extension_for_class(x509.BasicConstraints).value
            usage = found[0].extensions.get_extension_for_class(x509.KeyUsage).value
        except (ValueError, x509.ExtensionNotFound) as error:
            raise InvalidInputError(
                f"not the certificate of a signing authority in PEM form: {error}"
            ) from error
        if len(found) != 1 or not constraints.ca or not usage.key_cert_sign:
            raise InvalidInputError(
                "exactly one certificate is wanted, of an authority that may sign certificates"
            )
        if not isinstance(found[0].public_key(), ec.EllipticCurvePublicKey):
            raise InvalidInputError("a signing authority has an ECDSA key")
        return cls(found[0])

    def issued(self, certificate: SigningCertificate) -> bool:
        """Tell whether this authority signed a certificate, while the authority was valid (RFC 5280, 6.1)."""
        return _was_issued(self.pem, certificate.pem)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SigningAuthority) and other.pem == self.pem

    def __hash__(self) -> int:
        return hash(self.pem)

    def __repr__(self) -> str:
        return f"SigningAuthority({self.fingerprint[:16]}…)"


@lru_cache(maxsize=_KEPT)
def _was_issued(authority_pem: bytes, pem: bytes) -> bool:
    authority = x509.load_pem_x509_certificate(authority_pem)
    certificate = x509.load_pem_x509_certificate(pem)
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    begins, ends = authority.not_valid_before_utc, authority.not_valid_after_utc
    return begins <= certificate.not_valid_before_utc and certificate.not_valid_after_utc <= ends


@lru_cache(maxsize=_KEPT)
def read_signing_certificate(pem: bytes) -> SigningCertificate:
    """Read a one-time certificate; who issued it is *not* looked at here.

    Args:
        pem: The certificate; what may follow it is not looked at, since authorities are pinned.

    Raises:
        SignatureInvalidError: It is no certificate, or not one of this form.
    """
    if len(pem) > MAX_CERTIFICATE_BYTES:
        raise SignatureInvalidError(f"the signer's certificate is over {MAX_CERTIFICATE_BYTES >> 10} KiB")
    try:
        certificate = x509.load_pem_x509_certificates(pem)[0]
        key = certificate.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise _malformed("its key is no ECDSA key")
        extensions = certificate.extensions
        constraints = extensions.get_extension_for_class(x509.BasicConstraints).value
        usages = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        names = list(extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
        values = {
            oid: _value_of(extensions.get_extension_for_oid(oid).value)
            for oid in (ISSUER_OID, CLAIMS_OID, PAYLOAD_OID)
        }
        verification_key = VerificationKey(key)
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension) as error:
        raise _malformed(str(error)[:200]) from error
    except InvalidInputError as error:
        raise _malformed(error.message) from error
    if constraints.ca or list(usages) != [ExtendedKeyUsageOID.CODE_SIGNING]:
        raise _malformed("it is not for signing code, and for nothing else")
    if len(names) != 1 or not isinstance(names[0], x509.UniformResourceIdentifier):
        raise _malformed("its subject alternative name is not one URI")
    payload = _unwrap(values[PAYLOAD_OID], _OCTET_STRING)
    if len(payload) != hashes.SHA256.digest_size:
        raise _malformed("it does not name the payload that it is for")
    return SigningCertificate(
        key=verification_key,
        subject=names[0].value,
        issuer=_text(_unwrap(values[ISSUER_OID], _UTF8_STRING)),
        claims=_claims(_unwrap(values[CLAIMS_OID], _UTF8_STRING)),
        payload_digest=payload.hex(),
        issued_at=certificate.not_valid_before_utc,
        expires_at=certificate.not_valid_after_utc,
        serial=f"{certificate.serial_number:x}",
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
        pem=certificate.public_bytes(serialization.Encoding.PEM),
    )


def require_payload(certificate: SigningCertificate, signed: bytes) -> None:
    """Insist that a certificate is for what was signed with its key.

    Args:
        certificate: The certificate.
        signed: The bytes that were signed: the DSSE pre-authentication encoding.

    Raises:
        KeyUntrustedError: It is for another payload.
    """
    if certificate.payload_digest != sha256_hex(signed):
        raise KeyUntrustedError(
            f"the one-time certificate of {certificate.subject} is for another payload than the one that was "
            "signed with its key: each signature needs a certificate of its own",
            metadata={"keyId": certificate.key.key_id},
        )


def certified_signers(
    signatures: Iterable[_Certified], signed: bytes, authorities: Iterable[SigningAuthority]
) -> dict[str, SigningCertificate]:
    """Return whom pinned authorities certified for just what was signed, by key id.

    Certificates of another form, by another authority or for another payload are passed over.

    Args:
        signatures: The signatures of an envelope; they are *not* verified here.
        signed: The bytes that were signed: the DSSE pre-authentication encoding.
        authorities: The authorities that are trusted.
    """
    pinned = tuple(authorities)
    found: dict[str, SigningCertificate] = {}
    for each in signatures:
        if not each.cert or not pinned:
            continue
        try:
            certificate = read_signing_certificate(each.cert)
            require_payload(certificate, signed)
        except IntegrityError:
            continue
        if any(authority.issued(certificate) for authority in pinned):
            found[certificate.key.key_id] = certificate
    return found


def issue_signing_certificate(
    key: VerificationKey,
    token: TokenFacts,
    payload_digest: str,
    *,
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    now: datetime,
    valid_for: timedelta,
) -> SigningCertificate:
    """Certify a key for one token and one payload.

    Args:
        key: The key.
        token: Whom it is for.
        payload_digest: The SHA-256 of the bytes that it may sign.
        authority: The signing authority's certificate.
        authority_key: Its key.
        now: The clock.
        valid_for: How long it is valid.

    Returns:
        The certificate.

    Raises:
        InvalidInputError: What it would say is too long, or cannot be said in a certificate.
    """
    public_key = serialization.load_pem_public_key(key.pem.encode())
    assert isinstance(public_key, ec.EllipticCurvePublicKey)
    # Some clocks are a little behind; to the second, as certificates are.
    begins = max(now - timedelta(seconds=30), authority.not_valid_before_utc).replace(microsecond=0)
    claims = canonical_json({name: list(values) for name, values in token.claims.items()})
    try:
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(authority.subject)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(min(now + valid_for, authority.not_valid_after_utc).replace(microsecond=0))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_SIGNING_ONLY, critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
            # The subject's name is empty, so its other name is critical (RFC 5280, 4.2.1.6).
            .add_extension(
                x509.SubjectAlternativeName([x509.UniformResourceIdentifier(token.subject)]), critical=True
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False
            )
            .add_extension(_extension(ISSUER_OID, _UTF8_STRING, token.issuer.encode()), critical=False)
            .add_extension(_extension(CLAIMS_OID, _UTF8_STRING, claims), critical=False)
            .add_extension(
                _extension(PAYLOAD_OID, _OCTET_STRING, bytes.fromhex(payload_digest)), critical=False
            )
        )
        pem = builder.sign(authority_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        return read_signing_certificate(pem)
    except (ValueError, CarnetError) as error:
        raise InvalidInputError(f"no certificate can be made for {token.subject}: {error}") from error


_SIGNING_ONLY = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


def _extension(oid: x509.ObjectIdentifier, tag: int, content: bytes) -> x509.UnrecognizedExtension:
    return x509.UnrecognizedExtension(oid, bytes([tag]) + _length(len(content)) + content)


def _length(size: int) -> bytes:
    """Return a length in DER (X.690, 8.1.3)."""
    if size < 0x80:
        return bytes([size])
    digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(digits)]) + digits


def _unwrap(value: bytes, tag: int) -> bytes:
    """Return the content of one DER value of a type, which is all there is."""
    for header in (2, 3, 4):
        content = value[header:]
        if value[:header] == bytes([tag]) + _length(len(content)):
            return content
    raise _malformed("an extension is not of its type")


def _value_of(extension: x509.ExtensionType) -> bytes:
    if not isinstance(extension, x509.UnrecognizedExtension):
        raise _malformed("an extension is not of its type")
    return extension.value


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _malformed("an extension is not text") from error


def _claims(value: bytes) -> dict[str, tuple[str, ...]]:
    try:
        found = json.loads(value)
    except (ValueError, RecursionError) as error:
        raise _malformed("its claims are not JSON") from error
    if not isinstance(found, dict) or not all(
        isinstance(values, list) and all(isinstance(each, str) for each in values)
        for values in found.values()
    ):
        raise _malformed("its claims are not lists of text by name")
    return {name: tuple(values) for name, values in found.items()}


def _malformed(problem: str) -> SignatureInvalidError:
    return SignatureInvalidError(f"the signer's certificate is not a one-time signing certificate: {problem}")

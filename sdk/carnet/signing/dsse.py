"""DSSE envelopes: a payload, its type, and signatures over both.

Responsible for the envelope's JSON form, its digest and the verification of its signatures, after the DSSE
protocol and envelope specifications, version 1.0.2. Foreign envelopes are taken in any JSON whitespace and
with fields that are unknown here; what was received is kept as it was, since an envelope's digest is that of
its bytes. Does not read payloads, and does not decide which keys are trusted.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from carnet.canonical import canonical_json, sha256_hex
from carnet.errors import KeyUntrustedError, SignatureInvalidError
from carnet.signing.certificate import certified_signers
from carnet.signing.keys import SigningKey
from carnet.signing.strict_json import parse_json_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from carnet.signing.certificate import SigningAuthority, SigningCertificate
    from carnet.signing.keys import VerificationKey

MAX_ENVELOPE_BYTES = 1 << 20
MAX_SIGNATURES = 16
PAYLOAD_TYPE = "application/vnd.in-toto+json"
_PLAIN = re.compile(
    rb'\{"payload":"([A-Za-z0-9+/]*={0,2})","payloadType":"([a-z0-9.+/-]+)",'
    rb'"signatures":\[\{"keyid":"([0-9a-f]*)","sig":"([A-Za-z0-9+/]*={0,2})"\}\]\}'
)


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature of an envelope.

    Attributes:
        keyid: The id of the key that is said to have made it; a hint, and empty where none is given.
        sig: The signature's bytes.
        cert: The signer's one-time certificate in PEM (in-toto ITE-7); empty for a key of its own.
    """

    keyid: str
    sig: bytes
    cert: bytes = b""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A signed payload.

    Attributes:
        payload: The bytes that are signed, together with their type.
        payload_type: What they are, as a media type.
        signatures: At least one.
    """

    payload: bytes
    payload_type: str
    signatures: tuple[Signature, ...]
    _received: bytes = field(default=b"", init=False, repr=False, compare=False)

    def to_bytes(self) -> bytes:
        """Return the envelope as it was received, or in canonical JSON if it was made here."""
        if self._received:
            return self._received
        return canonical_json(
            {
                "payload": base64.b64encode(self.payload).decode("ascii"),
                "payloadType": self.payload_type,
                "signatures": [_signature_to_json(each) for each in self.signatures],
            }
        )

    @property
    def digest(self) -> str:
        """The SHA-256 of the envelope's bytes, exactly as received or made."""
        return sha256_hex(self.to_bytes())


def pae(payload: bytes, payload_type: str) -> bytes:
    """Return the pre-authentication encoding: the bytes that are really signed.

    Args:
        payload: The payload.
        payload_type: Its media type.
    """
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


class OneTimeSigner(Protocol):
    """Whoever signs with a new key each time, and has it certified for just that."""

    def sign_once(self, data: bytes) -> Signature:
        """Make a key, have it certified for these bytes, and sign them; may wait for the authority."""


def sign_bytes(data: bytes, key: SigningKey | OneTimeSigner) -> Signature:
    """Sign the pre-authentication encoding of a payload.

    Args:
        data: What ``pae`` made.
        key: The signer's key, or whoever makes one for this.
    """
    if isinstance(key, SigningKey):
        return Signature(keyid=key.key_id, sig=key.sign(data))
    return key.sign_once(data)


def sign_payload(payload: bytes, payload_type: str, key: SigningKey | OneTimeSigner) -> Envelope:
    """Sign a payload.

    Args:
        payload: The bytes to sign.
        payload_type: Their media type.
        key: The signer's key, whose id goes into the envelope; or whoever makes a key for just this, whose
            certificate goes in too.
    """
    return Envelope(payload, payload_type, (sign_bytes(pae(payload, payload_type), key),))


def parse_envelope(data: bytes, *, max_bytes: int = MAX_ENVELOPE_BYTES) -> Envelope:
    """Read an envelope; its signatures and certificates are *not* verified here.

    Args:
        data: The bytes as received.
        max_bytes: The size that is taken at most; statements have 1 MiB.

    Returns:
        The envelope, whose ``to_bytes()`` and ``digest`` are those of the bytes received.

    Raises:
        SignatureInvalidError: The bytes are not an envelope, are too many, have duplicate keys, or more
            than 16 signatures.
    """
    envelope = _plain_envelope(data, max_bytes) or _any_envelope(data, max_bytes)
    object.__setattr__(envelope, "_received", bytes(data))
    return envelope


def _plain_envelope(data: bytes, max_bytes: int) -> Envelope | None:
    """Read an envelope in the form in which ours are written, with one signature; None for any other."""
    found = _PLAIN.fullmatch(data) if len(data) <= max_bytes else None
    if found is None:
        return None
    payload, kind, keyid, sig = (each.decode("ascii") for each in found.groups())
    try:
        signature = Signature(keyid, decode_base64(sig, what="a signature's sig"))
        return Envelope(decode_base64(payload, what="the envelope's payload"), kind, (signature,))
    except SignatureInvalidError:
        return None


def _any_envelope(data: bytes, max_bytes: int) -> Envelope:
    value = parse_json_object(data, what="the envelope", max_bytes=max_bytes)
    signatures = value.get("signatures")
    if not isinstance(signatures, list) or not 1 <= len(signatures) <= MAX_SIGNATURES:
        raise SignatureInvalidError(f"the envelope's signatures are not a list of 1 to {MAX_SIGNATURES}")
    payload_type = value.get("payloadType")
    if not isinstance(payload_type, str) or not payload_type:
        raise SignatureInvalidError("the envelope has no payloadType")
    return Envelope(
        payload=decode_base64(value.get("payload"), what="the envelope's payload"),
        payload_type=payload_type,
        signatures=tuple(_parse_signature(each) for each in signatures),
    )


def verify_envelope(envelope: Envelope, keys: Mapping[str, VerificationKey]) -> str:
    """Verify an envelope against the keys that are trusted.

    A signature without a key id is tried with every key. Signatures by keys that are unknown are passed over;
    one that names a trusted key and does not verify spoils the envelope, wherever it stands.

    Args:
        envelope: The envelope.
        keys: The trusted keys, by key id.

    Returns:
        The id of the key of the first signature that verifies.

    Raises:
        SignatureInvalidError: A signature that names a trusted key does not verify.
        KeyUntrustedError: No signature is by a trusted key.
    """
    signed = pae(envelope.payload, envelope.payload_type)
    verified = [found for each in envelope.signatures if (found := _signer(signed, each, keys))]
    if not verified:
        named = ", ".join(repr(each.keyid[:80]) for each in envelope.signatures)
        raise KeyUntrustedError(
            f"no signature is by a key that is trusted here (signed by {named}): add the signer's public key "
            "to the trust document, or have a trusted key sign",
            metadata={"keyId": envelope.signatures[0].keyid[:80] if envelope.signatures else ""},
        )
    return verified[0]


def signers_of(
    envelope: Envelope, keys: Mapping[str, VerificationKey], authorities: Iterable[SigningAuthority]
) -> tuple[dict[str, VerificationKey], dict[str, SigningCertificate]]:
    """Return the keys that are trusted for an envelope: pinned ones, and those of its one-time certificates.

    Args:
        envelope: The envelope; nothing of it is verified here.
        keys: The pinned keys, by key id.
        authorities: The pinned signing authorities.

    Returns:
        The keys by key id, and the certificates among them. A certificate adds nothing to a pinned key.
    """
    signed = pae(envelope.payload, envelope.payload_type)
    certified = {
        key_id: certificate
        for key_id, certificate in certified_signers(envelope.signatures, signed, authorities).items()
        if key_id not in keys
    }
    return {**keys, **{key_id: each.key for key_id, each in certified.items()}}, certified


def decode_base64(value: Any, *, what: str) -> bytes:
    """Decode base64, standard or URL-safe, in its one canonical form.

    Raises:
        SignatureInvalidError: It is not text, not base64, or has stray bits or characters.
    """
    if not isinstance(value, str):
        raise SignatureInvalidError(f"{what} is not text in base64")
    standard = value.replace("-", "+").replace("_", "/")
    try:
        decoded = base64.b64decode(standard.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise SignatureInvalidError(f"{what} is not base64: {error}") from error
    if base64.b64encode(decoded).decode("ascii") != standard:
        raise SignatureInvalidError(f"{what} is not base64 in its canonical form")
    return decoded


def _parse_signature(value: Any) -> Signature:
    if not isinstance(value, dict):
        raise SignatureInvalidError("a signature of the envelope is not a JSON object")
    keyid = value.get("keyid", "")
    if not isinstance(keyid, str):
        raise SignatureInvalidError("a signature's keyid is not text")
    cert = value.get("cert", "")
    if not isinstance(cert, str) or not cert.isascii():
        raise SignatureInvalidError("a signature's cert is not a certificate in PEM form")
    return Signature(
        keyid=keyid, sig=decode_base64(value.get("sig"), what="a signature's sig"), cert=cert.encode("ascii")
    )


def _signature_to_json(signature: Signature) -> dict[str, str]:
    value = {"keyid": signature.keyid, "sig": base64.b64encode(signature.sig).decode("ascii")}
    return value | ({"cert": signature.cert.decode("ascii")} if signature.cert else {})


def _signer(signed: bytes, signature: Signature, keys: Mapping[str, VerificationKey]) -> str:
    """Return the id of the trusted key that made the signature, or nothing if none is known to have."""
    if signature.keyid:
        if signature.keyid not in keys:
            return ""
        keys[signature.keyid].verify(signed, signature.sig)
        return signature.keyid
    for key_id, key in keys.items():
        try:
            key.verify(signed, signature.sig)
        except SignatureInvalidError:
            continue
        return key_id
    return ""

"""DSSE envelopes: a payload, its type, and signatures over both.

Responsible for the envelope's JSON form, its digest and the verification of its signatures, after the DSSE
protocol and envelope specifications, version 1.0.2. Foreign envelopes are taken in any JSON whitespace and
with fields that are unknown here; what was received is kept as it was, since an envelope's digest is that of
its bytes. Does not read payloads, and does not decide which keys are trusted.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from carnet.canonical import canonical_json, sha256_hex
from carnet.errors import KeyUntrustedError, SignatureInvalidError
from carnet.signing.strict_json import parse_json_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from carnet.signing.keys import SigningKey, VerificationKey

MAX_ENVELOPE_BYTES = 1 << 20
MAX_SIGNATURES = 16
PAYLOAD_TYPE = "application/vnd.in-toto+json"


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature of an envelope.

    Attributes:
        keyid: The id of the key that is said to have made it; a hint, and empty where none is given.
        sig: The signature's bytes.
    """

    keyid: str
    sig: bytes


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
                "signatures": [
                    {"keyid": each.keyid, "sig": base64.b64encode(each.sig).decode("ascii")}
                    for each in self.signatures
                ],
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


def sign_payload(payload: bytes, payload_type: str, key: SigningKey) -> Envelope:
    """Sign a payload.

    Args:
        payload: The bytes to sign.
        payload_type: Their media type.
        key: The signer's key; its id goes into the envelope.
    """
    signature = Signature(keyid=key.key_id, sig=key.sign(pae(payload, payload_type)))
    return Envelope(payload, payload_type, (signature,))


def parse_envelope(data: bytes) -> Envelope:
    """Read an envelope; its signatures are *not* verified here.

    Args:
        data: The bytes as received.

    Returns:
        The envelope, whose ``to_bytes()`` and ``digest`` are those of the bytes received.

    Raises:
        SignatureInvalidError: The bytes are not an envelope, are over 1 MiB, have duplicate keys, or more
            than 16 signatures.
    """
    value = parse_json_object(data, what="the envelope", max_bytes=MAX_ENVELOPE_BYTES)
    signatures = value.get("signatures")
    if not isinstance(signatures, list) or not 1 <= len(signatures) <= MAX_SIGNATURES:
        raise SignatureInvalidError(f"the envelope's signatures are not a list of 1 to {MAX_SIGNATURES}")
    payload_type = value.get("payloadType")
    if not isinstance(payload_type, str) or not payload_type:
        raise SignatureInvalidError("the envelope has no payloadType")
    envelope = Envelope(
        payload=decode_base64(value.get("payload"), what="the envelope's payload"),
        payload_type=payload_type,
        signatures=tuple(_parse_signature(each) for each in signatures),
    )
    object.__setattr__(envelope, "_received", bytes(data))
    return envelope


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
    return Signature(keyid=keyid, sig=decode_base64(value.get("sig"), what="a signature's sig"))


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

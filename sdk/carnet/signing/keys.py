"""The keys that sign and verify statements: ECDSA on the NIST curves.

Responsible for making, reading, writing and using them, and for the one form of a key's id: the SHA-256 of
its SPKI PEM bytes, which is also the hint of an OpenSSF Model Signing signature. A key is accepted only if
the stock ``model_signing`` command takes it too: P-256, P-384 or P-521. Does not decide whom to trust.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from carnet.canonical import sha256_hex
from carnet.errors import AlreadyExistsError, FileUnreadableError, InvalidInputError, SignatureInvalidError

if TYPE_CHECKING:
    from pathlib import Path

_CURVES: dict[str, type[ec.EllipticCurve]] = {
    "P-256": ec.SECP256R1,
    "P-384": ec.SECP384R1,
    "P-521": ec.SECP521R1,
}
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}
_ACCEPTED = "use an ECDSA key on P-256, P-384 or P-521"


def _require_supported_curve(key: object) -> None:
    if not isinstance(key, ec.EllipticCurvePublicKey | ec.EllipticCurvePrivateKey):
        raise InvalidInputError(f"a key of type {_kind(key)} cannot sign statements: {_ACCEPTED}")
    if key.curve.name not in _HASHES:
        raise InvalidInputError(f"a key on the curve {key.curve.name} cannot sign statements: {_ACCEPTED}")


def _kind(key: object) -> str:
    name = type(key).__name__.lstrip("_")
    return name.removesuffix("PublicKey").removesuffix("PrivateKey")


class VerificationKey:
    """A public key that signatures are verified with; equal to another with the same PEM.

    Make one with ``from_pem``, or take a signing key's ``verification_key``.
    """

    __slots__ = ("_key", "key_id", "pem")

    def __init__(self, key: ec.EllipticCurvePublicKey) -> None:
        _require_supported_curve(key)
        spki = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        self._key = key
        self.pem: str = spki.decode("ascii")
        self.key_id: str = sha256_hex(spki)

    @classmethod
    def from_pem(cls, pem: str | bytes) -> VerificationKey:
        """Read a public key.

        Args:
            pem: The key as SubjectPublicKeyInfo in PEM.

        Returns:
            The key; its ``pem`` is the normal form, whatever the line ends of the input were.

        Raises:
            InvalidInputError: It is not such a key, or one of another kind or curve.
        """
        try:
            key = serialization.load_pem_public_key(pem.encode() if isinstance(pem, str) else pem)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise InvalidInputError(f"not a public key in PEM form: {_ACCEPTED}") from error
        _require_supported_curve(key)
        assert isinstance(key, ec.EllipticCurvePublicKey)
        return cls(key)

    def verify(self, data: bytes, signature: bytes) -> None:
        """Verify a signature, with the hash that belongs to the curve (FIPS 186-5).

        Args:
            data: The bytes that were signed.
            signature: The ECDSA signature in DER.

        Raises:
            SignatureInvalidError: It is not this key's signature of these bytes.
        """
        try:
            self._key.verify(signature, data, ec.ECDSA(_HASHES[self._key.curve.name]))
        except InvalidSignature as error:
            raise SignatureInvalidError(
                f"the signature is not one by key {self.key_id[:16]}… over these bytes",
                metadata={"keyId": self.key_id},
            ) from error

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VerificationKey) and other.pem == self.pem

    def __hash__(self) -> int:
        return hash(self.pem)

    def __repr__(self) -> str:
        return f"VerificationKey({self.key_id[:16]}…)"


class SigningKey:
    """A private key; never shown by ``repr``.

    Make one with ``generate``, ``from_pem`` or ``load``.
    """

    __slots__ = ("_key", "verification_key")

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        _require_supported_curve(key)
        self._key = key
        self.verification_key = VerificationKey(key.public_key())

    @classmethod
    def generate(cls, curve: str = "P-256") -> SigningKey:
        """Make a new key.

        Args:
            curve: ``P-256``, ``P-384`` or ``P-521``.

        Raises:
            InvalidInputError: The curve is none of these.
        """
        if curve not in _CURVES:
            raise InvalidInputError(f"{curve!r} is not a curve that can be used: {_ACCEPTED}")
        return cls(ec.generate_private_key(_CURVES[curve]()))

    @classmethod
    def from_pem(cls, pem: bytes) -> SigningKey:
        """Read an unencrypted private key (PKCS #8 or SEC 1, in PEM).

        Raises:
            InvalidInputError: It is not such a key, is encrypted, or is of another kind or curve.
        """
        try:
            key = serialization.load_pem_private_key(pem, password=None)
        except TypeError as error:
            raise InvalidInputError("the private key is encrypted: store it without a password") from error
        except (ValueError, UnsupportedAlgorithm) as error:
            raise InvalidInputError(f"not a private key in PEM form: {_ACCEPTED}") from error
        _require_supported_curve(key)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return cls(key)

    @classmethod
    def load(cls, path: Path) -> SigningKey:
        """Read a private key from a file.

        Raises:
            FileUnreadableError: The file is missing or cannot be read.
            InvalidInputError: It holds no key that can be used.
        """
        try:
            pem = path.read_bytes()
        except OSError as error:
            raise FileUnreadableError(
                f"the private key {path} cannot be read: {error.strerror or error}"
            ) from error
        try:
            return cls.from_pem(pem)
        except InvalidInputError as error:
            raise InvalidInputError(f"{path}: {error.message}") from error

    def to_pem(self) -> bytes:
        """Return the key as unencrypted PKCS #8 in PEM."""
        return self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def save(self, path: Path) -> None:
        """Write the key to a new file that only its owner can read (mode 0600).

        Raises:
            AlreadyExistsError: The file exists; a key is never overwritten.
            FileUnreadableError: The file cannot be written.
        """
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError as error:
            raise AlreadyExistsError(
                f"{path} exists: a key is never overwritten; move it away first"
            ) from error
        except OSError as error:
            raise FileUnreadableError(
                f"the private key {path} cannot be written: {error.strerror or error}"
            ) from error
        with os.fdopen(descriptor, "wb") as file:
            file.write(self.to_pem())
            file.flush()
            os.fsync(file.fileno())

    def sign(self, data: bytes) -> bytes:
        """Sign bytes, with the hash that belongs to the curve; returns the ECDSA signature in DER."""
        return self._key.sign(data, ec.ECDSA(_HASHES[self._key.curve.name]))

    @property
    def key_id(self) -> str:
        """The SHA-256 of the public key's SPKI PEM bytes."""
        return self.verification_key.key_id

    def __repr__(self) -> str:
        return f"SigningKey({self.key_id[:16]}…)"

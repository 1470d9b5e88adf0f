"""The keys that sign and verify statements: ECDSA on the NIST curves.

Responsible for making, reading, writing and using them, and for the one form of a key's id: the SHA-256 of
its SPKI PEM bytes, which is also the hint of an OpenSSF Model Signing signature. A key is accepted only if
the stock ``model_signing`` command takes it too: P-256, P-384 or P-521. A file's key may have a passphrase;
how whoever holds a key was authenticated is remembered with it. A key that a KMS or HSM keeps is a
``SigningKey`` too (``carnet.signing.service_key``). Does not decide whom to trust, and asks nobody.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from carnet.canonical import sha256_hex
from carnet.errors import (
    AlreadyExistsError,
    FileUnreadableError,
    InvalidInputError,
    SignatureInvalidError,
    UnauthenticatedError,
)

if TYPE_CHECKING:
    from pathlib import Path

    from carnet.signing.passphrase import Passphrase

# passphrase: a person typed it for this · service: a KMS or HSM let its holder sign · none: nobody was asked.
Authentication = Literal["passphrase", "service", "none"]

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
_NAMES = {kind().name: name for name, kind in _CURVES.items()}
_ACCEPTED = "use an ECDSA key on P-256, P-384 or P-521"
_ENCRYPTED = b"-----BEGIN ENCRYPTED PRIVATE KEY-----"


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

    __slots__ = ("_key", "_scheme", "key_id", "pem")

    def __init__(self, key: ec.EllipticCurvePublicKey) -> None:
        _require_supported_curve(key)
        spki = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        self._key = key
        self._scheme = ec.ECDSA(_HASHES[key.curve.name])
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

    @property
    def curve(self) -> str:
        """Its curve: ``P-256``, ``P-384`` or ``P-521``."""
        return _NAMES[self._key.curve.name]

    def verify(self, data: bytes, signature: bytes) -> None:
        """Verify a signature, with the hash that belongs to the curve (FIPS 186-5).

        Args:
            data: The bytes that were signed.
            signature: The ECDSA signature in DER.

        Raises:
            SignatureInvalidError: It is not this key's signature of these bytes.
        """
        try:
            self._key.verify(signature, data, self._scheme)
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


def is_encrypted(pem: bytes) -> bool:
    """Tell whether a private key in PEM has a passphrase (PKCS #8, RFC 5958)."""
    return _ENCRYPTED in pem


class SigningKey:
    """A private key; never shown by ``repr``.

    Make one with ``generate``, ``from_pem`` or ``load``.

    Attributes:
        verification_key: Its public key.
        authentication: How its holder was authenticated.
    """

    __slots__ = ("_key", "authentication", "verification_key")

    def __init__(self, key: ec.EllipticCurvePrivateKey, *, authentication: Authentication = "none") -> None:
        _require_supported_curve(key)
        self._key = key
        self.authentication = authentication
        self.verification_key = VerificationKey(key.public_key())

    @staticmethod
    def generate(curve: str = "P-256") -> SigningKey:
        """Make a new key.

        Args:
            curve: ``P-256``, ``P-384`` or ``P-521``.

        Raises:
            InvalidInputError: The curve is none of these.
        """
        if curve not in _CURVES:
            raise InvalidInputError(f"{curve!r} is not a curve that can be used: {_ACCEPTED}")
        return SigningKey(ec.generate_private_key(_CURVES[curve]()))

    @staticmethod
    def from_pem(pem: bytes, *, passphrase: Passphrase | None = None) -> SigningKey:
        """Read a private key (PKCS #8, encrypted or not, or SEC 1, in PEM).

        Args:
            pem: The key.
            passphrase: Its passphrase; passed over where it has none.

        Raises:
            InvalidInputError: It is not such a key, or is of another kind or curve.
            UnauthenticatedError: It has a passphrase, and none or another was given.
        """
        password = None
        encrypted = is_encrypted(pem)
        if encrypted:
            if passphrase is None or not passphrase.text:
                raise UnauthenticatedError("the private key has a passphrase, and none was given")
            password = passphrase.to_bytes()
        try:
            key = serialization.load_pem_private_key(pem, password=password)
        except TypeError as error:
            raise InvalidInputError(
                "the private key is encrypted in another form than PKCS #8: convert it with openssl pkcs8"
            ) from error
        except (ValueError, UnsupportedAlgorithm) as error:
            if encrypted and isinstance(error, ValueError):
                # A wrong passphrase gives bytes that are no key: nothing tells it from a damaged file.
                raise UnauthenticatedError(
                    "the passphrase is not that of the private key, or its file is damaged"
                ) from None
            raise InvalidInputError(f"not a private key in PEM form: {_ACCEPTED}") from error
        _require_supported_curve(key)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        asked = encrypted and passphrase is not None and passphrase.typed
        return SigningKey(key, authentication="passphrase" if asked else "none")

    @staticmethod
    def load(path: Path, *, passphrase: Passphrase | None = None) -> SigningKey:
        """Read a private key from a file.

        Args:
            path: The file.
            passphrase: Its passphrase; passed over where it has none.

        Raises:
            FileUnreadableError: The file is missing or cannot be read.
            InvalidInputError: It holds no key that can be used.
            UnauthenticatedError: It has a passphrase, and none or another was given.
        """
        try:
            pem = path.read_bytes()
        except OSError as error:
            raise FileUnreadableError(
                f"the private key {path} cannot be read: {error.strerror or error}"
            ) from error
        try:
            return SigningKey.from_pem(pem, passphrase=passphrase)
        except InvalidInputError as error:
            raise InvalidInputError(f"{path}: {error.message}") from error
        except UnauthenticatedError as error:
            raise UnauthenticatedError(f"{path}: {error.message}") from error

    def to_pem(self, *, passphrase: Passphrase | None = None) -> bytes:
        """Return the key as PKCS #8 in PEM, encrypted with AES-256 where a passphrase is given.

        Raises:
            PreconditionFailedError: The key is not in memory, but in a KMS or HSM.
        """
        return self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(passphrase.to_bytes())
            if passphrase
            else serialization.NoEncryption(),
        )

    def save(self, path: Path, *, passphrase: Passphrase | None = None) -> None:
        """Write the key to a new file that only its owner can read (mode 0600).

        Args:
            path: The file.
            passphrase: What to encrypt it with; None to write it as it is.

        Raises:
            AlreadyExistsError: The file exists; a key is never overwritten.
            FileUnreadableError: The file cannot be written.
            PreconditionFailedError: The key is not in memory, but in a KMS or HSM.
        """
        pem = self.to_pem(passphrase=passphrase)
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
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())

    def sign(self, data: bytes) -> bytes:
        """Sign bytes, with the hash that belongs to the curve; returns the ECDSA signature in DER.

        Where a KMS or HSM keeps the key this takes as long as the call, so not on an event loop, and raises
        what ``ServiceKey.sign`` says.
        """
        return self._key.sign(data, ec.ECDSA(_HASHES[self._key.curve.name]))

    @property
    def key_id(self) -> str:
        """The SHA-256 of the public key's SPKI PEM bytes."""
        return self.verification_key.key_id

    def __repr__(self) -> str:
        return f"SigningKey({self.key_id[:16]}…)"

"""The keys of a transparency log: Ed25519, with a name.

Responsible for making, keeping and loading a log's private key, and for the text form of its public half, the
*verification key* ``name+hex(key id)+base64(type ‖ public key)`` (C2SP signed-note). The name is the log's
origin. A key has one purpose: signing checkpoints (type 0x01), or cosigning those of others (type 0x04).
"""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from carnet.errors import AlreadyExistsError, FileUnreadableError, InvalidInputError, SignatureInvalidError
from carnet.translog.note import is_key_name, note_key_id

if TYPE_CHECKING:
    from pathlib import Path


class KeyType(IntEnum):
    """What a log key signs, as the byte in its verification key (C2SP signed-note, signature types)."""

    ED25519 = 0x01
    COSIGNATURE_V1 = 0x04


@dataclass(frozen=True, slots=True)
class LogVerifier:
    """The public half of a log's key, as an auditor pins it.

    Raises:
        InvalidInputError: The name cannot name a key, or the key is not 32 bytes long.
    """

    name: str
    public_key: bytes
    key_type: KeyType = KeyType.ED25519

    def __post_init__(self) -> None:
        """Refuse what no key can be."""
        if not is_key_name(self.name):
            raise InvalidInputError(f"log key: {self.name[:80]!r} cannot name a key: no spaces, no '+'")
        if len(self.public_key) != 32:
            raise InvalidInputError(
                f"log key: an Ed25519 public key has 32 bytes, not {len(self.public_key)}"
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a verification key such as ``example.com/log+1a2b3c4d+AbCd…``.

        Raises:
            InvalidInputError: The text is not one, or its key id does not fit its key.
        """
        parts = text.strip().split("+", 2)
        if len(parts) != 3:
            raise InvalidInputError(f"log key: {text[:120]!r} is not 'name+key id+base64 of type and key'")
        name, key_id, encoded = parts
        try:
            material = base64.b64decode(encoded, validate=True)
            key_type = KeyType(material[0])
        except (ValueError, IndexError) as error:
            raise InvalidInputError(f"log key: {text[:120]!r} is not an Ed25519 verification key") from error
        verifier = cls(name, material[1:], key_type)
        if verifier.vkey != text.strip():
            raise InvalidInputError(
                f"log key: {name!r} with this key would be written {verifier.vkey!r}, not with key id "
                f"{key_id[:16]!r}: was the key copied whole?"
            )
        return verifier

    @property
    def key_id(self) -> bytes:
        """The 4 bytes that stand for this key in signature lines."""
        return note_key_id(self.name, self.key_type, self.public_key)

    @property
    def vkey(self) -> str:
        """The verification key's text."""
        material = base64.b64encode(bytes([self.key_type]) + self.public_key).decode()
        return f"{self.name}+{self.key_id.hex()}+{material}"

    def __str__(self) -> str:
        """Return the verification key's text."""
        return self.vkey

    def verify(self, message: bytes, signature: bytes) -> None:
        """Verify a bare Ed25519 signature.

        Raises:
            SignatureInvalidError: It is not this key's signature of the message.
        """
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, message)
        except (InvalidSignature, ValueError) as error:
            raise SignatureInvalidError(f"the signature by {self.name} does not verify") from error


class LogKey:
    """A log's private key. ``str()`` and ``repr()`` show only the name.

    Args:
        name: The log's origin, or the cosigner's name.
        private_key: The Ed25519 key.
        key_type: What the key signs.

    Raises:
        InvalidInputError: The name cannot name a key.
    """

    def __init__(
        self, name: str, private_key: Ed25519PrivateKey, *, key_type: KeyType = KeyType.ED25519
    ) -> None:
        self._private_key = private_key
        self.verifier = LogVerifier(name, private_key.public_key().public_bytes_raw(), key_type)

    @classmethod
    def generate(cls, name: str, *, key_type: KeyType = KeyType.ED25519) -> Self:
        """Make a new key.

        Raises:
            InvalidInputError: The name cannot name a key.
        """
        return cls(name, Ed25519PrivateKey.generate(), key_type=key_type)

    @classmethod
    def from_pem(cls, name: str, pem: bytes, *, key_type: KeyType = KeyType.ED25519) -> Self:
        """Load a key from unencrypted PKCS#8 PEM, which does not hold its name.

        Raises:
            InvalidInputError: The bytes are not such a key, or not Ed25519.
        """
        try:
            private_key = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise InvalidInputError(f"log key of {name!r}: not an unencrypted PEM private key") from error
        if not isinstance(private_key, Ed25519PrivateKey):
            raise InvalidInputError(f"log key of {name!r}: an Ed25519 key is wanted")
        return cls(name, private_key, key_type=key_type)

    @classmethod
    def load(cls, name: str, path: Path, *, key_type: KeyType = KeyType.ED25519) -> Self:
        """Load a key from a PEM file.

        Raises:
            FileUnreadableError: The file cannot be read.
            InvalidInputError: It does not hold an unencrypted Ed25519 key.
        """
        try:
            pem = path.read_bytes()
        except OSError as error:
            raise FileUnreadableError(f"log key: {path} cannot be read: {error.strerror}") from error
        return cls.from_pem(name, pem, key_type=key_type)

    @property
    def name(self) -> str:
        """The log's origin, or the cosigner's name."""
        return self.verifier.name

    def to_pem(self) -> bytes:
        """Return the private key as unencrypted PKCS#8 PEM."""
        return self._private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def save(self, path: Path) -> None:
        """Write the private key to a new file that only its owner can read.

        Raises:
            AlreadyExistsError: There is a file of that name; a key is never overwritten.
            FileUnreadableError: The file cannot be written.
        """
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError as error:
            raise AlreadyExistsError(f"log key: {path} exists and is not overwritten") from error
        except OSError as error:
            raise FileUnreadableError(f"log key: {path} cannot be written: {error.strerror}") from error
        with os.fdopen(handle, "wb") as file:
            file.write(self.to_pem())
            file.flush()
            os.fsync(file.fileno())

    def sign(self, message: bytes) -> bytes:
        """Return the bare Ed25519 signature of the message, 64 bytes."""
        return self._private_key.sign(message)

    def __repr__(self) -> str:
        return f"LogKey({self.name!r})"

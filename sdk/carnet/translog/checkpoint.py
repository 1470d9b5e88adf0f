"""Checkpoints: signed tree heads (C2SP tlog-checkpoint).

Responsible for the body ``origin, size, root`` and for the log's own signature on it. A checkpoint is
believed only as far as a *pinned* key vouches for it: a bad signature by the pinned key refuses the whole,
signatures by other keys are passed over, and the origin must be the pinned key's name.

Does not decide whether a checkpoint continues an earlier one (``carnet.translog.proof.verify_consistency``),
and knows no cosignatures (``carnet.translog.cosignature``).
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

from carnet.errors import InvalidInputError, KeyUntrustedError, ProofInvalidError, SignatureInvalidError
from carnet.translog.keys import KeyType, LogKey, LogVerifier
from carnet.translog.note import Note, NoteSignature, decode_base64, is_key_name, parse_note
from carnet.translog.tree import EMPTY_ROOT, HASH_BYTES, SIZE_MAX

__all__ = [
    "Checkpoint",
    "KeyType",
    "LogKey",
    "LogVerifier",
    "parse_checkpoint",
    "sign_checkpoint",
    "unverified_checkpoint",
]

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree head: the log's name, how many entries it has, and the root over them.

    Raises:
        InvalidInputError: The parts cannot be those of a tree head.
    """

    origin: str
    size: int
    root: bytes

    def __post_init__(self) -> None:
        """Refuse what no tree head can be."""
        if not is_key_name(self.origin):
            raise InvalidInputError(f"checkpoint: {self.origin[:80]!r} is not an origin: no spaces, no '+'")
        if not 0 <= self.size <= SIZE_MAX:
            raise InvalidInputError(f"checkpoint: {self.size} is not the size of a tree")
        if len(self.root) != HASH_BYTES:
            raise InvalidInputError(f"checkpoint: a root has {HASH_BYTES} bytes, this has {len(self.root)}")
        if self.size == 0 and self.root != EMPTY_ROOT:
            raise InvalidInputError("checkpoint: an empty tree has one root, and this is another")

    @property
    def body(self) -> str:
        """The text that is signed: three lines, each ending in a newline."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def sign_checkpoint(checkpoint: Checkpoint, key: LogKey) -> str:
    """Sign a tree head.

    Args:
        checkpoint: What to sign; its origin must be the key's name.
        key: The log's key (type 0x01).

    Returns:
        The signed note.

    Raises:
        InvalidInputError: The key is another log's, or a cosigner's.
    """
    if key.name != checkpoint.origin or key.verifier.key_type is not KeyType.ED25519:
        raise InvalidInputError(
            f"checkpoint: the key {key.name!r} (type {key.verifier.key_type:#04x}) does not sign the "
            f"checkpoints of {checkpoint.origin!r}"
        )
    signature = NoteSignature(key.name, key.verifier.key_id, key.sign(checkpoint.body.encode()))
    return str(Note(checkpoint.body, (signature,)))


def parse_checkpoint(text: str | bytes, verifier: LogVerifier) -> Checkpoint:
    """Read and verify a signed tree head.

    Args:
        text: The signed note.
        verifier: The log's pinned key, whose name the origin must be.

    Returns:
        The tree head, vouched for by the pinned key.

    Raises:
        KeyUntrustedError: None of the signatures is by the pinned key.
        ProofInvalidError: The text is not a checkpoint, the pinned key's signature on it is bad, or it is
            another log's.
    """
    note = parse_note(_decode(text))
    signatures = signatures_by(note, verifier)
    if not signatures or verifier.key_type is not KeyType.ED25519:
        raise KeyUntrustedError(
            f"checkpoint: none of its signatures is by the pinned key of {verifier.name} "
            f"({verifier.key_id.hex()}): is it another log's, or was the key replaced?"
        )
    for signature in signatures:
        try:
            verifier.verify(note.body.encode(), signature)
        except SignatureInvalidError as error:
            raise ProofInvalidError(f"checkpoint: {error.message}") from error
    checkpoint = _parse_body(note.body)
    if checkpoint.origin != verifier.name:
        raise ProofInvalidError(
            f"checkpoint: it is of the log {checkpoint.origin!r}, and {verifier.name!r} is wanted"
        )
    return checkpoint


def unverified_checkpoint(text: str | bytes) -> Checkpoint:
    """Read what a checkpoint says, for a message or for sizing a copy: nobody vouches for it.

    Raises:
        ProofInvalidError: The text is not a checkpoint.
    """
    return _parse_body(parse_note(_decode(text)).body)


def signatures_by(note: Note, verifier: LogVerifier) -> list[bytes]:
    """Return the signatures that claim to be by the verifier's key: same name and same key id."""
    wanted = (verifier.name, verifier.key_id)
    return [line.signature for line in note.signatures if (line.name, line.key_id) == wanted]


def _decode(text: str | bytes) -> str:
    if isinstance(text, str):
        return text
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise ProofInvalidError("checkpoint: it is not UTF-8 text") from error


def _parse_body(body: str) -> Checkpoint:
    lines = body.split("\n")
    if len(lines) != 4 or lines[3]:
        raise ProofInvalidError("checkpoint: exactly three lines are wanted: origin, size and root")
    origin, size, root = lines[:3]
    if not _SIZE.fullmatch(size):
        raise ProofInvalidError(f"checkpoint: {size[:40]!r} is not a size")
    try:
        return Checkpoint(origin, int(size), decode_base64(root, what="checkpoint"))
    except InvalidInputError as error:
        raise ProofInvalidError(error.message) from error

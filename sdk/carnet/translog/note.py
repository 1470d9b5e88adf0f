"""Signed notes: text with signature lines under it (C2SP signed-note).

Responsible for the text form alone: splitting a note into body and signatures, and writing it. Verifies no
signature and gives the body no meaning; nobody may use a body before ``carnet.translog.checkpoint`` did both.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from carnet.errors import ProofInvalidError

NOTE_MAX_BYTES = 64 * 1024
SIGNATURES_MAX = 64
KEY_ID_BYTES = 4
_SIGNATURE_LINE = re.compile(r"— (?P<name>[^\s+]+) (?P<value>[A-Za-z0-9+/]+={0,2})")
_UNTEXTUAL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line: who says to have signed, and the signature's bytes."""

    name: str
    key_id: bytes
    signature: bytes

    def __str__(self) -> str:
        """Return the line without its newline."""
        return f"— {self.name} {base64.b64encode(self.key_id + self.signature).decode()}"


@dataclass(frozen=True, slots=True)
class Note:
    """A parsed note; ``body`` ends in a newline. Nothing in it is verified."""

    body: str
    signatures: tuple[NoteSignature, ...]

    def __str__(self) -> str:
        """Return the note's text."""
        return self.body + "\n" + "".join(f"{signature}\n" for signature in self.signatures)


def note_key_id(name: str, key_type: int, public_key: bytes) -> bytes:
    """Return a key's id: the first 4 bytes of SHA-256(name ‖ 0x0A ‖ type ‖ public key)."""
    return hashlib.sha256(name.encode() + b"\n" + bytes([key_type]) + public_key).digest()[:KEY_ID_BYTES]


def is_key_name(name: str) -> bool:
    """Tell whether a key may bear the name: not empty, and neither spaces, ``+`` nor control characters."""
    return bool(name) and name.isprintable() and not re.search(r"[\s+]", name)


def decode_base64(text: str, *, what: str) -> bytes:
    """Decode standard base64 and accept only the one form that encodes the bytes.

    Raises:
        ProofInvalidError: It is not that form.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ProofInvalidError(f"{what}: {text[:80]!r} is not base64") from error
    if base64.b64encode(data).decode() != text:
        raise ProofInvalidError(f"{what}: {text[:80]!r} is not in the one form of base64 for its bytes")
    return data


def parse_note(text: str) -> Note:
    """Split a signed note.

    Args:
        text: The note, at most 64 KiB with at most 64 signatures.

    Returns:
        The note; none of its signatures is verified.

    Raises:
        ProofInvalidError: The text is not a signed note.
    """
    if len(text) > NOTE_MAX_BYTES:
        raise ProofInvalidError(f"signed note: it is longer than {NOTE_MAX_BYTES} characters")
    if _UNTEXTUAL.search(text):
        raise ProofInvalidError("signed note: it has control characters other than newlines, or is not UTF-8")
    body, separator, lines = text.rpartition("\n\n")
    if not separator or not body or not lines.endswith("\n"):
        raise ProofInvalidError("signed note: text, an empty line and signature lines are wanted")
    signature_lines = lines[:-1].split("\n")
    if len(signature_lines) > SIGNATURES_MAX:
        raise ProofInvalidError(f"signed note: it has more than {SIGNATURES_MAX} signatures")
    return Note(body + "\n", tuple(_parse_signature_line(line) for line in signature_lines))


def _parse_signature_line(line: str) -> NoteSignature:
    match = _SIGNATURE_LINE.fullmatch(line)
    if not match:
        raise ProofInvalidError(f"signed note: {line[:80]!r} is not a signature line")
    value = decode_base64(match["value"], what="signed note")
    if len(value) <= KEY_ID_BYTES:
        raise ProofInvalidError(f"signed note: the signature by {match['name'][:80]!r} is empty")
    return NoteSignature(match["name"], value[:KEY_ID_BYTES], value[KEY_ID_BYTES:])

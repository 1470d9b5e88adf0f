"""Cosignatures: who else saw a checkpoint, and when (C2SP tlog-cosignature, version 1).

Responsible for the signature that a witness adds under a log's checkpoint: ``timestamp ‖ Ed25519 signature``
over ``cosignature/v1``, the time and the checkpoint's body. Does not remember what a witness saw before: the
caller checks consistency first, and keeps the last size.
"""

from __future__ import annotations

import struct

from carnet.errors import InvalidInputError, KeyUntrustedError, ProofInvalidError, SignatureInvalidError
from carnet.translog.checkpoint import parse_checkpoint, signatures_by
from carnet.translog.keys import KeyType, LogKey, LogVerifier
from carnet.translog.note import Note, NoteSignature, parse_note

_TIMESTAMP_MAX = 2**63 - 1


def cosign_checkpoint(text: str, log: LogVerifier, key: LogKey, *, timestamp: int) -> str:
    """Add a cosignature to a checkpoint whose log signature verifies.

    Args:
        text: The signed checkpoint, with any cosignatures that it has.
        log: The log's pinned key.
        key: The cosigner's key (type 0x04), which signs nothing else.
        timestamp: Now, in seconds since the epoch.

    Returns:
        The checkpoint with one more signature line.

    Raises:
        InvalidInputError: The key is not a cosigner's, or the timestamp is out of range.
        KeyUntrustedError: The checkpoint is not signed by the log's pinned key.
        ProofInvalidError: The checkpoint does not verify.
    """
    if key.verifier.key_type is not KeyType.COSIGNATURE_V1:
        raise InvalidInputError(f"cosignature: {key.name!r} is not a cosigner's key (type 0x04)")
    if not 0 <= timestamp <= _TIMESTAMP_MAX:
        raise InvalidInputError(f"cosignature: {timestamp} is not a time in seconds since the epoch")
    parse_checkpoint(text, log)
    note = parse_note(text)
    signature = struct.pack(">Q", timestamp) + key.sign(_message(note.body, timestamp))
    line = NoteSignature(key.name, key.verifier.key_id, signature)
    return str(Note(note.body, (*note.signatures, line)))


def verify_cosignature(text: str, cosigner: LogVerifier) -> int:
    """Verify that a cosigner signed a checkpoint.

    The log's own signature is not looked at: use ``parse_checkpoint`` too.

    Args:
        text: The signed checkpoint.
        cosigner: The cosigner's pinned key (type 0x04).

    Returns:
        When it was cosigned, in seconds since the epoch; the newest, if there are several.

    Raises:
        KeyUntrustedError: None of the signatures is by the cosigner.
        ProofInvalidError: The text is not a signed note, or a cosignature is bad.
    """
    note = parse_note(text)
    signatures = signatures_by(note, cosigner)
    if not signatures or cosigner.key_type is not KeyType.COSIGNATURE_V1:
        raise KeyUntrustedError(f"cosignature: the checkpoint is not cosigned by {cosigner.name}")
    return max(_verify_one(note.body, value, cosigner) for value in signatures)


def _verify_one(body: str, value: bytes, cosigner: LogVerifier) -> int:
    if len(value) != 8 + 64:
        raise ProofInvalidError(f"cosignature by {cosigner.name}: 72 bytes are wanted, not {len(value)}")
    timestamp: int = struct.unpack(">Q", value[:8])[0]
    if timestamp > _TIMESTAMP_MAX:
        raise ProofInvalidError(f"cosignature by {cosigner.name}: the time is out of range")
    try:
        cosigner.verify(_message(body, timestamp), value[8:])
    except SignatureInvalidError as error:
        raise ProofInvalidError(f"cosignature: {error.message}") from error
    return timestamp


def _message(body: str, timestamp: int) -> bytes:
    return f"cosignature/v1\ntime {timestamp}\n{body}".encode()

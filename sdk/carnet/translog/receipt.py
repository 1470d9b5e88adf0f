"""Receipts: an entry with the proof that it is in the log.

Responsible for verifying a receipt against the log's pinned key alone, and for its file form (C2SP
tlog-proof@v1, with the entry itself as the extra data). A receipt shows that an entry was logged; it does not
show that nothing contradicts it later.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from carnet.errors import InvalidInputError, ProofInvalidError
from carnet.translog.checkpoint import parse_checkpoint, unverified_checkpoint
from carnet.translog.entry import Entry, parse_entry
from carnet.translog.finality import Finality
from carnet.translog.note import NOTE_MAX_BYTES, decode_base64
from carnet.translog.proof import verify_inclusion
from carnet.translog.tiles import ENTRY_MAX_BYTES
from carnet.translog.tree import HASH_BYTES, leaf_hash

if TYPE_CHECKING:
    from carnet.translog.keys import LogVerifier

_HEADER = "c2sp.org/tlog-proof@v1"
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})")
_PROOF_MAX_HASHES = 63
_RECEIPT_MAX_LENGTH = NOTE_MAX_BYTES + 2 * ENTRY_MAX_BYTES


@dataclass(frozen=True, slots=True)
class Receipt:
    """An entry's bytes, where it stands, the proof from its leaf upwards, and the checkpoint it leads to.

    ``finality`` is what whoever made it says of it: the checkpoint's cosignatures are what shows it.
    """

    entry_bytes: bytes
    index: int
    tree_size: int
    proof: tuple[bytes, ...]
    checkpoint: str
    finality: Finality = field(default=Finality.UNSPECIFIED, compare=False)


def verify_receipt(receipt: Receipt, verifier: LogVerifier) -> Entry:
    """Verify that the entry is in the log.

    Args:
        receipt: The receipt, from anybody.
        verifier: The log's pinned key.

    Returns:
        The entry.

    Raises:
        KeyUntrustedError: The checkpoint is not signed by the pinned key.
        ProofInvalidError: Checkpoint, proof or entry do not hold.
    """
    checkpoint = parse_checkpoint(receipt.checkpoint, verifier)
    if checkpoint.size != receipt.tree_size:
        raise ProofInvalidError(
            f"receipt: its proof is for a tree of {receipt.tree_size}, its checkpoint for {checkpoint.size}"
        )
    verify_inclusion(
        leaf_hash(receipt.entry_bytes), receipt.index, checkpoint.size, receipt.proof, checkpoint.root
    )
    try:
        return parse_entry(receipt.entry_bytes)
    except InvalidInputError as error:
        raise ProofInvalidError(f"receipt: {error.message}") from error


def format_receipt(receipt: Receipt) -> str:
    """Write a receipt as a file (``.tlog-proof``)."""
    lines = [_HEADER, f"extra {base64.b64encode(receipt.entry_bytes).decode()}", f"index {receipt.index}"]
    lines += [base64.b64encode(value).decode() for value in receipt.proof]
    return "\n".join(lines) + "\n\n" + receipt.checkpoint


def parse_receipt(text: str) -> Receipt:
    """Read a receipt's file form; nothing is verified by that.

    Raises:
        ProofInvalidError: The text is not a receipt with its entry.
    """
    if len(text) > _RECEIPT_MAX_LENGTH:
        raise ProofInvalidError(f"receipt: it is longer than {_RECEIPT_MAX_LENGTH} characters")
    head, separator, checkpoint = text.partition("\n\n")
    lines = head.split("\n")
    if not separator or len(lines) < 3 or lines[0] != _HEADER or not lines[1].startswith("extra "):
        raise ProofInvalidError(f"receipt: {_HEADER!r}, an extra line with the entry and an index are wanted")
    index = _INDEX.fullmatch(lines[2])
    if not index:
        raise ProofInvalidError(f"receipt: {lines[2][:80]!r} is not its index line")
    proof = tuple(decode_base64(line, what="receipt") for line in lines[3:])
    if len(proof) > _PROOF_MAX_HASHES or any(len(value) != HASH_BYTES for value in proof):
        raise ProofInvalidError("receipt: its proof is not a list of SHA-256 hashes")
    entry = decode_base64(lines[1].removeprefix("extra "), what="receipt")
    size = unverified_checkpoint(checkpoint).size
    return Receipt(entry, int(index[1]), size, proof, checkpoint)

"""What a log asks of a witness: to cosign a newer checkpoint (C2SP tlog-witness, ``add-checkpoint``).

Responsible for the request as plain text, for its one form, and for the rule by which a witness answers: it
cosigns only what provably continues what it cosigned before. Remembers nothing: whoever calls ``consider``
keeps what was held, and persists what is held then in the same step as it looks.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from carnet.errors import ConflictError, InvalidInputError, ProofInvalidError
from carnet.translog.note import NOTE_MAX_BYTES, decode_base64
from carnet.translog.proof import verify_consistency
from carnet.translog.tree import EMPTY_ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from carnet.translog.checkpoint import Checkpoint

PROOF_LINES_MAX: Final = 63
REQUEST_MAX_BYTES: Final = NOTE_MAX_BYTES + PROOF_LINES_MAX * 45 + 32
SIZE_CONTENT_TYPE: Final = "text/x.tlog.size"
_OLD = re.compile(r"old (?P<size>0|[1-9][0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class WitnessRequest:
    """A request to cosign a checkpoint.

    Attributes:
        old_size: The size of the checkpoint that the witness cosigned last, as the log believes.
        proof: The consistency proof from there (RFC 6962, section 2.1.2), 63 hashes at most.
        checkpoint: The signed checkpoint.
    """

    old_size: int
    proof: tuple[bytes, ...]
    checkpoint: str

    def __str__(self) -> str:
        """Return the request's body."""
        lines = [f"old {self.old_size}", *(base64.b64encode(value).decode() for value in self.proof)]
        return "\n".join(lines) + "\n\n" + self.checkpoint


def parse_witness_request(body: bytes) -> WitnessRequest:
    """Read the body of ``add-checkpoint``; nothing in it is verified.

    Raises:
        InvalidInputError: It is not of the form.
    """
    if len(body) > REQUEST_MAX_BYTES:
        raise InvalidInputError(f"add-checkpoint: {len(body)} bytes; {REQUEST_MAX_BYTES} at most")
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise InvalidInputError("add-checkpoint: it is not UTF-8 text") from error
    head, separator, checkpoint = text.partition("\n\n")
    first, *lines = head.split("\n")
    old = _OLD.fullmatch(first)
    if old is None or not separator or not checkpoint:
        raise InvalidInputError(
            "add-checkpoint: an `old SIZE` line, proof lines, an empty line and a checkpoint are wanted"
        )
    if len(lines) > PROOF_LINES_MAX:
        raise InvalidInputError(f"add-checkpoint: {len(lines)} proof lines; {PROOF_LINES_MAX} at most")
    try:
        proof = tuple(decode_base64(line, what="add-checkpoint") for line in lines)
    except ProofInvalidError as error:
        raise InvalidInputError(error.message) from error
    return WitnessRequest(int(old["size"]), proof, checkpoint)


def check_witness_request(request: WitnessRequest) -> None:
    """Insist on what the text form of a request demands, of one that came in another form.

    Raises:
        InvalidInputError: The proof has too many hashes, the size is negative, or the note is too long.
    """
    if request.old_size < 0 or len(request.proof) > PROOF_LINES_MAX:
        raise InvalidInputError(
            f"old_size {request.old_size} with {len(request.proof)} hashes: a size from 0 on and at most "
            f"{PROOF_LINES_MAX} hashes are wanted",
            metadata={"field": "old_size" if request.old_size < 0 else "proof"},
        )
    if len(request.checkpoint) > NOTE_MAX_BYTES:
        raise InvalidInputError(
            f"checkpoint: longer than {NOTE_MAX_BYTES} characters", metadata={"field": "checkpoint"}
        )


def consider(held: Checkpoint | None, old_size: int, proof: Sequence[bytes], newer: Checkpoint) -> Checkpoint:
    """Decide whether a witness cosigns a checkpoint whose log signature it verified.

    Args:
        held: What it cosigned last of this log; None for nothing.
        old_size: The size that the log says it holds.
        proof: The consistency proof from there.
        newer: The checkpoint.

    Returns:
        The checkpoint, which is what it holds from now on.

    Raises:
        InvalidInputError: The old size is above the checkpoint's.
        ConflictError: The witness holds another size (``metadata["size"]``), or the same size with another
            root: two histories, both signed (``metadata["equivocation"]`` is ``true``).
        ProofInvalidError: The proof does not show that the checkpoint continues what is held.
    """
    if not 0 <= old_size <= newer.size:
        raise InvalidInputError(
            f"old_size: {old_size} is not a size up to the checkpoint's, {newer.size}",
            metadata={"field": "old_size"},
        )
    size = held.size if held else 0
    if old_size != size:
        raise ConflictError(
            f"the newest checkpoint of {newer.origin!r} that was cosigned here has {size} entries, "
            f"not {old_size}: prove the new one from there",
            metadata={"size": str(size)},
        )
    root = held.root if held else EMPTY_ROOT
    if size == newer.size and root != newer.root:
        raise ConflictError(
            f"another checkpoint of {newer.origin!r} with {size} entries was cosigned here: the log signed "
            "two histories",
            metadata={"size": str(size), "equivocation": "true"},
        )
    if size == 0 and not proof:
        return newer
    verify_consistency(size, newer.size, proof, root, newer.root)
    return newer

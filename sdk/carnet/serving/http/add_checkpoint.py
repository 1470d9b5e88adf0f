"""``POST /add-checkpoint``: a witness for logs that speak C2SP tlog-witness.

Responsible for the form of request and answer, and for the status of each refusal. Whose checkpoints are
taken, and what is kept, is the witness's own affair; it is the one that ``WitnessService`` has, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, TypeAlias

from aiohttp import web

from carnet.errors import (
    CarnetError,
    ConflictError,
    InvalidInputError,
    KeyUntrustedError,
    NotFoundError,
    ProofInvalidError,
)
from carnet.translog.checkpoint import unverified_checkpoint
from carnet.translog.witness_request import SIZE_CONTENT_TYPE, parse_witness_request

if TYPE_CHECKING:
    from carnet.translog.checkpoint import Checkpoint
    from carnet.translog.witness_request import WitnessRequest


_Statuses: TypeAlias = Mapping[type[CarnetError], int]
_MALFORMED: _Statuses = {InvalidInputError: 400, ProofInvalidError: 400}
_UNSIGNED: _Statuses = {NotFoundError: 404, KeyUntrustedError: 403, ProofInvalidError: 403}
_UNPROVED: _Statuses = {InvalidInputError: 400, ConflictError: 409, ProofInvalidError: 422}


class CosigningWitness(Protocol):
    """A witness that cosigns the checkpoints of logs that it knows."""

    def read(self, checkpoint: str) -> Checkpoint:
        """Return a checkpoint that its log signed.

        Raises:
            NotFoundError: The log is not known here.
            KeyUntrustedError: None of the signatures is by the log's pinned key.
            ProofInvalidError: Its signature is bad.
        """
        ...

    async def cosign(self, request: WitnessRequest) -> str:
        """Cosign a checkpoint, and return the signature line without its newline.

        Raises:
            InvalidInputError: The old size is above the checkpoint's.
            ConflictError: Another size is held (``metadata["size"]``), or the log signed two histories.
            ProofInvalidError: The checkpoint is not proved to continue what is held.
        """
        ...


def add_checkpoint_route(witness: CosigningWitness) -> web.RouteDef:
    """Return the route.

    Args:
        witness: Who cosigns.
    """

    async def answer(request: web.Request) -> web.Response:
        return await _answer(witness, await request.read())

    return web.post("/add-checkpoint", answer)


async def _answer(witness: CosigningWitness, body: bytes) -> web.Response:
    """Answer a request; the order of the checks is the one of C2SP tlog-witness."""
    statuses = _MALFORMED
    try:
        asked = parse_witness_request(body)
        unverified_checkpoint(asked.checkpoint)
        statuses = _UNSIGNED
        witness.read(asked.checkpoint)
        statuses = _UNPROVED
        line = await witness.cosign(asked)
    except CarnetError as error:
        status = next((status for kind, status in statuses.items() if isinstance(error, kind)), None)
        if status is None:
            raise
        return _refusal(status, error)
    return web.Response(text=f"{line}\n")


def _refusal(status: int, error: CarnetError) -> web.Response:
    """Say why; or, where another size is held, say just that size."""
    size = error.metadata.get("size")
    if status == 409 and size is not None and not error.metadata.get("equivocation"):
        return web.Response(
            status=status, body=f"{size}\n".encode(), headers={"Content-Type": SIZE_CONTENT_TYPE}
        )
    return web.Response(status=status, text=f"{error.message}\n")

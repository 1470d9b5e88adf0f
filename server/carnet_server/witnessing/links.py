"""The way to a witness: another registry or the promotion service by gRPC, or an outside witness by HTTP.

Responsible for the URL of a witness in the policy file, and for requests within limits of time and size:
``carnet://HOST:PORT/SERVER_NAME`` is asked by gRPC over mutual TLS, ``https://…`` (and ``http://`` on this
machine itself) by ``POST …/add-checkpoint`` as C2SP tlog-witness has it. Verifies no answer.
"""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from carnet.client.connection import WitnessConnection
from carnet.errors import (
    ConflictError,
    InvalidInputError,
    KeyUntrustedError,
    NotFoundError,
    ProofInvalidError,
    UnavailableError,
)
from carnet.registry.v1 import witness_pb2
from carnet.serving.callers.issuers import is_asked_safely
from carnet.translog.note import NOTE_MAX_BYTES
from carnet.translog.witness_request import SIZE_CONTENT_TYPE

if TYPE_CHECKING:
    from carnet.client.channel import TlsIdentity
    from carnet.errors import CarnetError
    from carnet.translog.witness_policy import Witness
    from carnet.translog.witness_request import WitnessRequest

ASK_SECONDS = 5.0
_SCHEME = "carnet"


class WitnessLink(Protocol):
    """A witness that can be asked."""

    async def add_checkpoint(self, request: WitnessRequest, *, anchor: bool) -> list[str]:
        """Ask for a cosignature; returns signature lines, none of them verified.

        Raises:
            ConflictError: The witness holds another size (``metadata["size"]``).
            CarnetError: It refuses, or cannot be asked; the class says how.
        """
        ...

    async def newest(self, origin: str) -> str:
        """Return the newest checkpoint of a log that the witness cosigned; empty where it cannot say.

        Raises:
            CarnetError: It cannot be asked; the class says how.
        """
        ...

    async def close(self) -> None:
        """Close what is open."""
        ...


def open_link(witness: Witness, identity: TlsIdentity) -> WitnessLink | None:
    """Return the way to a witness; None for one that the policy file gives no URL of.

    Args:
        witness: The witness.
        identity: Who asks, where that is shown.

    Raises:
        InvalidInputError: Its URL is none that can be asked.
    """
    if not witness.url:
        return None
    parts = urlsplit(witness.url)
    if parts.scheme == _SCHEME and parts.hostname and parts.port and len(parts.path) > 1:
        return GrpcWitness(witness.name, parts.netloc, parts.path.removeprefix("/"), identity)
    if is_asked_safely(witness.url):
        return HttpWitness(witness.name, witness.url)
    raise InvalidInputError(
        f"witness {witness.name}: {witness.url[:200]!r} cannot be asked: write "
        "carnet://HOST:PORT/SERVER_NAME for another registry or the promotion service, or an https:// URL"
    )


class GrpcWitness:
    """A registry or the promotion service as a witness."""

    def __init__(self, name: str, endpoint: str, server_name: str, identity: TlsIdentity) -> None:
        self._connection = WitnessConnection(
            endpoint, server_name=server_name, identity=identity, witness=name
        )

    async def add_checkpoint(self, request: WitnessRequest, *, anchor: bool) -> list[str]:
        """Ask for a cosignature; see ``WitnessLink``."""
        message = witness_pb2.AddCheckpointRequest(
            old_size=request.old_size, proof=request.proof, checkpoint=request.checkpoint, anchor=anchor
        )
        answer: witness_pb2.AddCheckpointResponse = await self._call("AddCheckpoint", message)
        return [answer.cosignature]

    async def newest(self, origin: str) -> str:
        """Return what was cosigned last; see ``WitnessLink``."""
        try:
            answer: witness_pb2.GetWitnessedResponse = await self._call(
                "GetWitnessed", witness_pb2.GetWitnessedRequest(origin=origin)
            )
        except NotFoundError:
            return ""
        return answer.checkpoint

    async def _call(self, method: str, message: Any) -> Any:
        stub = getattr(self._connection.witness, method)
        return await self._connection.call(stub, message, deadline_seconds=ASK_SECONDS, idempotent=False)

    async def close(self) -> None:
        """Close the channel."""
        await self._connection.close()


class HttpWitness:
    """An outside witness that speaks C2SP tlog-witness."""

    def __init__(self, name: str, url: str) -> None:
        self._name = name
        self._url = f"{url.rstrip('/')}/add-checkpoint"

    async def add_checkpoint(self, request: WitnessRequest, *, anchor: bool) -> list[str]:
        """Ask for a cosignature; see ``WitnessLink``. An outside witness records no anchors."""
        del anchor
        return await asyncio.to_thread(self._post, str(request).encode())

    async def newest(self, origin: str) -> str:
        """Return nothing: the protocol has no such question."""
        del origin
        return ""

    async def close(self) -> None:
        """Close nothing: each request has a connection of its own."""

    def _post(self, body: bytes) -> list[str]:
        asked = urllib.request.Request(self._url, data=body, method="POST")  # noqa: S310  is_asked_safely
        try:
            with urllib.request.urlopen(asked, timeout=ASK_SECONDS) as answer:  # noqa: S310  as above
                data = answer.read(NOTE_MAX_BYTES + 1)
        except urllib.error.HTTPError as error:
            with error:
                raise self._refusal(error) from error
        except (OSError, ValueError) as error:
            raise UnavailableError(f"the witness {self._name} cannot be asked: {error}") from error
        if len(data) > NOTE_MAX_BYTES:
            raise ProofInvalidError(f"the witness {self._name} answered more than {NOTE_MAX_BYTES} bytes")
        try:
            return [line for line in data.decode().split("\n") if line]
        except UnicodeDecodeError as error:
            raise ProofInvalidError(f"the witness {self._name} answered with no text") from error

    def _refusal(self, error: urllib.error.HTTPError) -> CarnetError:
        said = f"the witness {self._name} answered {error.code}"
        if error.code == 409:
            body = error.read(64).strip()
            if error.headers.get_content_type() == SIZE_CONTENT_TYPE and body.isdigit():
                return ConflictError(f"{said}: it holds another size", metadata={"size": body.decode()})
            return ConflictError(f"{said}: it holds another history of this size")
        known: dict[int, type[CarnetError]] = {
            400: InvalidInputError,
            403: KeyUntrustedError,
            404: NotFoundError,
            422: ProofInvalidError,
        }
        return known.get(error.code, UnavailableError)(said)

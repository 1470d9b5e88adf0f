"""One call of WriteBlob, whose answer is never lost.

Responsible for working around gRPC's asyncio client, which loses an answer that comes before the last message
was sent. Does not know what the messages say.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from carnet.client.channel import typed_errors
from carnet.errors import UnavailableError
from carnet.registry.v1 import blobs_pb2

if TYPE_CHECKING:
    from carnet.client.connection import RegistryConnection

LATE_ANSWER_SECONDS = 1.0
LATE_ANSWER_LOOKS = 50
_WRITE_METHOD = "/carnet.registry.v1.BlobService/WriteBlob"


class WriteCall:
    """A call of WriteBlob that knows its answer even if that came before the last message was sent.

    gRPC's asyncio client loses such an answer: the write that then fails is INTERNAL to it, and takes the
    place of a status that was there, or is raised before the status is (grpc/grpc#36066). So the status is
    noted in the moment that it comes, and waited for when it comes late.
    """

    def __init__(self, connection: RegistryConnection) -> None:
        method: Any = connection.channel.stream_unary(
            _WRITE_METHOD, response_deserializer=blobs_pb2.WriteBlobResponse.FromString
        )
        self._peer = connection.peer
        self._noted: grpc.aio.AioRpcError | None = None
        self._call = method()
        self._call.add_done_callback(self._note)

    def _note(self, _: object) -> None:
        code, details, trailing = (
            _result_now(part())
            for part in (self._call.code, self._call.details, self._call.trailing_metadata)
        )
        self._noted = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing, details=details)

    async def send(self, message: bytes) -> bool:
        """Send a message; return whether the registry takes more."""
        try:
            await self._call.write(message)
        except (asyncio.InvalidStateError, grpc.aio.AioRpcError):
            return False
        return True

    async def answer(self) -> None:
        """Wait for the registry's answer; raise it if it is an error."""
        with typed_errors(self._peer):
            with contextlib.suppress(asyncio.InvalidStateError, grpc.aio.AioRpcError):
                await self._call.done_writing()
            for _ in range(LATE_ANSWER_LOOKS):
                try:
                    await self._call
                except grpc.aio.AioRpcError as error:
                    failure = self._noted if self._noted and _is_lost(error) else error
                    if failure.code() is grpc.StatusCode.OK:
                        return
                    if not _is_lost(failure):
                        raise failure from None
                else:
                    return
                await asyncio.sleep(LATE_ANSWER_SECONDS / LATE_ANSWER_LOOKS)
        raise UnavailableError(f"{self._peer} ended a write and the reason was lost")

    def cancel(self) -> None:
        """End the call if it has not ended."""
        self._call.cancel()


def _is_lost(error: grpc.aio.AioRpcError) -> bool:
    """Tell whether an error is the client library's own word for a write that failed."""
    return error.code() is grpc.StatusCode.INTERNAL and not error.trailing_metadata()


def _result_now(coroutine: Any) -> Any:
    """Return the result of a coroutine that has nothing to wait for."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    coroutine.close()
    return None

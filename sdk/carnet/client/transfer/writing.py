"""Writing one large blob to a registry, from the byte where its upload stands until it is whole.

Responsible for going on after a failure as long as that moves, and for starting anew where the bytes that
another writer left are wrong. Where the messages come from, a file or another registry, the caller decides.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from carnet.client.blob_codec import WriteHeader, decode_chunk, encode_first
from carnet.client.transfer.calls import upload_state
from carnet.client.transfer.patience import Patience
from carnet.client.transfer.write_call import WriteCall
from carnet.errors import ConflictError, DigestMismatchError, OffsetOutOfRangeError, UnavailableError
from carnet.references import ResourceName

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable

    from carnet.client.connection import RegistryConnection
    from carnet.client.transfer.blobs import NamedBlob
    from carnet.client.transfer.counting import BlobCount


async def write_resumably(
    connection: RegistryConnection,
    namespace: str,
    blob: NamedBlob,
    messages_from: Callable[[int], AsyncGenerator[bytes, None]],
    count: BlobCount,
) -> None:
    """Write a blob from wherever its upload stands, again and again while that moves.

    The bytes that an upload stood at may be another writer's, and wrong: the registry discards them when it
    finds out, so that is tried once more from the first byte.

    Args:
        connection: The registry.
        namespace: The namespace that is given it.
        blob: The blob.
        messages_from: Gives the blob's messages from an offset on, as ``ReadBlob`` has them on the wire.
        count: Told how far it is.

    Raises:
        DigestMismatchError: The bytes are not those of the digest.
        UnavailableError: The registry was away for too long.
        CarnetError: A call failed otherwise.
    """
    patience = Patience()
    foreign_bytes_forgiven = False
    while True:
        state = await upload_state(connection, namespace, blob)
        count.at(blob.size_bytes if state.complete else state.committed_bytes)
        if state.complete:
            return
        try:
            async with contextlib.aclosing(messages_from(state.committed_bytes)) as messages:
                offset = state.committed_bytes
                await _write_stream(connection, namespace, blob, messages, offset=offset, count=count)
        except DigestMismatchError:
            if foreign_bytes_forgiven or not state.committed_bytes:
                raise
            foreign_bytes_forgiven = True
        except (UnavailableError, ConflictError, OffsetOutOfRangeError) as error:
            await patience.wait(error, state.committed_bytes)
        else:
            return


async def _write_stream(
    connection: RegistryConnection,
    namespace: str,
    blob: NamedBlob,
    messages: AsyncIterator[bytes],
    *,
    offset: int,
    count: BlobCount,
) -> None:
    """Write a blob's bytes from an offset on; the registry may have it before the last message."""
    call = WriteCall(connection)
    header = WriteHeader(str(ResourceName(namespace)), blob.digest, blob.size_bytes)
    try:
        open_for_more = await call.send(encode_first(header, offset))
        while open_for_more and (message := await anext(messages, None)) is not None:
            open_for_more = await call.send(message)
            chunk = decode_chunk(message)
            count.at(min(chunk.offset + len(chunk.data), blob.size_bytes))
        await call.answer()
    finally:
        call.cancel()
    count.at(blob.size_bytes)

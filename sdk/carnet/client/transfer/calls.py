"""The calls of a registry that carry blobs, or tell which ones are wanted; all but the writing of a stream.

Responsible for one call each (asking what is missing takes as many as the list needs), typed errors, and for
verifying small blobs as they come. Nothing is tried again here beyond what the connection does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from carnet.canonical import sha256_hex
from carnet.errors import DigestMismatchError
from carnet.references import ResourceName
from carnet.registry.v1 import blobs_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence

    from carnet.client.connection import RegistryConnection
    from carnet.client.transfer.blobs import Blob, NamedBlob

FIND_BLOBS = 10_000
_READ_METHOD = "/carnet.registry.v1.BlobService/ReadBlob"


def _parent(namespace: str) -> str:
    return str(ResourceName(namespace))


async def find_missing(connection: RegistryConnection, namespace: str, blobs: Iterable[Blob]) -> list[Blob]:
    """Ask a registry which blobs a namespace has not been given.

    Args:
        connection: The registry.
        namespace: Whose.
        blobs: The blobs; one that is named twice is asked about once.

    Returns:
        The missing ones, in their order.

    Raises:
        CarnetError: The call failed.
    """
    unique = list({blob.digest: blob for blob in blobs}.values())
    missing: set[str] = set()
    for start in range(0, len(unique), FIND_BLOBS):
        refs = [
            blobs_pb2.BlobRef(digest=b.digest, size_bytes=b.size_bytes) for b in unique[start:][:FIND_BLOBS]
        ]
        request = blobs_pb2.FindMissingBlobsRequest(parent=_parent(namespace), blobs=refs)
        answer = await connection.call(connection.blobs.FindMissingBlobs, request)
        missing.update(blob.digest for blob in answer.missing)
    return [blob for blob in unique if blob.digest in missing]


async def read_small(
    connection: RegistryConnection, namespace: str, batch: Sequence[NamedBlob], *, capability: bytes = b""
) -> dict[str, bytes]:
    """Read one batch of small blobs and verify them.

    Args:
        connection: The registry.
        namespace: Where they are read.
        batch: The blobs, as ``small_batches`` groups them.
        capability: A right to read, for a caller with no role in the namespace.

    Returns:
        The bytes of each, by digest.

    Raises:
        DigestMismatchError: What came is not what was asked for.
        CarnetError: The call failed.
    """
    request = blobs_pb2.BatchReadBlobsRequest(
        parent=_parent(namespace), digests=[blob.digest for blob in batch], capability=capability
    )
    answer = await connection.call(connection.blobs.BatchReadBlobs, request)
    contents = {content.digest: content.data for content in answer.blobs}
    for blob in batch:
        if sha256_hex(contents.get(blob.digest, b"")) != blob.digest:
            raise mismatch(connection, blob.digest)
    return contents


async def write_small(connection: RegistryConnection, namespace: str, contents: Mapping[str, bytes]) -> None:
    """Write one batch of small blobs.

    Args:
        connection: The registry.
        namespace: The namespace that is given them.
        contents: The bytes of each, by digest; within the limits of one message.

    Raises:
        DigestMismatchError: The bytes of one are not those of its digest; none was stored.
        CarnetError: The call failed.
    """
    request = blobs_pb2.BatchWriteBlobsRequest(
        parent=_parent(namespace),
        blobs=[blobs_pb2.BlobContent(digest=digest, data=data) for digest, data in contents.items()],
    )
    await connection.call(connection.blobs.BatchWriteBlobs, request)


async def read_messages(
    connection: RegistryConnection, namespace: str, digest: str, *, offset: int = 0, capability: bytes = b""
) -> AsyncGenerator[bytes, None]:
    """Read a blob's messages from an offset to the end, as they are on the wire.

    Args:
        connection: The registry.
        namespace: Where it is read.
        digest: The blob.
        offset: The first byte that is wanted.
        capability: A right to read, for a caller with no role in the namespace.

    Yields:
        ``ReadBlobResponse`` messages, encoded; ``decode_chunk`` reads them.

    Raises:
        CarnetError: The call failed.
    """
    method: Any = connection.channel.unary_stream(
        _READ_METHOD, request_serializer=blobs_pb2.ReadBlobRequest.SerializeToString
    )
    request = blobs_pb2.ReadBlobRequest(
        parent=_parent(namespace), digest=digest, offset=offset, capability=capability
    )
    async for message in connection.stream(method, request):
        yield message


async def upload_state(
    connection: RegistryConnection, namespace: str, blob: NamedBlob
) -> blobs_pb2.GetUploadResponse:
    """Ask a registry how far the upload of a blob is.

    Args:
        connection: The registry.
        namespace: The namespace that is given it.
        blob: The blob.

    Returns:
        Whether it is there, and else how many of its bytes are.

    Raises:
        CarnetError: The call failed.
    """
    ref = blobs_pb2.BlobRef(digest=blob.digest, size_bytes=blob.size_bytes)
    request = blobs_pb2.GetUploadRequest(parent=_parent(namespace), blob=ref)
    answer: blobs_pb2.GetUploadResponse = await connection.call(connection.blobs.GetUpload, request)
    return answer


def mismatch(connection: RegistryConnection, digest: str) -> DigestMismatchError:
    """Return the error that says that a registry gave other bytes than a blob's.

    Args:
        connection: The registry.
        digest: The blob that was asked for.
    """
    return DigestMismatchError(
        f"what {connection.peer} gave for blob {digest} is not that blob", metadata={"expected": digest}
    )

"""Through: from one registry to another, with nothing kept on the way.

Responsible for passing messages on as they are. The target hashes them; the source decides who may read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.client.transfer.blobs import small_batches
from carnet.client.transfer.calls import read_messages, read_small, write_small
from carnet.client.transfer.counting import BlobCount, ByteCount
from carnet.client.transfer.writing import write_resumably

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from carnet.client.connection import RegistryConnection
    from carnet.client.transfer.blobs import NamedBlob


async def relay_blob(
    source: RegistryConnection,
    target: RegistryConnection,
    namespace_from: str,
    namespace_to: str,
    blob: NamedBlob,
    *,
    capability: bytes = b"",
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Pass a blob's messages on from one registry to another, as they are; goes on where the target stands.

    Args:
        source: The registry that has it.
        target: The registry that is to have it, and hashes it.
        namespace_from: Where it is read.
        namespace_to: The namespace that is given it.
        blob: The blob.
        capability: A right to read, for a caller with no role at the source.
        progress: Told of bytes done and bytes in all.

    Raises:
        DigestMismatchError: What the source gave is not the blob.
        UnavailableError: A registry was away for too long.
        CarnetError: A call failed otherwise.
    """
    count = BlobCount(ByteCount(blob.size_bytes, progress))
    await write_resumably(
        target,
        namespace_to,
        blob,
        lambda offset: read_messages(
            source, namespace_from, blob.digest, offset=offset, capability=capability
        ),
        count,
    )


async def relay_small(
    source: RegistryConnection,
    target: RegistryConnection,
    namespace_from: str,
    namespace_to: str,
    blobs: Iterable[NamedBlob],
    *,
    capability: bytes = b"",
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Pass those of some blobs that are small on from one registry to another; see ``relay_blob``."""
    batches = list(small_batches(blobs))
    count = ByteCount(sum(blob.size_bytes for batch in batches for blob in batch), progress)
    for batch in batches:
        await write_small(
            target, namespace_to, await read_small(source, namespace_from, batch, capability=capability)
        )
        count.add(sum(blob.size_bytes for blob in batch))

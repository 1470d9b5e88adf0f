"""Relay: the blobs pass through this service, for networks in which the registries cannot see each other.

Large blobs pass message by message, undecoded, and go on where the target's upload stands; small ones travel
in batches. Nothing is kept here. The source is read under this service's own role there.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from carnet.client.transfer import in_parallel, is_small, relay_blob, relay_small
from carnet_sync.environments.registry import reaching

if TYPE_CHECKING:
    from collections.abc import Sequence

    from carnet.registry.v1 import blobs_pb2
    from carnet_sync.environments.registry import Registry
    from carnet_sync.promotions.steps.tally import Tally


async def relay(
    source: Registry,
    target: Registry,
    namespace: str,
    blobs: Sequence[blobs_pb2.BlobRef],
    tally: Tally,
) -> None:
    """Carry blobs from one registry to the other.

    Args:
        source: Where they are.
        target: Where they are missing.
        namespace: The namespace, the same on both sides.
        blobs: What to carry.
        tally: Counts the bytes.

    Raises:
        NotFoundError: The source does not have a blob that its version names.
        DigestMismatchError: Bytes changed under way.
    """

    def count(part: str, done_bytes: int, _total_bytes: int) -> None:
        tally.count(part, done_bytes)

    async def carry(blob: blobs_pb2.BlobRef) -> None:
        await relay_blob(
            source.connection,
            target.connection,
            namespace,
            namespace,
            blob,
            progress=partial(count, blob.digest),
        )

    with reaching(f"{source.environment} or {target.environment}"):
        await relay_small(
            source.connection,
            target.connection,
            namespace,
            namespace,
            blobs,
            progress=partial(count, "small blobs"),
        )
        await in_parallel((blob for blob in blobs if not is_small(blob)), carry)

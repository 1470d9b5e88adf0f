"""Pull: the target fetches the blobs from the source itself, under a short-lived right."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from carnet.registry.v1 import blobs_pb2
    from carnet_sync.environments.registry import Registry
    from carnet_sync.promotions.domain import Promotion
    from carnet_sync.promotions.steps.tally import Tally


async def pull(
    promotion: Promotion,
    target: Registry,
    blobs: Sequence[blobs_pb2.BlobRef],
    capability: bytes,
    tally: Tally,
) -> None:
    """Have the target fetch the blobs, and follow how far it is.

    Args:
        promotion: The promotion.
        target: Its target's registry.
        blobs: What to fetch.
        capability: The source's right to read them, bound to the target.
        tally: Counts the bytes.

    Raises:
        StaleEpochError: Another worker took the promotion over.
        PermissionDeniedError: The right is refused, or has run out.
    """
    told = target.pull_blobs(promotion.id, blobs, capability=capability, epoch=promotion.epoch)
    async for progress in told:
        tally.count("pulled", progress.transferred_bytes)

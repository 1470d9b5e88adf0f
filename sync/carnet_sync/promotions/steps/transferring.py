"""TRANSFERRING: bring the target the blobs that it lacks, by the route's way.

Only what is missing is carried, and whatever arrived stays: a repeated step goes on where the last one
stopped. The target hashes what arrives; nothing is visible there before it is admitted.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from carnet.bundle.manifest import parse_manifest
from carnet.errors import BlobsMissingError, PermissionDeniedError, PreconditionFailedError
from carnet.registry.v1 import blobs_pb2
from carnet_sync.promotions.domain import State
from carnet_sync.promotions.outcome import Learned, Outcome
from carnet_sync.promotions.steps import answers
from carnet_sync.promotions.steps.pull import pull
from carnet_sync.promotions.steps.relay import relay
from carnet_sync.promotions.steps.tally import Tally

if TYPE_CHECKING:
    from carnet_sync.promotions.domain import Promotion
    from carnet_sync.promotions.steps.step import Work

BLOBS_PER_ROUND = 5_000
MOST_RENEWALS = 100


async def run(promotion: Promotion, work: Work) -> Outcome:
    """Carry the missing blobs.

    Args:
        promotion: The promotion, with its manifest.
        work: The registries, and where progress is told.

    Raises:
        BlobsMissingError: The target lacks blobs still, after it said that it had them all.
        StaleEpochError: Another worker took the promotion over.
        StorageFullError: The target has no room.
    """
    target = work.target(promotion)
    missing = await target.missing_blobs(promotion.namespace, _blobs_of(promotion))
    # A transfer that is taken up again keeps the total that it began with.
    tally = Tally(max(_size(missing), promotion.total_bytes), work.report_progress)
    carried, renewals = len(missing), 0
    try:
        while missing:
            tally.begin(_size(missing))
            ended = await _carry(promotion, work, missing[:BLOBS_PER_ROUND], tally)
            renewals += not ended
            still = await target.missing_blobs(promotion.namespace, missing)
            if len(still) >= len(missing) and (ended or renewals > MOST_RENEWALS):
                raise BlobsMissingError(
                    f"{promotion.target} lacks {len(still)} blobs that it was given, the first "
                    f"{still[0].digest}: see its log, then retry",
                    metadata={"digests": ",".join(each.digest for each in still[:100])},
                )
            missing = still
    except PreconditionFailedError as refusal:
        return await answers.ended_there(promotion, target, refusal)
    files = "1 blob was" if carried == 1 else f"{carried} blobs were" if carried else "nothing had to be"
    return Outcome(
        State.ADMITTING,
        f"{files} carried; {promotion.target} has every blob, and is asked to admit",
        learned=Learned(transferred_bytes=tally.total_bytes, total_bytes=tally.total_bytes),
    )


def _size(blobs: list[blobs_pb2.BlobRef]) -> int:
    return sum(each.size_bytes for each in blobs)


def _blobs_of(promotion: Promotion) -> list[blobs_pb2.BlobRef]:
    """The blobs that the bundle's files have, each once."""
    sizes = {file.digest: file.size_bytes for file in parse_manifest(promotion.manifest).files}
    return [blobs_pb2.BlobRef(digest=digest, size_bytes=size) for digest, size in sizes.items()]


async def _carry(promotion: Promotion, work: Work, blobs: list[blobs_pb2.BlobRef], tally: Tally) -> bool:
    """Carry blobs by the route's way; False where the right to read them ran out under way."""
    source, target = work.source(promotion), work.target(promotion)
    if promotion.transfer == "relay":
        await tally.follow(relay(source, target, promotion.namespace, blobs, tally))
        return True
    digests = [each.digest for each in blobs]
    granted = await source.read_capability(promotion.version_name, promotion.id, promotion.target, digests)
    try:
        await tally.follow(pull(promotion, target, blobs, granted.capability, tally))
    except PermissionDeniedError:
        # What arrived before a right ran out is kept, and the rest gets a new one.
        if datetime.now(UTC) < granted.expire_time.ToDatetime(UTC) - timedelta(seconds=5):
            raise
        return False
    return True

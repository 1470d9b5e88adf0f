"""PENDING: fetch the manifest and signature from the source, and see that it is the bundle asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.bundle.manifest import parse_manifest
from carnet.canonical import sha256_hex
from carnet.errors import DigestMismatchError
from carnet_sync.promotions.domain import State
from carnet_sync.promotions.outcome import Learned, Outcome

if TYPE_CHECKING:
    from carnet_sync.promotions.domain import Promotion
    from carnet_sync.promotions.steps.step import Work


async def run(promotion: Promotion, work: Work) -> Outcome:
    """Fetch the version.

    Args:
        promotion: The promotion.
        work: The registries.

    Raises:
        NotFoundError: The source has no such version.
        DigestMismatchError: The version there is another bundle than the request names.
        DocumentInvalidError: The source's manifest is malformed.
    """
    version = await work.source(promotion).version(promotion.version_name)
    digest = sha256_hex(version.canonical_manifest)
    if digest != promotion.bundle_digest:
        raise DigestMismatchError(
            f"{promotion.title} in {promotion.source} is the bundle {digest}, and the request is for "
            f"{promotion.bundle_digest}: sign a new request for what is there",
            metadata={"expected": promotion.bundle_digest, "found": digest},
        )
    parse_manifest(version.canonical_manifest)
    return Outcome(
        State.CHECKING,
        f"{promotion.source} has the bundle; asking {promotion.target}",
        learned=Learned(manifest=version.canonical_manifest, signature=version.signature),
    )

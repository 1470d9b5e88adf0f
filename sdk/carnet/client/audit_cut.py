"""Up to where each log is copied, so that the copies fit together.

Responsible for a checkpoint of each log, all of about one moment, such that no anchor in one of them is of a
later size of another than is copied: else an audit of a federation at work would find copies incomplete that
were merely made one after the other. A log whose pinned policy demands witnesses, and that has just begun, is
given a moment to have its first checkpoint witnessed; nothing else waits for a witness. Verifies nothing.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from carnet.errors import CarnetError
from carnet.registry.v1 import log_pb2
from carnet.translog.checkpoint import unverified_checkpoint
from carnet.translog.entry import EntryType, parse_entry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from carnet.client.connection import RegistryConnection

FIRST_WITNESSED_SECONDS: Final = 15.0
_ATTEMPTS: Final = 20
_PAUSE_SECONDS: Final = 0.25
_LAST_ENTRIES: Final = 50


@dataclass(frozen=True, slots=True)
class Cut:
    """Where the copy of a log ends.

    Attributes:
        checkpoint: The signed checkpoint, with the cosignatures that it has.
        witnessed: The newest checkpoint that a quorum cosigned; empty for none.
        size: The checkpoint's size.
        origin: The log's origin.
    """

    checkpoint: str
    witnessed: str
    size: int
    origin: str


async def cut_of(
    registries: Mapping[str, RegistryConnection], *, witnessed: frozenset[str]
) -> dict[str, Cut]:
    """Choose up to where each log is copied.

    Args:
        registries: The registries, by environment.
        witnessed: The environments whose logs a quorum must witness.

    Returns:
        What was chosen, by environment; what there is, where no choice fits together in time.

    Raises:
        ProofInvalidError: A registry answered with no checkpoint.
        CarnetError: The call failed; the class says how.
    """
    loop = asyncio.get_running_loop()
    patience_ends = loop.time() + FIRST_WITNESSED_SECONDS
    attempts = 0
    while True:
        found = await asyncio.gather(*(newest(registry) for registry in registries.values()))
        cuts = dict(zip(registries, found, strict=True))
        if any(not cuts[name].witnessed for name in witnessed) and loop.time() < patience_ends:
            await asyncio.sleep(_PAUSE_SECONDS)
            continue
        attempts += 1
        if attempts >= _ATTEMPTS or len(cuts) == 1:
            return cuts
        sizes = {cut.origin: cut.size for cut in cuts.values()}
        anchored = await asyncio.gather(
            *(_anchored(registry, cuts[name]) for name, registry in registries.items())
        )
        if all(size <= sizes.get(origin, size) for each in anchored for origin, size in each):
            return cuts
        await asyncio.sleep(_PAUSE_SECONDS)


async def newest(registry: RegistryConnection) -> Cut:
    """Return the end of a log as it is now.

    Args:
        registry: Whose log it is.

    Raises:
        ProofInvalidError: The registry answered with no checkpoint.
        CarnetError: The call failed; the class says how.
    """
    answer = await registry.call(registry.log.GetCheckpoint, log_pb2.GetCheckpointRequest())
    head = unverified_checkpoint(answer.checkpoint)
    return Cut(answer.checkpoint, answer.witnessed_checkpoint, head.size, head.origin)


async def _anchored(registry: RegistryConnection, cut: Cut) -> list[tuple[str, int]]:
    """Return what the last entries of a log anchor: those before were recorded before any of the cuts."""
    first = max(cut.size - _LAST_ENTRIES, 0)
    request = log_pb2.ListEntriesRequest(start_index=first, page_size=_LAST_ENTRIES)
    answer = await registry.call(registry.log.ListEntries, request)
    found = []
    for each in answer.entries:
        try:
            entry = parse_entry(each.entry)
        except CarnetError:
            continue  # The verifier names it.
        origin, _, size = (entry.new or "").rpartition(" ")
        is_anchor = entry.type is EntryType.ANCHOR_RECORDED and each.index < cut.size
        if is_anchor and size.isdecimal() and len(size) < 20:
            found.append((origin, int(size)))
    return found

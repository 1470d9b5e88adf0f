"""The attempts at a large blob that are in a bucket, and where one of them is gone on with.

Responsible for reading them off the listing: nothing else says where an upload stands, so any process finds
out. Between processes two writers of one attempt are harmless, since the name of a part says what its bytes
are; so nothing that another could rely on is deleted here, but an attempt that came out wrong is marked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from carnet_server.blobs.objects.names import (
    PARTS,
    Attempt,
    PartName,
    count_parts,
    parse_attempt,
    part_size,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from carnet_server.blobs.domain import Blob
    from carnet_server.blobs.objects.bucket import Bucket, StoredObject

# What is older may be cleared away before it is finished: `collector.ABANDONED_AFTER` is longer by far.
RESUMED_WITHIN = timedelta(hours=12)
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True)
class AttemptState:
    """What is there of an attempt.

    Attributes:
        attempt: Which.
        sizes: The size of every part, by its name.
        newest: When the last of its objects was written.
        spoiled: Whether it came out wrong.
    """

    attempt: Attempt
    sizes: dict[PartName, int] = field(default_factory=dict)
    newest: datetime = _LONG_AGO
    spoiled: bool = False

    def run(self, blob: Blob) -> list[str]:
        """Return the digests of the parts that are there without a gap from the first on.

        Args:
            blob: What is uploaded.
        """
        whole = {
            name.number: name.digest
            for name, size in self.sizes.items()
            if size == part_size(name.number, blob.size_bytes)
        }
        run: list[str] = []
        for number in range(count_parts(blob.size_bytes)):
            if number not in whole:
                break
            run.append(whole[number])
        return run


def group_attempts(objects: Iterable[StoredObject]) -> dict[Attempt, AttemptState]:
    """Put a listing together by attempts; foreign objects are left out.

    Args:
        objects: Objects below ``parts``, in any order.
    """
    states: dict[Attempt, AttemptState] = {}
    for stored in objects:
        parsed = parse_attempt(stored.path)
        if parsed is None:
            continue
        attempt, part = parsed
        state = states.setdefault(attempt, AttemptState(attempt))
        state.newest = max(state.newest, stored.stored_at)
        if part is not None:
            state.sizes[part] = stored.size_bytes
        elif stored.path == attempt.spoiled_path:
            state.spoiled = True
    return states


def read_attempt(bucket: Bucket, attempt: Attempt) -> AttemptState:
    """Read what is there of one attempt.

    Raises:
        UnavailableError: The store failed.
    """
    return group_attempts(bucket.objects_below(attempt.prefix)).get(attempt, AttemptState(attempt))


def find_attempt(bucket: Bucket, namespace: str, blob: Blob) -> tuple[Attempt, list[str]]:
    """Find the attempt that is gone on with, or begin one.

    Args:
        bucket: Where.
        namespace: Whose upload it is.
        blob: What is uploaded.

    Returns:
        The attempt, and the digests of its parts from the first on.

    Raises:
        UnavailableError: The store failed.
    """
    states = group_attempts(bucket.objects_below(f"{PARTS}/{namespace}/{blob.digest}"))
    return choose_attempt(states.values(), namespace, blob, datetime.now(UTC))


def choose_attempt(
    states: Iterable[AttemptState], namespace: str, blob: Blob, now: datetime
) -> tuple[Attempt, list[str]]:
    """Choose the attempt that has come furthest, among those that are sound and young; else begin one.

    Args:
        states: The attempts of the namespace at the blob.
        namespace: Whose upload it is.
        blob: What is uploaded.
        now: The time.
    """
    runs = [
        (state.run(blob), state.attempt)
        for state in states
        if not state.spoiled and state.newest > now - RESUMED_WITHIN
    ]
    run, attempt = max(runs, key=lambda each: (len(each[0]), each[1]), default=([], None))
    if attempt is None or not run:
        return Attempt.new(namespace, blob.digest), []
    return attempt, run

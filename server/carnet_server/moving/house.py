"""Several moves as one: all of them are checked before the first byte is written.

Databases are held still from the beginning to the end, blobs are copied first, and databases become whole
last: a target on which a service can start has all its blobs.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from carnet.serving.moving.copying import MovedDatabase, move_database
from carnet.serving.moving.schemas import installed_schemas
from carnet.serving.moving.source import hold_source
from carnet.serving.moving.target import inspect_target
from carnet_server.moving.blobs import BlobsMove, MovedBlobs
from carnet_server.moving.pairs import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from carnet.serving.moving.schemas import MovableSchema
    from carnet.serving.moving.source import Source
    from carnet.serving.moving.target import Target
    from carnet_server.moving.pairs import Pair

    Progress = Callable[[str, int, int], None]
    Shown = Callable[[str], contextlib.AbstractContextManager[Progress]]


@dataclass(frozen=True)
class Moved:
    """One move that was made.

    Attributes:
        pair: From where to where.
        outcome: What was moved.
    """

    pair: Pair
    outcome: MovedDatabase | MovedBlobs


def move_house(pairs: Sequence[Pair], *, shown: Shown) -> list[Moved]:
    """Make several moves.

    Args:
        pairs: The moves.
        shown: Takes what is counted (``rows``, ``blobs``, ``bytes``) and shows progress within a block.

    Returns:
        What was moved, in the order of the pairs.

    Raises:
        InvalidInputError: One of them cannot be made; nothing was written.
        LogTamperedError: A database is not what its source is; it stays marked as unfinished.
        ConflictError: Another process moves the same blobs.
        PreconditionFailedError: Another process finished a move.
        StorageFullError: A target has no room.
        UnavailableError: A database or store failed; what was moved is gone on with by another run.
    """
    with contextlib.ExitStack() as held:
        databases = _check_databases(pairs, held)
        blobs = [
            (pair, held.enter_context(BlobsMove(pair))) for pair in pairs if pair.source.kind is Kind.BLOBS
        ]
        done: dict[Pair, MovedDatabase | MovedBlobs] = {}
        for pair, move in blobs:
            done[pair] = move.run(shown=shown)
        for pair, source, target in databases:
            with shown("rows") as progress:
                done[pair] = move_database(source, target, progress=progress)
    return [Moved(pair, done[pair]) for pair in pairs]


def _check_databases(pairs: Sequence[Pair], held: contextlib.ExitStack) -> list[tuple[Pair, Source, Target]]:
    schemas: list[MovableSchema] = []
    found = []
    for pair in pairs:
        if pair.source.kind is Kind.DATABASE:
            schemas = schemas or installed_schemas()
            source = held.enter_context(hold_source(pair.source.url, schemas, label=pair.source.label))
            target = inspect_target(source, pair.target.url, label=pair.target.label)
            found.append((pair, source, target))
    return found

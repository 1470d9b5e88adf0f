"""How a writer of a blob notices that the blob was taken away meanwhile.

A file cannot be looked at from inside a transaction: with an object store that is a network away from a lock.
So the database says of each digest how often a removal began (``generation``) and whether one is under way. A
writer reads that before it touches the store; the change that gives a namespace the blob compares. Between
the two readings either nothing was removed, and what the writer saw or wrote is there, or the change is
refused and the writer begins again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, insert, select, update
from sqlmodel import SQLModel

from carnet.errors import ConflictError
from carnet_server.blobs.tables import BlobRemovalRow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

REMOVALS = SQLModel.metadata.tables[str(BlobRemovalRow.__tablename__)]

_READ = select(REMOVALS.c.digest, REMOVALS.c.generation, REMOVALS.c.under_way).where(
    REMOVALS.c.digest.in_(bindparam("digests", expanding=True))
)
_READ_LEFT = (
    select(REMOVALS.c.digest)
    .where(REMOVALS.c.under_way.is_(True), REMOVALS.c.began_at < bindparam("before"))
    .order_by(REMOVALS.c.digest)
)
_READ_REMOVING = select(REMOVALS.c.digest).where(
    REMOVALS.c.digest.in_(bindparam("digests", expanding=True)),
    REMOVALS.c.under_way.is_(True),
    REMOVALS.c.began_at >= bindparam("since"),
)
_BEGIN = (
    update(REMOVALS)
    .where(REMOVALS.c.digest == bindparam("of_digest"))
    .values(generation=REMOVALS.c.generation + 1, under_way=True, began_at=bindparam("now"))
)
_INSERT = insert(REMOVALS)
_END = (
    update(REMOVALS)
    .where(REMOVALS.c.digest == bindparam("of_digest"), REMOVALS.c.generation == bindparam("of_generation"))
    .values(under_way=False)
)


def read_generations(connection: Connection, digests: Sequence[str]) -> dict[str, int]:
    """Read how often a removal of each blob began, before its bytes are looked at or written.

    Args:
        connection: Where to read.
        digests: The blobs.

    Returns:
        A number for each digest; 0 for one that was never removed.

    Raises:
        ConflictError: One is being removed now.
    """
    generations = dict.fromkeys(digests, 0)
    for digest, generation, under_way in connection.execute(_READ, {"digests": list(digests)}):
        if under_way:
            raise _removed(digest)
        generations[digest] = generation
    return generations


def require_unremoved(connection: Connection, generations: Mapping[str, int]) -> None:
    """Insist that nothing was removed since generations were read.

    Args:
        connection: The transaction's connection.
        generations: What `read_generations` returned.

    Raises:
        ConflictError: One was, or is being removed.
    """
    now = read_generations(connection, list(generations))
    for digest, generation in generations.items():
        if now[digest] != generation:
            raise _removed(digest)


def _removed(digest: str) -> ConflictError:
    return ConflictError(
        f"blob {digest} was collected while it was being written: write it again", metadata={"digest": digest}
    )


def begin_removal(connection: Connection, digest: str, now: datetime) -> int:
    """Note that a blob is about to be removed.

    Args:
        connection: The transaction's connection.
        digest: The blob.
        now: The time.

    Returns:
        The removal's generation, for `end_removal`.
    """
    if connection.execute(_BEGIN, {"of_digest": digest, "now": now}).rowcount == 0:
        connection.execute(_INSERT, {"digest": digest, "generation": 1, "under_way": True, "began_at": now})
    found = connection.execute(_READ, {"digests": [digest]}).one()
    return int(found.generation)


def end_removal(connection: Connection, digest: str, generation: int) -> None:
    """Note that a blob was removed, unless another has begun to remove it since."""
    connection.execute(_END, {"of_digest": digest, "of_generation": generation})


def read_removing(connection: Connection, digests: Sequence[str], *, since: datetime) -> set[str]:
    """Read which of some blobs are being removed, by removals that began at a time or later."""
    return set(connection.execute(_READ_REMOVING, {"digests": list(digests), "since": since}).scalars())


def read_left_removals(connection: Connection, before: datetime) -> list[str]:
    """Read which removals began before a time and never ended: whoever made them died."""
    return list(connection.execute(_READ_LEFT, {"before": before}).scalars())

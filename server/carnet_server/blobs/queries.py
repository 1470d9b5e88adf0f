"""Possession: its statements, built once, and the questions that other features ask about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, delete, func, insert, or_, select
from sqlmodel import SQLModel

from carnet.errors import BlobsMissingError
from carnet_server.blobs.tables import BlobPossessionRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from carnet_server.blobs.domain import Blob

POSSESSIONS = SQLModel.metadata.tables[str(BlobPossessionRow.__tablename__)]
NAMED_AT_MOST = 20

_READ_SIZES = select(POSSESSIONS.c.digest, POSSESSIONS.c.size_bytes).where(
    POSSESSIONS.c.namespace == bindparam("namespace"),
    POSSESSIONS.c.digest.in_(bindparam("digests", expanding=True)),
)
_READ_OWNED = (
    select(POSSESSIONS.c.digest)
    .where(POSSESSIONS.c.digest.in_(bindparam("digests", expanding=True)))
    .distinct()
)
_MOMENT = POSSESSIONS.c.created_at.type
BEYOND_GRACE = (
    POSSESSIONS.c.created_at < bindparam("before", type_=_MOMENT),
    or_(
        POSSESSIONS.c.keep_until.is_(None),
        POSSESSIONS.c.keep_until <= bindparam("now", type_=_MOMENT),
    ),
)
"""Since ``before`` it was possessed, and what a purge let go is not kept at ``now`` any more."""
_READ_OLDER = (
    select(POSSESSIONS.c.namespace, POSSESSIONS.c.digest)
    .where(*BEYOND_GRACE)
    .order_by(POSSESSIONS.c.namespace, POSSESSIONS.c.digest)
)
_INSERT = insert(POSSESSIONS)
_DELETE = delete(POSSESSIONS).where(
    POSSESSIONS.c.namespace == bindparam("of_namespace"),
    POSSESSIONS.c.digest == bindparam("of_digest"),
    *BEYOND_GRACE,
)
_SUM = select(func.coalesce(func.sum(POSSESSIONS.c.size_bytes), 0)).where(
    POSSESSIONS.c.namespace == bindparam("of_namespace")
)


def read_possessed(connection: Connection, namespace: str, digests: Iterable[str]) -> dict[str, int]:
    """Read which blobs a namespace has been given.

    Args:
        connection: Where to read.
        namespace: Whose.
        digests: The blobs in question.

    Returns:
        The size in bytes of each that it has, by digest.
    """
    asked = {"namespace": namespace, "digests": list(digests)}
    return {row.digest: row.size_bytes for row in connection.execute(_READ_SIZES, asked)}


def require_blobs(connection: Connection, namespace: str, blobs: Sequence[Blob]) -> None:
    """Insist that a namespace has been given blobs; for the transaction that lets a version name them.

    Args:
        connection: The transaction's connection.
        namespace: Whose.
        blobs: The blobs that it must have.

    Raises:
        BlobsMissingError: It has not been given some, or has them with another size.
    """
    possessed = read_possessed(connection, namespace, {blob.digest for blob in blobs})
    missing = [blob.digest for blob in blobs if possessed.get(blob.digest) != blob.size_bytes]
    if missing:
        named = ", ".join(missing[:NAMED_AT_MOST])
        raise BlobsMissingError(
            f"namespace {namespace!r} has not been given {len(missing)} of the version's blobs "
            f"({named}{', …' if len(missing) > NAMED_AT_MOST else ''}): upload them and try again",
            metadata={"digests": ",".join(missing[:NAMED_AT_MOST])},
        )


def read_owned(connection: Connection, digests: Sequence[str]) -> set[str]:
    """Read which blobs some namespace has been given.

    Args:
        connection: Where to read.
        digests: The blobs in question.
    """
    return {row.digest for row in connection.execute(_READ_OWNED, {"digests": list(digests)})}


def read_storage(connection: Connection, namespace: str) -> int:
    """Read the sum of the sizes of the blobs that a namespace has been given, in bytes."""
    return int(connection.execute(_SUM, {"of_namespace": namespace}).scalar_one())


def read_older(connection: Connection, before: datetime, now: datetime) -> list[tuple[str, str]]:
    """Read the namespace and digest of every possession whose grace is over.

    Args:
        connection: Where to read.
        before: Those that were given since then are in their grace.
        now: The time; those that a purge let go say themselves until when they are kept.
    """
    rows = connection.execute(_READ_OLDER, {"before": before, "now": now})
    return [(row.namespace, row.digest) for row in rows]


def add_possession(connection: Connection, namespace: str, blob: Blob, now: datetime) -> None:
    """Note that a namespace has been given a blob; it must not have been noted before."""
    row = {
        "namespace": namespace,
        "digest": blob.digest,
        "size_bytes": blob.size_bytes,
        "created_at": now,
        "keep_until": None,
    }
    connection.execute(_INSERT, row)


def remove_possession(
    connection: Connection, namespace: str, digest: str, *, before: datetime, now: datetime
) -> bool:
    """Forget that a namespace has been given a blob, if its grace is over.

    Args:
        connection: Where to write.
        namespace: Whose.
        digest: The blob.
        before: As ``read_older`` takes it.
        now: The time.

    Returns:
        Whether it was noted and is no more.
    """
    asked = {"of_namespace": namespace, "of_digest": digest, "before": before, "now": now}
    return connection.execute(_DELETE, asked).rowcount > 0

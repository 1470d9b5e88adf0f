"""What a registry says of its database, and what must be true of its log after a move."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from sqlmodel import SQLModel

import carnet_server.tables  # noqa: F401  registers every table
from carnet.errors import LogTamperedError
from carnet.serving.moving.schemas import MovableSchema
from carnet.translog.tree import Frontier, leaf_hash
from carnet_server.log import queries

if TYPE_CHECKING:
    from sqlalchemy import Connection

_ENTRIES_AT_ONCE = 1_000
_GROWING = frozenset(
    {
        "admission_cancellations",
        "alias_marks",
        "alias_moves",
        "documents",
        "evidence",
        "log_entries",
        "log_nodes",
        "models",
        "promotion_records",
    }
)


def verify_log(source: Connection, target: Connection) -> dict[str, str | int]:
    """Insist that the target's entries make the tree whose head the source has.

    Args:
        source: The database that was moved.
        target: The one that it was moved into.

    Returns:
        The log's origin, size and root (hex); nothing where no log was begun.

    Raises:
        LogTamperedError: They do not: the root that their bytes lead to is another, or the heads differ.
    """
    head = source.execute(queries.READ_HEAD).first()
    moved = target.execute(queries.READ_HEAD).first()
    frontier = Frontier()
    while rows := target.execute(
        queries.READ_ENTRIES, {"first": frontier.size, "end": frontier.size + _ENTRIES_AT_ONCE}
    ).all():
        for copied in rows:
            frontier.append(leaf_hash(copied.entry))
    found = (frontier.size, frontier.root())
    if head is None and moved is None and not frontier.size:
        return {}
    for name, row in (("source", head), ("target", moved)):
        if row is None or (row.size, row.root) != found:
            stated = "nothing" if row is None else f"size {row.size} and root {row.root.hex()}"
            raise LogTamperedError(
                f"the {found[0]} entries that were copied lead to the root {found[1].hex()}, and the head of "
                f"the {name}'s log says {stated}: audit the source, and restore it if need be"
            )
    origin = "" if head is None else str(head.origin)
    return {"origin": origin, "size": frontier.size, "root": frontier.root().hex()}


SCHEMA = MovableSchema(
    "registry",
    Path(str(resources.files("carnet_server"))) / "migrations",
    SQLModel.metadata,
    growing=_GROWING,
    verify=verify_log,
)
"""What `carnet migrate` knows of a registry's database."""

"""The versions that serving hosts keep on disk, so that a rollback downloads nothing.

The present version comes first, then those that rollbacks would lead to, the best first. The marked version
has the last place, where it has none before. What is revoked or purged is in no warm set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet_server.aliases import queries
from carnet_server.aliases.domain import rollback_candidates
from carnet_server.aliases.mark_queries import read_marked_version
from carnet_server.models.queries import read_listed_version

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from carnet.references import ResourceName
    from carnet_server.aliases.domain import Alias


def rollback_targets(connection: Connection, name: ResourceName) -> list[int]:
    """Read the versions that rollbacks of an alias would lead to, the best first."""
    moves = queries.read_moves(connection, name)
    return rollback_candidates(moves, moves[-1].new_version) if moves else []


def warm_set(
    connection: Connection, name: ResourceName, alias: Alias, count: int
) -> tuple[tuple[int, str], ...]:
    """Read the versions to keep on disk, each with its digest.

    Args:
        connection: Where to read.
        name: The alias.
        alias: Where it points.
        count: How many at most; with one there is room for the present version only.
    """
    marked = _sound(connection, name, read_marked_version(connection, name))
    warm: list[tuple[int, str]] = []
    for number in (alias.version, *rollback_targets(connection, name)):
        found = _sound(connection, name, number)
        warm += [found] if found else []
        if len(warm) == count:
            break
    if marked and marked not in warm:
        warm = [*warm[: max(count - 1, 1)], marked][:count]
    return tuple(warm)


def _sound(connection: Connection, name: ResourceName, number: int) -> tuple[int, str] | None:
    """Return a version with its digest; None where there is none, or it is revoked or purged."""
    version = read_listed_version(connection, name.namespace, name.model, number) if number else None
    if version is None or version.revoked or version.purged:
        return None
    return number, version.bundle_digest

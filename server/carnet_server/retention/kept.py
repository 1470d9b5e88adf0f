"""Why versions are needed, each with a reason for people: the one place where such sets are put together.

Whoever else needs a version's files adds a source here: a function that reads the versions of a model and the
reason of each. Everything is read in the transaction that purges once more, so that each source must be
written in a change of its own: of two changes, one sees the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from carnet.references import ResourceName
from carnet_server.admission.queries import read_running
from carnet_server.aliases.domain import rollback_candidates
from carnet_server.aliases.mark_queries import read_marked
from carnet_server.aliases.queries import read_aliases_of, read_moves
from carnet_server.aliases.running_queries import list_running
from carnet_server.models.queries import read_listed_version
from carnet_server.release.queries import read_released
from carnet_server.retention.hold_queries import read_in_force
from carnet_server.rollouts.queries import read_versions_in_rollouts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from sqlalchemy import Connection

    Reason = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Place:
    """Where reasons are read, and as of when.

    Attributes:
        connection: Where to read.
        namespace: The namespace.
        model: The model.
        now: The time.
        released_since: A promotion whose version was released before has ended by now.
    """

    connection: Connection
    namespace: str
    model: str
    now: datetime
    released_since: datetime


class Kept:
    """Why the versions of one model are needed.

    Args:
        place: The model.
    """

    def __init__(self, place: Place) -> None:
        self._reasons: dict[int, list[str]] = {}
        for source in SOURCES:
            for version, why in source(place):
                self._reasons.setdefault(version, []).append(why)

    def reasons(self, version: int) -> list[str]:
        """Return why a version is needed; nothing where it is not."""
        return [*self._reasons.get(0, ()), *self._reasons.get(version, ())]


def _pointed_at(place: Place) -> Iterator[Reason]:
    for alias in read_aliases_of(place.connection, [(place.namespace, place.model)]):
        yield alias.version, f"the alias {alias.alias} points at it"


def _rolled_back_to(place: Place) -> Iterator[Reason]:
    """Yield what a rollback of each alias leads to: down to the first that is neither revoked nor purged."""
    for alias in read_aliases_of(place.connection, [(place.namespace, place.model)]):
        name = ResourceName(place.namespace, place.model, alias=alias.alias)
        for number in rollback_candidates(read_moves(place.connection, name), alias.version):
            yield number, f"a rollback of the alias {alias.alias} leads to it"
            version = read_listed_version(place.connection, place.namespace, place.model, number)
            if version is not None and not (version.revoked or version.purged):
                break


def _run_by_hosts(place: Place) -> Iterator[Reason]:
    for running in list_running(place.connection, place.namespace, place.model):
        yield running.version, f"serving hosts of the alias {running.alias} say that they run it"


def _in_rollouts(place: Place) -> Iterator[Reason]:
    for number in sorted(read_versions_in_rollouts(place.connection, place.namespace, place.model)):
        yield number, "a rollout that has not ended is about it"


def _marked(place: Place) -> Iterator[Reason]:
    for number in sorted(read_marked(place.connection, place.namespace, place.model)):
        yield number, "it is marked as known-good for an alias"


def _held(place: Place) -> Iterator[Reason]:
    for number, hold in read_in_force(place.connection, place.namespace, place.model, now=place.now):
        yield number, f"hold {hold} is on it" if number else f"hold {hold} is on its model"


def _coming_in(place: Place) -> Iterator[Reason]:
    for number, promotion in read_running(place.connection, place.namespace, place.model):
        yield number, f"promotion {promotion} of it into this environment has not ended"


def _on_its_way(place: Place) -> Iterator[Reason]:
    released = read_released(place.connection, place.namespace, place.model, since=place.released_since)
    for number, promotion, target in released:
        yield number, f"promotion {promotion} of it to {target} is not known to have ended"


SOURCES: tuple[Callable[[Place], Iterator[Reason]], ...] = (
    _pointed_at,
    _rolled_back_to,
    _run_by_hosts,
    _in_rollouts,
    _marked,
    _held,
    _coming_in,
    _on_its_way,
)
"""Each yields the number of a version, 0 for all of the model's, and why it is needed."""

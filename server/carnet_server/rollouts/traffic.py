"""Who gets which traffic of an alias: a pure function of the alias and its newest rollout.

Invariants: the shares of those who answer add up to 1 exactly, or there are none; a rollout whose alias was
moved by something else splits nothing any more, also before that has ended it. The revision is that of the
log: it grows with every entry that changes one of the two, so that it never goes back and is the same in
every process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from carnet.rollouts import RolloutKind, RolloutState
from carnet_server.aliases.queries import read_last_move
from carnet_server.rollouts.queries import read_newest_rollout

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from carnet.references import ResourceName
    from carnet_server.aliases.domain import Alias
    from carnet_server.rollouts.domain import Rollout


@dataclass(frozen=True, slots=True)
class Target:
    """A version, and its share of the traffic, above 0 and 1 at most."""

    version: int
    bundle_digest: str
    share: float


@dataclass(frozen=True, slots=True)
class Traffic:
    """Who gets which traffic of an alias.

    Attributes:
        name: The alias.
        revision: Grows with every change of it; 0 where there never was one.
        alias_revision: The alias's own revision.
        answering: Who answers; empty where the alias points nowhere.
        mirrored: To whom requests are mirrored, whose answers are thrown away.
        rollout: The rollout that says so; None where there is none.
    """

    name: ResourceName
    revision: int
    alias_revision: int = 0
    answering: tuple[Target, ...] = ()
    mirrored: tuple[Target, ...] = ()
    rollout: ResourceName | None = None


def read_traffic(connection: Connection, name: ResourceName) -> Traffic:
    """Read who gets which traffic of an alias, which need not exist yet."""
    last = read_last_move(connection, name)
    return traffic_of(name, last.after if last else None, read_newest_rollout(connection, name))


def traffic_of(name: ResourceName, alias: Alias | None, rollout: Rollout | None) -> Traffic:
    """Say who gets which traffic of an alias.

    Args:
        name: The alias.
        alias: Where it points since its last move; None where it never moved.
        rollout: Its newest rollout; None where it had none.
    """
    if alias is None:
        return Traffic(name, 0)
    revision = 1 + max(alias.log_index, rollout.log_index if rollout else 0)
    if not alias.version:
        return Traffic(name, revision, alias.revision)
    if rollout is None or rollout.state.ended or alias.version != _expected(rollout):
        return Traffic(name, revision, alias.revision, (_all(alias),))
    if rollout.state is RolloutState.BAKING:
        return Traffic(name, revision, alias.revision, (_all(alias),), rollout=rollout.name)
    challenger = Target(rollout.challenger_version, rollout.challenger_digest, rollout.share)
    if rollout.kind is RolloutKind.SHADOW:
        return Traffic(name, revision, alias.revision, (_all(alias),), (challenger,), rollout.name)
    champion = Target(alias.version, alias.bundle_digest, 1 - rollout.share)
    answering = tuple(each for each in (champion, challenger) if each.share)
    return Traffic(name, revision, alias.revision, answering, rollout=rollout.name)


def _expected(rollout: Rollout) -> int:
    """Return where the alias points while a rollout stands where it does."""
    baking = rollout.state is RolloutState.BAKING
    return rollout.challenger_version if baking else rollout.champion_version


def _all(alias: Alias) -> Target:
    return Target(alias.version, alias.bundle_digest, 1.0)

"""Which versions share an alias's traffic while a rollout lasts.

Responsible for the shares at one moment: of the version that the alias points at, and of the one that a
rollout tries. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from carnet.rollouts import RolloutKind, RolloutState

if TYPE_CHECKING:
    from carnet.audit.fold import AliasState, RolloutStanding

_SHARING = frozenset({RolloutState.RUNNING, RolloutState.AWAITING})


@dataclass(frozen=True, slots=True)
class Share:
    """A version's part in an alias's traffic.

    Attributes:
        version: The version.
        bundle_digest: Its digest.
        role: ``champion``, ``challenger``, or ``shadow`` for one whose answers are thrown away.
        share: Its share of the requests, from 0 to 1; of a shadow, of those that it is sent as well.
        rollout: The rollout that it has the share by; 0 for none.
    """

    version: int
    bundle_digest: str
    role: str
    share: float
    rollout: int


def shares_of(alias: AliasState, rollout: RolloutStanding | None, plan: dict[str, Any]) -> tuple[Share, ...]:
    """Return who has which share of an alias's traffic.

    Args:
        alias: Where the alias stands.
        rollout: Its newest rollout; None where there never was one.
        plan: The plan of that rollout; empty where it cannot be read, which is then taken for a split.
    """
    if not alias.version:
        return ()
    if rollout is None or rollout.state not in _SHARING:
        return (Share(alias.version, alias.bundle_digest, "champion", 1.0, 0),)
    shadow = plan.get("kind") == RolloutKind.SHADOW
    left = 1.0 if shadow else round(1.0 - rollout.share, 12)
    return (
        Share(alias.version, alias.bundle_digest, "champion", left, rollout.number),
        Share(
            rollout.version,
            rollout.bundle_digest,
            "shadow" if shadow else "challenger",
            rollout.share,
            rollout.number,
        ),
    )

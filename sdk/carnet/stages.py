"""Stages: where a version stands inside an environment, and the ways from one to another.

Responsible for the one table of legal moves, which registries obey and the offline verifier judges by. Pure
rules. ``deployed`` is never set by hand: a version has it while an alias points at it, and is archived when
the last alias leaves. ``revoked`` is for good.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from carnet.errors import IllegalTransitionError

if TYPE_CHECKING:
    from collections.abc import Mapping


class Stage(StrEnum):
    """Where a version stands inside an environment."""

    REGISTERED = "registered"
    CANDIDATE = "candidate"
    APPROVED = "approved"
    DEPLOYED = "deployed"
    ARCHIVED = "archived"
    REVOKED = "revoked"


BY_HAND: Final[Mapping[Stage, frozenset[Stage]]] = {
    Stage.REGISTERED: frozenset({Stage.CANDIDATE, Stage.APPROVED, Stage.ARCHIVED}),
    Stage.CANDIDATE: frozenset({Stage.REGISTERED, Stage.APPROVED, Stage.ARCHIVED}),
    Stage.APPROVED: frozenset({Stage.REGISTERED, Stage.CANDIDATE, Stage.ARCHIVED}),
    # What was archived begins again: an approval from before does not speak for today.
    Stage.ARCHIVED: frozenset({Stage.REGISTERED}),
    Stage.DEPLOYED: frozenset(),
    Stage.REVOKED: frozenset(),
}
"""Where an operator may move a version, by where it stands."""

_APPROVED_BY_ADMISSION: Final = frozenset({Stage.REGISTERED, Stage.CANDIDATE, Stage.ARCHIVED})
_WHY_NOT: Final[Mapping[Stage, str]] = {
    Stage.DEPLOYED: "an alias points at it, and once the last one is moved or removed, it is archived",
    Stage.REVOKED: "it was withdrawn for good",
}


def following(stage: Stage, *, live: bool) -> Stage:
    """Return the stage that a version has once aliases have moved.

    Args:
        stage: Where it stood.
        live: Whether an alias points at it now.
    """
    if stage is Stage.REVOKED:
        return stage
    if live:
        return Stage.DEPLOYED
    return Stage.ARCHIVED if stage is Stage.DEPLOYED else stage


def admitting(stage: Stage) -> Stage:
    """Return the stage that a version has once people approved its admission."""
    return Stage.APPROVED if stage in _APPROVED_BY_ADMISSION else stage


def check_by_hand(version: str, stage: Stage, wanted: Stage) -> None:
    """Insist that an operator may move a version from one stage to another.

    Args:
        version: The version, for the message.
        stage: Where it stands.
        wanted: Where it is to go.

    Raises:
        IllegalTransitionError: It may not; the message names where it may go.
    """
    legal = BY_HAND[stage]
    if wanted in legal:
        return
    names = ", ".join(each for each in Stage if each in legal)
    if not legal:
        rest = f"{stage} and cannot be made {wanted}: {_WHY_NOT[stage]}; no stage can be set by hand"
    elif wanted is Stage.DEPLOYED:
        rest = (
            f"{stage} and cannot be made deployed by hand: that follows the aliases, so point one at it; "
            f"by hand it can become {names}"
        )
    elif wanted is Stage.REVOKED:
        rest = f"{stage} and is revoked by a call of its own (carnet revoke); by hand it can become {names}"
    else:
        rest = f"{stage} and cannot be made {wanted}: it can become {names}"
    raise IllegalTransitionError(
        f"version {version} is {rest}",
        metadata={"stage": str(stage), "wanted": str(wanted), "legal": ",".join(sorted(legal))},
    )

"""Rollouts: where one can stand, and the ways from one state to another.

Responsible for the one table of legal changes, which registries obey and the offline verifier judges by, and
for how log entries say where a rollout stands. Pure rules. What makes a rollout change is decided by the
registry (``carnet_server.rollouts.transitions``).
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

PLAN_SCHEMA: Final = "carnet.rollout-plan/v1"
CHANGE_SCHEMA: Final = "carnet.rollout-change/v1"


class RolloutKind(StrEnum):
    """How a challenger is tried."""

    SHADOW = "shadow"
    SPLIT = "split"


class RolloutState(StrEnum):
    """Where a rollout stands."""

    RUNNING = "running"
    AWAITING = "awaiting"
    BAKING = "baking"
    SUCCEEDED = "succeeded"
    ROLLED_BACK = "rolled_back"
    STOPPED = "stopped"

    @property
    def ended(self) -> bool:
        """Whether it is over; then it never changes again."""
        return not LEGAL[self]


_ENDED = frozenset({RolloutState.SUCCEEDED, RolloutState.ROLLED_BACK, RolloutState.STOPPED})
LEGAL: Final[Mapping[RolloutState, frozenset[RolloutState]]] = {
    # From running to running goes the next step of the plan.
    RolloutState.RUNNING: _ENDED | {RolloutState.RUNNING, RolloutState.AWAITING, RolloutState.BAKING},
    RolloutState.AWAITING: _ENDED | {RolloutState.BAKING},
    RolloutState.BAKING: _ENDED,
    RolloutState.SUCCEEDED: frozenset(),
    RolloutState.ROLLED_BACK: frozenset(),
    RolloutState.STOPPED: frozenset(),
}
"""Where a rollout may go, by where it stands."""


def describe_standing(state: RolloutState, share: float) -> str:
    """Say where a rollout stands, as log entries do: ``running 0.05``.

    Args:
        state: The state.
        share: The challenger's share, from 0 to 1.
    """
    return f"{state} {share:.12g}"


def parse_standing(text: str | None) -> tuple[RolloutState, float] | None:
    """Read what ``describe_standing`` says; None for anything else."""
    word, _, number = (text or "").partition(" ")
    try:
        state, share = RolloutState(word), float(number)
    except ValueError:
        return None
    if not math.isfinite(share) or not 0 <= share <= 1 or describe_standing(state, share) != text:
        return None
    return state, share

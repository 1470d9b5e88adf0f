"""The states of a promotion at the target, and the ways between them.

Pure rules. A promotion that is refused, admitted or cancelled has ended for good: another attempt is another
promotion.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from carnet.errors import IllegalTransitionError
from carnet_policies.evaluation import RuleStatus

if TYPE_CHECKING:
    from collections.abc import Mapping


class AdmissionState(StrEnum):
    """Where a promotion stands at the target."""

    AWAITING = "AWAITING"
    READY = "READY"
    REFUSED = "REFUSED"
    ADMITTED = "ADMITTED"
    CANCELLED = "CANCELLED"

    @property
    def ended(self) -> bool:
        """Whether nothing can happen to the promotion any more."""
        return not TRANSITIONS[self]


_EVALUATED = frozenset({AdmissionState.AWAITING, AdmissionState.READY, AdmissionState.REFUSED})
_OPEN = _EVALUATED | {AdmissionState.ADMITTED, AdmissionState.CANCELLED}
TRANSITIONS: Mapping[AdmissionState, frozenset[AdmissionState]] = {
    # READY is what the last evaluation found; `Admit` evaluates once more, so it may come from either.
    AdmissionState.AWAITING: _OPEN,
    AdmissionState.READY: _OPEN,
    AdmissionState.REFUSED: frozenset(),
    AdmissionState.ADMITTED: frozenset(),
    AdmissionState.CANCELLED: frozenset(),
}
_OF_OUTCOME: Mapping[RuleStatus, AdmissionState] = {
    RuleStatus.PASSED: AdmissionState.READY,
    RuleStatus.AWAITING: AdmissionState.AWAITING,
    RuleStatus.FAILED: AdmissionState.REFUSED,
}


def state_of(outcome: RuleStatus) -> AdmissionState:
    """Return the state that an evaluation's outcome leads to, short of admission."""
    return _OF_OUTCOME[outcome]


def check_transition(promotion: str, state: AdmissionState, wanted: AdmissionState) -> None:
    """Insist that a promotion may go from one state to another.

    Args:
        promotion: The promotion's id, for the message.
        state: Where it stands.
        wanted: Where it is to go; staying where it is is no transition and is not asked for.

    Raises:
        IllegalTransitionError: It may not; the message names where it may go.
    """
    legal = TRANSITIONS[state]
    if wanted in legal:
        return
    ways = ", ".join(sorted(each.lower() for each in legal))
    rest = f"can only be {ways}" if legal else "stays so; ask for a new promotion"
    raise IllegalTransitionError(
        f"promotion {promotion} is {state.lower()} and {rest}",
        metadata={"promotion": promotion, "state": state},
    )


def check_open(promotion: str, state: AdmissionState) -> None:
    """Insist that a promotion has not ended.

    Raises:
        IllegalTransitionError: It has.
    """
    if state.ended:
        check_transition(promotion, state, AdmissionState.AWAITING)

"""What a promotion is, and which step may follow which.

Responsible for the states, the legal transitions and the pacing of retries, as pure rules. Invariants: a
promotion that succeeded, was rejected or was cancelled never moves again; one that failed moves only at a
person's word; ``sequence`` grows by one with every event. Does no I/O and knows no transport.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from carnet.errors import IllegalTransitionError
from carnet.references import ResourceName

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

FIRST_WAIT_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 10.0


class State(StrEnum):
    """Where a promotion stands."""

    PENDING = "PENDING"
    CHECKING = "CHECKING"
    AWAITING = "AWAITING"
    TRANSFERRING = "TRANSFERRING"
    ADMITTING = "ADMITTING"
    SUCCEEDED = "SUCCEEDED"
    REJECTED = "REJECTED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def active(self) -> bool:
        """Whether a worker has something to do here."""
        return self in ACTIVE_STATES


ACTIVE_STATES = frozenset(
    {State.PENDING, State.CHECKING, State.AWAITING, State.TRANSFERRING, State.ADMITTING}
)

# From ADMITTING back to CHECKING: the target's answer changed under way, or ran out.
# From CHECKING and AWAITING to ADMITTING: the target admitted it before, and the source may not know yet.
TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.PENDING: frozenset({State.CHECKING, State.FAILED, State.CANCELLED}),
    State.CHECKING: frozenset(
        {
            State.AWAITING,
            State.TRANSFERRING,
            State.ADMITTING,
            State.REJECTED,
            State.FAILED,
            State.CANCELLED,
        }
    ),
    State.AWAITING: frozenset(
        {State.TRANSFERRING, State.ADMITTING, State.REJECTED, State.FAILED, State.CANCELLED}
    ),
    State.TRANSFERRING: frozenset({State.ADMITTING, State.REJECTED, State.FAILED, State.CANCELLED}),
    State.ADMITTING: frozenset(
        {State.CHECKING, State.SUCCEEDED, State.REJECTED, State.FAILED, State.CANCELLED}
    ),
    State.FAILED: frozenset({State.PENDING, State.CHECKING, State.CANCELLED}),
    State.SUCCEEDED: frozenset(),
    State.REJECTED: frozenset(),
    State.CANCELLED: frozenset(),
}


@dataclass(frozen=True, slots=True)
class Promotion:
    """One attempt to bring a version from a source to a target environment.

    Attributes:
        id: The promotion's id, as its signed request has it.
        state: Where it stands.
        message: What it is doing or why it ended, for people.
        error_reason: The reason of the error that it failed with; empty otherwise.
        source: The source environment.
        target: The target environment.
        namespace: The namespace, the same on both sides.
        model: The model.
        version: The version's number.
        alias: The alias to move at the target; empty for none.
        bundle_digest: The bundle that the request names.
        requester: The requester's subject: the caller's, and the target's word once it has answered.
        request: The signed request's envelope.
        manifest: The canonical manifest, once it is fetched.
        signature: The model signature, once it is fetched.
        source_receipt: The source's receipt for the version (a serialised ``Receipt``), once it is fetched.
        admission: The target's newest answer (a serialised ``Admission``), once there is one.
        transferred_bytes: Bytes that the target has of those that it lacked.
        total_bytes: Bytes that the target lacked.
        transfer: ``pull`` or ``relay``.
        attempts: How often in a row the present state was tried without getting further.
        returns: How often it was sent back to be checked anew.
        retrying_since: Since when nothing but retries happen; None while all is well.
        wake_at: When a worker is to look at it next.
        lease_owner: The worker that holds it; empty for none.
        lease_expires_at: When any other worker may take it over.
        epoch: The fencing token: one more with every lease, and with whatever else ends one.
        created_at: When it was taken in.
        updated_at: When it last changed.
        sequence: The number of its newest event.
        by_rollout: Whether admission only permits the alias to move, which a rollout then does.
    """

    id: str
    state: State
    message: str
    error_reason: str
    source: str
    target: str
    namespace: str
    model: str
    version: int
    alias: str
    bundle_digest: str
    requester: str
    request: bytes
    manifest: bytes
    signature: bytes
    source_receipt: bytes
    admission: bytes
    transferred_bytes: int
    total_bytes: int
    transfer: str
    attempts: int
    returns: int
    retrying_since: datetime | None
    wake_at: datetime
    lease_owner: str
    lease_expires_at: datetime
    epoch: int
    created_at: datetime
    updated_at: datetime
    sequence: int
    by_rollout: bool = False

    @property
    def version_name(self) -> str:
        """The version's resource name, the same on both sides."""
        return str(ResourceName(self.namespace, self.model, self.version))

    @property
    def title(self) -> str:
        """The version as people write it, without an environment."""
        return f"{self.namespace}/{self.model}@{self.version}"


@dataclass(frozen=True, slots=True)
class Event:
    """One step of a promotion.

    Attributes:
        promotion: The promotion's id.
        sequence: Its number in the promotion: 1, 2, 3, …
        state: The state after it.
        message: What happened, for people.
        created_at: When it happened.
    """

    promotion: str
    sequence: int
    state: State
    message: str
    created_at: datetime


def check_transition(promotion: Promotion, state: State) -> None:
    """Refuse a step that the promotion's state does not allow; staying where it is is no step.

    Args:
        promotion: The promotion as it stands.
        state: Where it is to go.

    Raises:
        IllegalTransitionError: It may not; the message names the states that it may go to.
    """
    legal = TRANSITIONS[promotion.state]
    if state is promotion.state and state.active:
        return
    if state not in legal:
        allowed = ", ".join(sorted(legal)) or "no state: it has ended, and a new promotion is needed"
        raise IllegalTransitionError(
            f"promotion {promotion.id} is {promotion.state} and cannot become {state}; from here it can "
            f"become {allowed}",
            metadata={"subject": f"promotions/{promotion.id}", "state": str(promotion.state)},
        )


def state_to_retry(promotion: Promotion) -> State:
    """Return where a failed promotion starts again: it is checked anew, once its bundle was fetched."""
    return State.CHECKING if promotion.manifest else State.PENDING


def wait_seconds(attempts: int) -> float:
    """Return how long to wait before the next try: 1 s at first, then half as long again, 10 s at most.

    Args:
        attempts: How many tries there were before, 0 or more.
    """
    return float(min(FIRST_WAIT_SECONDS * 1.5 ** min(attempts, 16), LONGEST_WAIT_SECONDS))

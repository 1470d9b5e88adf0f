"""Answers about promotions, as the promotion service tells them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from carnet.client.results.receipts import VerifiedReceipt
    from carnet.references import Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleResult:
    """What became of one rule.

    Attributes:
        rule: The rule's id.
        status: PASSED, FAILED or AWAITING.
        message: What it found.
        remedy: What to do about it.
        values: The values that it saw, by name.
        awaits_people: Whether all that is awaited is people's statements.
        awaits_clock: Whether all that is awaited is the clock: a soak, a window, or the end of a freeze.
        opens_at: The earliest time at which it could pass; None where that is not known.
    """

    rule: str
    status: str
    message: str
    remedy: str
    values: Mapping[str, str]
    awaits_people: bool
    awaits_clock: bool = False
    opens_at: datetime | None = None


class PromotionState(StrEnum):
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
    def ended(self) -> bool:
        """Whether nothing more comes of its own accord."""
        return self in _ENDED


_ENDED = frozenset(
    {
        PromotionState.SUCCEEDED,
        PromotionState.REJECTED,
        PromotionState.FAILED,
        PromotionState.CANCELLED,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionEvent:
    """One step of a promotion, in words."""

    sequence: int
    state: PromotionState
    message: str
    happened_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """One attempt to bring a version from a source to a target, as the promotion service tells it.

    It is hearsay, except for ``receipt``: where a promotion is read by its id and has succeeded, the target's
    signed decision and the receipt of its log are verified against pinned keys, or the call fails.

    Attributes:
        id: Its id.
        state: Where it stands.
        message: What it is doing, or why it ended.
        reference: The version at the source.
        target: The environment that it is for.
        alias: The alias that is to be moved there; empty for none.
        by_rollout: Whether admission only permits that, and a rollout moves it.
        bundle_digest: The bundle.
        requester: Who asked for it.
        rules: What became of each rule of the target's policy.
        policy_digest: That policy; empty before the target answered.
        awaits_dossier: Whether the dossier for approvers is out and no decision is made yet.
        transferred_bytes: How many of the missing bytes the target has.
        total_bytes: How many it lacked.
        transfer: ``pull`` or ``relay``.
        error_reason: The reason of the error that it failed with; empty otherwise.
        sequence: The number of its newest event.
        created_at: When it was created.
        updated_at: When it last changed.
        receipt: The verified receipt of the target's log, once it is admitted.
        events: Its events, where they were asked for.
    """

    id: str
    state: PromotionState
    message: str
    reference: Reference
    target: str
    alias: str
    bundle_digest: str
    requester: str
    rules: tuple[RuleResult, ...]
    policy_digest: str
    awaits_dossier: bool
    transferred_bytes: int
    total_bytes: int
    transfer: str
    error_reason: str
    sequence: int
    created_at: datetime | None
    updated_at: datetime | None
    receipt: VerifiedReceipt | None
    events: tuple[PromotionEvent, ...] = ()
    by_rollout: bool = False

    @property
    def ended(self) -> bool:
        """Whether nothing more comes of its own accord."""
        return self.state.ended


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionUpdate:
    """A promotion as it stands, and the event that is news; None where only the progress changed."""

    promotion: Promotion
    event: PromotionEvent | None

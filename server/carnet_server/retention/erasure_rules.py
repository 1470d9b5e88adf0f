"""What may be erased of the log's documents: the rule, pure.

Responsible for the answer and its reason. Which kinds may go at all is the log's own rule
(``carnet.translog.erasure``), which every auditor judges by; the rest is the policy's and the day's: how old
it must be, and what must not need it any more.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from carnet.translog.erasure import ERASABLE, STATEMENTS
from carnet_policies.schema_fields import in_words

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from carnet.translog.entry import Entry
    from carnet_policies.schema_retention import ErasureTerms

WHO_MAY = "only notes and reasons, and people's signed words with their reasons, can be erased"


@dataclass(frozen=True, slots=True)
class Use:
    """An entry that a document belongs to.

    Attributes:
        log_index: The entry's index.
        entry: The entry.
        as_note: Whether it is the note that the entry's own document names, as of rollouts.
    """

    log_index: int
    entry: Entry
    as_note: bool = False

    @property
    def is_statement(self) -> bool:
        """Whether it is a person's signed word."""
        return not self.as_note and self.entry.type in STATEMENTS

    @property
    def where(self) -> str:
        """The entry in words."""
        return f"entry {self.log_index}, {self.entry.type}"


@dataclass(frozen=True, slots=True)
class Needs:
    """What needs a document now, each in words.

    Attributes:
        holds: Legal holds on what its entries are about.
        promotions: Promotions that have not ended.
        reviews: Admissions with the glass broken that nobody has reviewed.
        rollouts: Rollouts, and permits for one, that rest on the promotion that it belongs to.
    """

    holds: Sequence[str] = field(default=())
    promotions: Sequence[str] = field(default=())
    reviews: Sequence[str] = field(default=())
    rollouts: Sequence[str] = field(default=())


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a document must be kept: a code, and words."""

    because: str
    message: str


def refusal_of_kind(uses: Sequence[Use]) -> Refusal | None:
    """Say why nothing of this kind is ever erased; None where it may be.

    Args:
        uses: Every entry that the document belongs to.
    """
    if not uses:
        return Refusal("kind", f"no entry of this log rests on it as a note or a person's word: {WHO_MAY}")
    for use in uses:
        if not use.as_note and use.entry.type not in ERASABLE:
            return Refusal("kind", f"{use.where}, rests on it: {WHO_MAY}")
    return None


def refusal(uses: Sequence[Use], terms: ErasureTerms | None, needs: Needs, now: datetime) -> Refusal | None:
    """Say why a document must be kept; None where it may be erased.

    Args:
        uses: Every entry that the document belongs to.
        terms: What the policy in force says; None where it lets nothing be erased.
        needs: What needs it now.
        now: The time of the transaction.
    """
    kind = refusal_of_kind(uses)
    if kind is not None:
        return kind
    if terms is None:
        return Refusal("policy", "the policy in force lets no document be erased: retention.erase would")
    for because, found in (
        ("hold", needs.holds),
        ("promotion", needs.promotions),
        ("review", needs.reviews),
        ("rollout", needs.rollouts),
    ):
        if found:
            return Refusal(because, "; ".join(found))
    for use in uses:
        window = terms.statements_after if use.is_statement else terms.notes_after
        if use.entry.time + window > now:
            what = "people's signed words" if use.is_statement else "notes"
            until = f"{use.entry.time + window:%Y-%m-%d %H:%M:%S} UTC"
            return Refusal(
                "window",
                f"the policy in force keeps {what} for {in_words(window)}, this one of {use.where}, until "
                f"{until}",
            )
    return None

"""What a policy said about a bundle.

Responsible for the result of every rule and for the one outcome that follows from them. Invariant: an
outcome is ``PASSED`` only if there are results and each passed, or was skipped because the glass was broken.
Does not evaluate anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


class RuleStatus(StrEnum):
    """What became of a rule."""

    PASSED = "PASSED"
    FAILED = "FAILED"
    AWAITING = "AWAITING"


@dataclass(frozen=True, slots=True)
class RuleResult:
    """What became of one rule, with what it saw and what to do.

    Attributes:
        rule: The rule's id in the policy.
        status: What became of it: ``FAILED`` means that waiting will not help.
        message: What the rule found, for a person.
        remedy: What to do about it; empty when it passed.
        values: The values that it saw, by name.
        awaits_people: Whether all that is awaited is people's statements.
        awaits_clock: Whether all that is awaited is a time at which changes are let in; people can review
            meanwhile.
        opens_at: When a rule that awaits could pass at the earliest; None where that is not known.
        holds_until: When a rule that passed has to be looked at again, at the latest; None for never.
        held_open: Whether it failed and refuses nothing yet: people may skip it by breaking the glass.
        skipped: Whether it did not pass and is skipped because the glass was broken.
    """

    rule: str
    status: RuleStatus
    message: str
    remedy: str = ""
    values: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    awaits_people: bool = False
    awaits_clock: bool = False
    opens_at: datetime | None = None
    holds_until: datetime | None = None
    held_open: bool = False
    skipped: bool = False

    @property
    def awaits_a_time(self) -> bool:
        """Whether all that is awaited is the clock: a window, the end of a freeze, or of a soak."""
        return self.status is RuleStatus.AWAITING and self.opens_at is not None

    @property
    def counts_as(self) -> RuleStatus:
        """What the rule contributes to the outcome."""
        if self.skipped:
            return RuleStatus.PASSED
        return RuleStatus.AWAITING if self.held_open else self.status


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a policy said, rule by rule, in the policy's order."""

    policy_digest: str
    results: tuple[RuleResult, ...]

    @property
    def outcome(self) -> RuleStatus:
        """FAILED if any rule failed, else AWAITING if any awaits, else PASSED."""
        statuses = {result.counts_as for result in self.results}
        if RuleStatus.FAILED in statuses or not statuses:
            return RuleStatus.FAILED
        return RuleStatus.AWAITING if RuleStatus.AWAITING in statuses else RuleStatus.PASSED

    @property
    def skipped(self) -> tuple[str, ...]:
        """The rules that are skipped because the glass was broken."""
        return tuple(result.rule for result in self.results if result.skipped)

    def holds_at(self, moment: datetime) -> bool:
        """Whether the results still hold at a later moment as far as the clock goes, such as a commit's."""
        return all(result.holds_until is None or moment < result.holds_until for result in self.results)

    @property
    def awaits_only_people(self) -> bool:
        """Whether everything but people is there: the moment to issue the dossier.

        A window that is closed does not hold up people, who review so that it can be used when it opens.
        """
        awaiting = [result for result in self.results if result.counts_as is RuleStatus.AWAITING]
        return (
            self.outcome is RuleStatus.AWAITING
            and any(result.awaits_people for result in awaiting)
            and all(result.awaits_people or result.awaits_clock for result in awaiting)
        )

"""Aliases that promotions move: does each move rest on a decision for just that?

Responsible for ``alias.moved`` entries that name a promotion, and for what a decision says of its alias,
which must be what was asked for and what the approvers were shown. A decision moves its alias once: with its
admission, or, where it is by rollout, later, by a rollout of that alias that began, and before the permit
ends. Pure.

Moves that name no promotion are rolled back or set, and not judged here; neither is how a rollout went.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from carnet.audit.codes import Code
from carnet.audit.judging import Judge, JudgedLog, judge_records
from carnet.signing.decision import Decision
from carnet.signing.dossier import Dossier
from carnet.signing.promotion_request import PromotionRequest
from carnet.translog.entry import EntryType, format_time

if TYPE_CHECKING:
    from collections.abc import Iterable

    from carnet.audit.report import Finding
    from carnet.audit.statements import Record
    from carnet.translog.entry import Entry

_NAMED = ("namespace", "model", "version")
_Problem = tuple[Code, str]


def judge_moves(environment: str, records: Iterable[Record]) -> list[Finding]:
    """Judge the moves that promotions made in one environment's log.

    Args:
        environment: The environment.
        records: Every entry of its log, in order, with the statement that it rests on.

    Returns:
        What is wrong.
    """
    return judge_records(MoveJudge(JudgedLog(environment)), records)


@dataclass(slots=True)
class MoveState:
    """What a later move can rest on.

    Attributes:
        asked: The requests and dossiers of each promotion.
        passed: The decisions that said yes, by promotion and bundle.
        moved_by: The entry that used each decision.
        revoked: The entry that revoked each bundle.
        rollouts: The rollouts that began.
        running: The promotion of the last entry. The entries of one admission come right after each other:
        running_since: this is where the present ones began.
    """

    asked: dict[str, list[bytes]] = field(default_factory=dict)
    passed: dict[tuple[str, str], list[bytes]] = field(default_factory=dict)
    moved_by: dict[str | None, int] = field(default_factory=dict)
    revoked: dict[str, int] = field(default_factory=dict)
    rollouts: set[tuple[str, str, str, str]] = field(default_factory=set)
    running: str = ""
    running_since: int = 0


class MoveJudge(Judge):
    """One walk along a log, remembering what a later move can rest on."""

    NAME = "moves"
    STATE = MoveState
    state: MoveState

    def step(self, record: Record) -> None:
        """Judge the next record."""
        entry, promotion = record.entry, _text(record.entry, "promotion")
        if promotion != self.state.running:
            self.state.running, self.state.running_since = promotion, record.index
        match entry.type:
            case EntryType.PROMOTION_REQUESTED | EntryType.DOSSIER_ISSUED:
                self.state.asked.setdefault(promotion, []).append(self.log.remember(record))
            case EntryType.DECISION_MADE:
                self._decide(record, promotion)
            case EntryType.VERSION_REVOKED:
                self.state.revoked.setdefault(_text(entry, "bundle_digest"), record.index)
            case EntryType.ROLLOUT_STARTED:
                self.state.rollouts.add(_rollout(entry))
            case EntryType.ALIAS_MOVED if promotion:
                found = self._decision_of(record, promotion)
                problem = found if isinstance(found, tuple) else self._problem(record, found)
                if problem:
                    self.violated(record, *problem)
            case _:
                pass

    def _decide(self, record: Record, promotion: str) -> None:
        entry, decision = record.entry, record.predicate
        if entry.new == "PASSED":
            key = promotion, _text(entry, "bundle_digest")
            self.state.passed.setdefault(key, []).append(self.log.remember(record))
        if not isinstance(decision, Decision):
            return
        if decision.alias != _text(entry, "alias"):
            logged = _for(_text(entry, "alias"))
            message = f"it is for {logged}, the decision for {_for(decision.alias)}"
            self.violated(record, Code.DOCUMENT_MISQUOTED, message)
        for asked in map(self.log.recall, self.state.asked.get(promotion, ())):
            said = asked.predicate
            if not isinstance(said, PromotionRequest | Dossier):
                continue
            wanted = _for(said.alias, by_rollout=said.by_rollout)
            decided = _for(decision.alias, by_rollout=decision.by_rollout)
            if wanted != decided:
                message = f"it decides for {decided}, and entry {asked.index} is about {wanted}"
                self.violated(record, Code.DECISION_MISMATCH, message)

    def _decision_of(self, record: Record, promotion: str) -> Record | _Problem:
        """Return the decision that a move rests on, or why there is none."""
        key = promotion, _text(record.entry, "bundle_digest")
        passed = [self.log.recall(each) for each in self.state.passed.get(key, ())]
        if not passed:
            message = "no decision with the result PASSED for its promotion and bundle came before it"
            return Code.DECISION_MISSING, message
        named = [each for each in passed if each.entry.envelope_digest == record.entry.envelope_digest]
        if not named:
            message = "it rests on another document than the decision of its promotion"
            return Code.DECISION_MISMATCH, message
        return named[0]

    def _problem(self, record: Record, decision: Record) -> _Problem | None:
        """Say why a decision does not let this alias move so; None if it does."""
        entry, digest = record.entry, _text(record.entry, "bundle_digest")
        used_by = self.state.moved_by.setdefault(entry.envelope_digest, record.index)
        if used_by != record.index:
            return Code.DECISION_REUSED, f"its decision was used before, by entry {used_by}"
        if digest in self.state.revoked:
            message = f"its bundle was revoked before, by entry {self.state.revoked[digest]}"
            return Code.VERSION_REVOKED, message
        if any(entry.subject.get(key) != decision.entry.subject.get(key) for key in _NAMED):
            message = f"its decision, entry {decision.index}, is about another model or version"
            return Code.DECISION_MISMATCH, message
        said = decision.predicate
        if not isinstance(said, Decision):
            return None  # It did not verify, which is a finding of its own.
        if said.alias != _text(entry, "alias"):
            return Code.DECISION_MISMATCH, f"its decision is for {_for(said.alias)}"
        return self._too_late(record, decision, said)

    def _too_late(self, record: Record, decision: Record, said: Decision) -> _Problem | None:
        """Say why a decision does not move its alias now; None if it does."""
        if not said.by_rollout:
            message = "it did not move with its admission, and its decision is not by rollout"
            late = decision.index < self.state.running_since
            return (Code.DECISION_MISMATCH, message) if late else None
        if _rollout(record.entry) not in self.state.rollouts:
            message = "its decision is by rollout, and it names no rollout of the alias that began before it"
            return Code.ROLLOUT_NOT_FOLLOWED, message
        ends = said.permit_expires_at
        if ends is None:
            return Code.PERMIT_EXPIRED, "its decision permits no move"
        message = f"its decision permitted it until {format_time(ends)}"
        return (Code.PERMIT_EXPIRED, message) if ends <= record.entry.time else None


def _text(entry: Entry, key: str) -> str:
    return str(entry.subject.get(key, ""))


def _rollout(entry: Entry) -> tuple[str, str, str, str]:
    return _text(entry, "namespace"), _text(entry, "model"), _text(entry, "alias"), _text(entry, "rollout")


def _for(alias: str, *, by_rollout: bool = False) -> str:
    how = " by rollout" if by_rollout else ""
    return f"the alias {alias!r}{how}" if alias else "no alias"

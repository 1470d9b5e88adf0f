"""Aliases that promotions move: does each move rest on a decision for just that?

Responsible for ``alias.moved`` entries that name a promotion, and for what a decision says of its alias,
which must be what was asked for and what the approvers were shown. A decision moves its alias once: with its
admission, or, where it is by rollout, later, by a rollout of that alias that began, and before the permit
ends. Pure.

Moves that name no promotion are rolled back or set, and not judged here; neither is how a rollout went.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.audit.report import Finding, Verdict, describe_subject
from carnet.signing.decision import Decision
from carnet.signing.dossier import Dossier
from carnet.signing.promotion_request import PromotionRequest
from carnet.translog.entry import EntryType, format_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from carnet.audit.statements import Record
    from carnet.translog.entry import Entry

_NAMED = ("namespace", "model", "version")


def judge_moves(environment: str, records: Sequence[Record]) -> list[Finding]:
    """Judge the moves that promotions made in one environment's log.

    Args:
        environment: The environment.
        records: Every entry of its log, in order, with the statement that it rests on.

    Returns:
        What is wrong.
    """
    judge = _MoveJudge(environment)
    for record in records:
        judge.step(record)
    return judge.findings


class _MoveJudge:
    """One walk along a log, remembering what a later move can rest on."""

    def __init__(self, environment: str) -> None:
        self.findings: list[Finding] = []
        self._environment = environment
        self._asked: dict[str, list[Record]] = {}
        self._passed: dict[tuple[str, str], list[Record]] = {}
        self._moved_by: dict[str | None, int] = {}
        self._revoked: dict[str, int] = {}
        self._rollouts: set[tuple[str, ...]] = set()
        # The entries of one admission come right after each other: this is where the present ones began.
        self._running, self._running_since = "", 0

    def step(self, record: Record) -> None:
        entry, promotion = record.entry, _text(record.entry, "promotion")
        if promotion != self._running:
            self._running, self._running_since = promotion, record.index
        match entry.type:
            case EntryType.PROMOTION_REQUESTED | EntryType.DOSSIER_ISSUED:
                self._asked.setdefault(promotion, []).append(record)
            case EntryType.DECISION_MADE:
                self._decide(record, promotion)
            case EntryType.VERSION_REVOKED:
                self._revoked.setdefault(_text(entry, "bundle_digest"), record.index)
            case EntryType.ROLLOUT_STARTED:
                self._rollouts.add(_rollout(entry))
            case EntryType.ALIAS_MOVED if promotion:
                found = self._decision_of(record, promotion)
                problem = found if isinstance(found, str) else self._problem(record, found)
                if problem:
                    self._violated(record, problem)
            case _:
                pass

    def _decide(self, record: Record, promotion: str) -> None:
        entry, decision = record.entry, record.predicate
        if entry.new == "PASSED":
            self._passed.setdefault((promotion, _text(entry, "bundle_digest")), []).append(record)
        if not isinstance(decision, Decision):
            return
        if decision.alias != _text(entry, "alias"):
            logged = _for(_text(entry, "alias"))
            self._violated(record, f"it is for {logged}, the decision for {_for(decision.alias)}")
        for asked in self._asked.get(promotion, ()):
            said = asked.predicate
            if not isinstance(said, PromotionRequest | Dossier):
                continue
            wanted = _for(said.alias, by_rollout=said.by_rollout)
            decided = _for(decision.alias, by_rollout=decision.by_rollout)
            if wanted != decided:
                self._violated(record, f"it decides for {decided}, and entry {asked.index} is about {wanted}")

    def _decision_of(self, record: Record, promotion: str) -> Record | str:
        """Return the decision that a move rests on; in words, why there is none."""
        passed = self._passed.get((promotion, _text(record.entry, "bundle_digest")), [])
        if not passed:
            return "no decision with the result PASSED for its promotion and bundle came before it"
        named = [each for each in passed if each.entry.envelope_digest == record.entry.envelope_digest]
        return named[0] if named else "it rests on another document than the decision of its promotion"

    def _problem(self, record: Record, decision: Record) -> str:
        """Say why a decision does not let this alias move so; empty if it does."""
        entry, digest = record.entry, _text(record.entry, "bundle_digest")
        if self._moved_by.setdefault(entry.envelope_digest, record.index) != record.index:
            return f"its decision was used before, by entry {self._moved_by[entry.envelope_digest]}"
        if digest in self._revoked:
            return f"its bundle was revoked before, by entry {self._revoked[digest]}"
        if any(entry.subject.get(key) != decision.entry.subject.get(key) for key in _NAMED):
            return f"its decision, entry {decision.index}, is about another model or version"
        said = decision.predicate
        if not isinstance(said, Decision):
            return ""  # It did not verify, which is a finding of its own.
        if said.alias != _text(entry, "alias"):
            return f"its decision is for {_for(said.alias)}"
        return self._too_late(record, decision, said)

    def _too_late(self, record: Record, decision: Record, said: Decision) -> str:
        """Say why a decision does not move its alias now; empty if it does."""
        if not said.by_rollout:
            late = decision.index < self._running_since
            return "it did not move with its admission, and its decision is not by rollout" if late else ""
        if _rollout(record.entry) not in self._rollouts:
            return "its decision is by rollout, and it names no rollout of the alias that began before it"
        ends = said.permit_expires_at
        if ends is None:
            return "its decision permits no move"
        return f"its decision permitted it until {format_time(ends)}" if ends <= record.entry.time else ""

    def _violated(self, record: Record, message: str) -> None:
        text = f"{record.entry.type}: {message}"
        affects = describe_subject(record.entry)
        self.findings.append(Finding(Verdict.POLICY_VIOLATED, self._environment, record.index, text, affects))


def _text(entry: Entry, key: str) -> str:
    return str(entry.subject.get(key, ""))


def _rollout(entry: Entry) -> tuple[str, ...]:
    return tuple(_text(entry, key) for key in ("namespace", "model", "alias", "rollout"))


def _for(alias: str, *, by_rollout: bool = False) -> str:
    how = " by rollout" if by_rollout else ""
    return f"the alias {alias!r}{how}" if alias else "no alias"

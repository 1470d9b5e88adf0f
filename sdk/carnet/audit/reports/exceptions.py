"""What went another way than it should: denials, refused calls, broken glass, and untested rollbacks.

Responsible for the four lists, each with what followed. None of them is wrong by itself: an environment that
refuses is one that works.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.audit.fold import alias_of, version_of
from carnet.audit.glass_terms import read_terms
from carnet.audit.reports import columns
from carnet.audit.reports.derivation import Derivation, Derived
from carnet.audit.reports.model import Table
from carnet.audit.reports.promotions import PromotionBook
from carnet.audit.reports.wording import name_alias, name_version
from carnet.errors import CarnetError
from carnet.signing.break_glass import BreakGlass, BreakGlassReview
from carnet.signing.decision import Decision
from carnet.translog.entry import EntryType
from carnet.translog.refused_calls import parse_refused_calls

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from carnet.audit.reports.derivation import Sources
    from carnet.audit.reports.model import Cell, LogRange
    from carnet.audit.reports.promotions import PromotionRecords
    from carnet.audit.reports.query import ReportQuery
    from carnet.audit.statements import Record


class Exceptions(Derivation):
    """The exceptions of a period."""

    def __init__(self, sources: Sources, query: ReportQuery) -> None:
        super().__init__(sources, query)
        self._book = PromotionBook()
        self._denials: list[tuple[Cell, ...]] = []
        self._refused: list[tuple[Cell, ...]] = []
        self._untested: list[tuple[Cell, ...]] = []
        self._ends: dict[str, datetime] = {}

    def take(self, environment: str, record: Record) -> None:
        """Take the next record."""
        entry = record.entry
        self._ends[environment] = max(self._ends.get(environment, entry.time), entry.time)
        self._book.take(environment, record)
        if not self.query.covers(entry.time):
            return
        if entry.type is EntryType.DECISION_MADE and entry.new == "FAILED":
            self._denials.append(self._denial(environment, record))
        elif entry.type is EntryType.ACCESS_REFUSED:
            self._refused.append(self._refusal(environment, record))
        elif entry.type is EntryType.ALIAS_MOVED:
            note = self.sources.document_of(environment, entry)
            if note.get("accepted_untested") is True:
                self._untested.append(self._rollback(environment, record, note))

    def finish(self, logs: Sequence[LogRange]) -> Derived:
        """Return the tables."""
        broken = [
            row
            for promotion in self._book.targets()
            for decision in promotion.decisions
            if self.query.covers(decision.entry.time)
            for row in self._broken(promotion, decision)
        ]
        return Derived(
            "Denials, overrides and emergencies",
            (
                self._denials_table(),
                self._refused_table(),
                self._broken_table(broken),
                self._untested_table(),
            ),
            (
                (
                    f"Every refusing decision, every count of refused calls, every decision that skips rules "
                    f"and every rollback without a smoke test of the period was taken, from {len(logs)} "
                    "verified logs."
                ),
                (
                    "A review that came after the period is told all the same, up to the checkpoint; "
                    "'overdue' is judged at the time of the log's last entry."
                ),
                (
                    "Refused calls are counted by minute, and only of those whom the trust document knows. "
                    "Attempts of strangers, and what was refused before it reached a registry, are in no log."
                ),
            ),
        )

    def _denial(self, environment: str, record: Record) -> tuple[Cell, ...]:
        said = record.predicate
        rules = said.rules if isinstance(said, Decision) else ()
        return (
            environment,
            record.index,
            record.entry.time,
            name_version(version_of(record.entry)),
            str(record.entry.subject.get("promotion", "")) or None,
            str(record.entry.subject.get("alias", "")) or None,
            self.people.actor(record),
            tuple(each.rule for each in rules if each.status == "FAILED"),
            tuple(each.rule for each in rules if each.status == "AWAITING"),
            tuple(f"{each.rule}: {each.message}" for each in rules if each.status == "FAILED"),
            said.policy.digest.sha256 if isinstance(said, Decision) else None,
        )

    def _refusal(self, environment: str, record: Record) -> tuple[Cell, ...]:
        data = self.sources.read(environment, record.entry.envelope_digest or "0")
        try:
            said = parse_refused_calls(data) if data is not None else None
        except CarnetError:
            said = None
        head = (environment, record.index, record.entry.time, self.people.actor(record))
        if said is None:
            return (*head, record.entry.new, None, None, None, None, None)
        return (*head, said.method, said.reason, said.count, said.first_at, said.last_at, said.namespaces)

    def _rollback(self, environment: str, record: Record, note: dict[str, object]) -> tuple[Cell, ...]:
        entry = record.entry
        return (
            environment,
            record.index,
            entry.time,
            self.people.actor(record),
            name_alias(alias_of(entry)),
            entry.old,
            entry.new,
            str(note.get("reason_code", "")) or None,
            str(note.get("note", "")) or None,
        )

    def _broken(self, promotion: PromotionRecords, decision: Record) -> list[tuple[Cell, ...]]:
        said = decision.predicate
        if not isinstance(said, Decision) or not said.skipped:
            return []
        inputs = {each.digest.sha256 for each in said.input_attestations}
        signed = [each for each in promotion.breaking if each.entry.envelope_digest in inputs]
        spoken = [(self.people.signer(each), each.predicate) for each in signed]
        review = next((each for each in promotion.reviews if _is_about(each, decision)), None)
        policy = self.sources.read(promotion.environment, said.policy.digest.sha256)
        terms = read_terms(policy) if policy is not None else None
        due = decision.entry.time + terms.review_within if terms else None
        closed = review.entry.time if review else self._ends[promotion.environment]
        return [
            (
                promotion.environment,
                decision.index,
                decision.entry.time,
                name_version(version_of(decision.entry)),
                promotion.promotion,
                said.skipped,
                tuple(name for name, _ in spoken),
                tuple(each.ticket for _, each in spoken if isinstance(each, BreakGlass)),
                tuple(f"{name}: {each.reason}" for name, each in spoken if isinstance(each, BreakGlass)),
                due,
                str(review.entry.new) if review else None,
                self.people.signer(review) if review else None,
                review.entry.time if review else None,
                due is not None and closed > due,
            )
        ]

    def _denials_table(self) -> Table:
        return Table(
            "denials",
            "Denials",
            "Decisions with the result FAILED, and the rules that said no.",
            (
                *columns.ENTRY,
                columns.text("version"),
                columns.text("promotion"),
                columns.text("alias"),
                columns.text("brought_by"),
                columns.texts("failed_rules"),
                columns.texts("awaited_rules"),
                columns.texts("messages"),
                columns.digest("policy_digest"),
            ),
            tuple(self._denials),
        )

    def _refused_table(self) -> Table:
        return Table(
            "refused-calls",
            "Refused calls",
            "Calls that were refused, by caller, method, reason and minute.",
            (
                *columns.ENTRY,
                columns.text("caller"),
                columns.text("method"),
                columns.text("reason"),
                columns.number("count"),
                columns.moment("first_at"),
                columns.moment("last_at"),
                columns.texts("namespaces"),
            ),
            tuple(self._refused),
        )

    def _broken_table(self, rows: Sequence[tuple[Cell, ...]]) -> Table:
        return Table(
            "break-glass",
            "Broken glass",
            "Decisions that skip rules, who broke the glass and why, until when it was to be reviewed, and "
            "whether it was.",
            (
                *columns.ENTRY,
                columns.text("version"),
                columns.text("promotion"),
                columns.texts("skipped"),
                columns.texts("people"),
                columns.texts("tickets"),
                columns.texts("reasons"),
                columns.moment("due_at", "Review due at"),
                columns.text("review"),
                columns.text("reviewed_by"),
                columns.moment("reviewed_at"),
                columns.flag("overdue"),
            ),
            tuple(rows),
        )

    def _untested_table(self) -> Table:
        return Table(
            "untested-rollbacks",
            "Rollbacks without a smoke test",
            "Aliases that were moved back to a version without the smoke test that the policy requires.",
            (
                *columns.ENTRY,
                columns.text("by", "Who"),
                columns.text("alias"),
                columns.text("old"),
                columns.text("new"),
                columns.text("reason_code"),
                columns.text("note"),
            ),
            tuple(self._untested),
        )


def _is_about(review: Record, decision: Record) -> bool:
    """Whether a review is of a decision; one whose document is gone is of the decision before it."""
    said = review.predicate
    if isinstance(said, BreakGlassReview):
        return said.decision_digest == decision.entry.envelope_digest
    return review.index > decision.index

"""The change population: every entry of a period that changed anything, with what it rests on.

Responsible for one row for each such entry, for counts by type, and for the statement of why the rows are all
that there are. Auditors draw their samples from it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from carnet.audit.fold import LogState
from carnet.audit.reports import columns
from carnet.audit.reports.derivation import Derivation, Derived
from carnet.audit.reports.model import Table
from carnet.audit.reports.signatures import document_signers
from carnet.audit.reports.wording import subject_of
from carnet.translog.entry import EntryType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from carnet.audit.reports.derivation import Sources
    from carnet.audit.reports.model import Cell, LogRange
    from carnet.audit.reports.query import ReportQuery
    from carnet.audit.statements import Record

CHANGES_NOTHING: Final = frozenset(
    {
        EntryType.ACCESS_REFUSED,
        EntryType.ANCHOR_RECORDED,
        EntryType.ALARM_RAISED,
        EntryType.SERVING_DRIFTED,
        EntryType.SERVING_OBSERVED,
    }
)
"""Entries that tell of something and change nothing; every other type is a change."""
_STATEMENTS = frozenset(
    {
        EntryType.PROMOTION_REQUESTED,
        EntryType.APPROVAL_RECORDED,
        EntryType.BREAK_GLASS_RECORDED,
        EntryType.BREAK_GLASS_REVIEWED,
        EntryType.PROMOTION_CANCELLED,
        EntryType.EVIDENCE_ADDED,
    }
)
_BY_POLICY = frozenset({EntryType.DOSSIER_ISSUED, EntryType.DECISION_MADE, EntryType.BREAK_GLASS_USED})
_DOCUMENTS = frozenset({EntryType.POLICY_CHANGED, EntryType.TRUST_CHANGED})
_MOVES = frozenset({EntryType.ALIAS_MOVED, EntryType.ALIAS_REMOVED})

COLUMNS = (
    *columns.ENTRY,
    columns.text("type"),
    columns.text("by", "Who"),
    columns.text("method", "Authenticated by"),
    columns.text("subject", "What"),
    columns.digest("bundle_digest"),
    columns.text("old"),
    columns.text("new"),
    columns.text("authorisation", "Rests on"),
    columns.digest("document"),
)


@dataclass(slots=True)
class _Environment:
    """What one log has told so far, of what later entries rest on."""

    state: LogState = field(default_factory=LogState)
    decided: dict[tuple[object, object], int] = field(default_factory=dict)
    moved_at: int = -1
    rows: list[tuple[Cell, ...]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    others: Counter[str] = field(default_factory=Counter)
    taken: int = 0
    first: int | None = None
    last: int | None = None


class Changes(Derivation):
    """The change population of a period."""

    def __init__(self, sources: Sources, query: ReportQuery) -> None:
        super().__init__(sources, query)
        self._environments: dict[str, _Environment] = {}

    def take(self, environment: str, record: Record) -> None:
        """Take the next record."""
        told = self._told(environment)
        entry = record.entry
        told.taken += 1
        if self.query.covers(entry.time):
            told.first = record.index if told.first is None else told.first
            told.last = record.index
            if entry.type in CHANGES_NOTHING:
                told.others[str(entry.type)] += 1
            else:
                told.counts[str(entry.type)] += 1
                told.rows.append(self._row(environment, record, told))
        if entry.type is EntryType.DECISION_MADE and entry.new == "PASSED":
            told.decided[entry.subject.get("promotion"), entry.subject.get("bundle_digest")] = record.index
        if entry.type in _MOVES:
            told.moved_at = record.index
        told.state.step(record.index, entry)

    def finish(self, logs: Sequence[LogRange]) -> Derived:
        """Return the tables."""
        told = {each.environment: self._told(each.environment) for each in logs}
        changes = Table(
            "changes",
            "Changes",
            "Every entry of the period that changed anything, in the order of each log.",
            COLUMNS,
            tuple(row for each in told.values() for row in each.rows),
        )
        counts = Table(
            "counts",
            "Changes by type",
            "How many of them there are of each type; their sum is the number of rows above.",
            (columns.text("environment"), columns.text("type"), columns.number("count")),
            tuple(
                (name, kind, count)
                for name, each in told.items()
                for kind, count in sorted(each.counts.items())
            ),
        )
        return Derived("Change population", (changes, counts, self._coverage(logs)), self._completeness(logs))

    def _coverage(self, logs: Sequence[LogRange]) -> Table:
        rows = []
        for each in logs:
            told = self._told(each.environment)
            changed, others = sum(told.counts.values()), sum(told.others.values())
            kinds = tuple(f"{kind} x{count}" for kind, count in sorted(told.others.items()))
            rows.append(
                (
                    each.environment,
                    each.count,
                    told.first,
                    told.last,
                    changed + others,
                    changed,
                    others,
                    kinds,
                )
            )
        return Table(
            "coverage",
            "What was read",
            "For each log: the entries of the verified tree, those of the period, and how they divide into "
            "changes and entries that change nothing.",
            (
                columns.text("environment"),
                columns.number("entries", "Entries of the tree"),
                columns.number("first_entry", "First of the period"),
                columns.number("last_entry", "Last of the period"),
                columns.number("in_period", "Entries of the period"),
                columns.number("changes"),
                columns.number("others", "Change nothing"),
                columns.texts("other_types", "Of these types"),
            ),
            tuple(rows),
        )

    def _completeness(self, logs: Sequence[LogRange]) -> tuple[str, ...]:
        sentences = []
        for each in logs:
            told = self._told(each.environment)
            changed, others = sum(told.counts.values()), sum(told.others.values())
            read = f"entries 0 to {told.taken - 1}" if told.taken else "no entry"
            sentences.append(
                f"{each.environment}: {read} were read, which are all {each.count} of the tree that the "
                f"checkpoint signs; their bytes were hashed to its root, so none is missing, added or "
                f"changed. Of the {changed + others} entries of the period {changed} are changes, each a "
                f"row, and {others} change nothing."
            )
        return (
            *sentences,
            (
                "A registry writes a change and its entry in one transaction: what is in no log was not made "
                "through a registry. Changes of configuration files, of the promotion service and of serving "
                "hosts are in no log. Entries after a checkpoint are not seen."
            ),
        )

    def _told(self, environment: str) -> _Environment:
        return self._environments.setdefault(environment, _Environment())

    def _row(self, environment: str, record: Record, told: _Environment) -> tuple[Cell, ...]:
        entry = record.entry
        return (
            environment,
            record.index,
            entry.time,
            str(entry.type),
            self.people.signer(record) if entry.type in _STATEMENTS else self.people.actor(record),
            entry.actor.method,
            subject_of(entry),
            str(entry.subject.get("bundle_digest", "")) or None,
            entry.old,
            entry.new,
            self._authorisation(environment, record, told),
            entry.envelope_digest,
        )

    def _authorisation(self, environment: str, record: Record, told: _Environment) -> str:
        """Say what a change rests on: a decision, a rollout, signatures, or the roles in force."""
        entry = record.entry
        if entry.type in _DOCUMENTS:
            names = document_signers(self.sources, environment, entry)
            return f"signed by {', '.join(names)}" if names else "unsigned; the environment's own files"
        if entry.type in _STATEMENTS:
            signed = record.signer or record.erased
            return f"signature of {self.people.signer(record)}" if signed else "an untrusted signature"
        if entry.type in _BY_POLICY:
            policy = told.state.policy
            return f"policy {policy.digest}, entry {policy.since.index}" if policy else "no policy"
        if entry.type is EntryType.PROMOTION_RECORDED:
            return "decision of the target"
        if entry.type is EntryType.ENVIRONMENT_INITIALIZED:
            return "the environment's beginning"
        return _decided(record, told) or _by_rollout(record, told) or _by_roles(record, told)


def _decided(record: Record, told: _Environment) -> str:
    """Name the decision that a change rests on; empty for none."""
    subject = record.entry.subject
    index = told.decided.get((subject.get("promotion"), subject.get("bundle_digest")))
    if "promotion" not in subject or index is None:
        return ""
    return f"decision of promotion {subject['promotion']}, entry {index}"


def _by_rollout(record: Record, told: _Environment) -> str:
    """Name the rollout that made a change; empty for none, and for the one that begins with it."""
    subject = record.entry.subject
    if "rollout" not in subject or record.entry.type is EntryType.ROLLOUT_STARTED:
        return ""
    begun = next(
        (
            f", begun by entry {each.started.index}"
            for name, each in told.state.rollouts.items()
            if name[:2] == (subject.get("namespace"), subject.get("model"))
            and each.number == subject["rollout"]
        ),
        "",
    )
    return f"rollout {subject['rollout']}{begun}"


def _by_roles(record: Record, told: _Environment) -> str:
    """Name the entry that a stage's change follows, else the trust document whose roles allowed it."""
    # What the move of an alias changes follows it directly, and rests on no document of its own.
    follows = record.entry.type is EntryType.VERSION_STAGE_CHANGED and record.entry.envelope_digest is None
    if follows and told.moved_at >= 0 and record.index - told.moved_at <= 2:
        return f"follows entry {told.moved_at}"
    trust = told.state.trust
    return f"roles in trust {trust.digest}, entry {trust.since.index}" if trust else "no trust document"

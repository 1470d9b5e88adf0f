"""How the logs themselves are kept: sizes, checkpoints, anchors and witnesses, holds and purges.

Responsible for the last size and time at which others witnessed each log, for alarms, for what is held from
being purged, and for what was purged.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from carnet.audit.fold import LogState, version_of
from carnet.audit.reports import columns
from carnet.audit.reports.anchors import anchored
from carnet.audit.reports.derivation import Derivation, Derived
from carnet.audit.reports.model import Table
from carnet.audit.reports.wording import name_version, subject_of
from carnet.translog.checkpoint import unverified_checkpoint
from carnet.translog.entry import EntryType
from carnet.translog.erasure import erased_document
from carnet.translog.note import parse_note

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from carnet.audit.reports.derivation import Sources
    from carnet.audit.reports.model import Cell, LogRange
    from carnet.audit.reports.query import ReportQuery
    from carnet.audit.statements import Record


@dataclass(slots=True)
class _Environment:
    """What one log has told so far."""

    state: LogState = field(default_factory=LogState)
    first_time: datetime | None = None
    documents: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Anchor:
    """The newest anchor of one log in another's."""

    size: int
    time: datetime
    index: int
    witness: str


class Health(Derivation):
    """How the logs stand at their checkpoints."""

    def __init__(self, sources: Sources, query: ReportQuery) -> None:
        super().__init__(sources, query)
        self._environments: dict[str, _Environment] = {}
        self._anchors: dict[tuple[str, str], _Anchor] = {}
        self._alarms: list[tuple[Cell, ...]] = []
        self._purges: list[tuple[Cell, ...]] = []
        self._erasures: list[tuple[Cell, ...]] = []

    def take(self, environment: str, record: Record) -> None:
        """Take the next record."""
        entry = record.entry
        told = self._environments.setdefault(environment, _Environment())
        told.first_time = told.first_time or entry.time
        told.documents.update(entry.documents)
        told.state.step(record.index, entry)
        if entry.type is EntryType.ANCHOR_RECORDED:
            origin, size = anchored(entry.new)
            self._anchors[environment, origin] = _Anchor(size, entry.time, record.index, environment)
        elif entry.type is EntryType.ALARM_RAISED:
            self._alarms.append((environment, record.index, entry.time, entry.new, entry.envelope_digest))
        elif (erased := erased_document(entry)) is not None:
            told_by = self.people.actor(record)
            about = subject_of(entry)
            self._erasures.append((environment, record.index, entry.time, erased, about, told_by, entry.new))
        elif entry.type is EntryType.VERSION_PURGED:
            self._purges.append(self._purge(environment, record))

    def finish(self, logs: Sequence[LogRange]) -> Derived:
        """Return the tables."""
        return Derived(
            "Retention and witness health",
            (
                self._logs_table(logs),
                self._anchors_table(logs),
                Table(
                    "alarms",
                    "Alarms",
                    "What an environment found wrong with another's log; the document holds both "
                    "checkpoints.",
                    (*columns.ENTRY, columns.text("alarm"), columns.digest("document")),
                    tuple(self._alarms),
                ),
                self._holds_table(),
                self._purges_table(),
                self._erasures_table(),
            ),
            (
                (
                    f"Every anchor, alarm, hold, purge and erasure was taken, from {len(logs)} verified "
                    "logs; how things stand is told as of each log's last entry."
                ),
                (
                    "A log counts as witnessed up to the largest size that stands as an anchor in another "
                    "log of this report. Whoever else signed its checkpoint is named, and not verified here; "
                    "the promotion service witnesses too, and keeps no log."
                ),
                (
                    "Entries are never deleted: a log's size only grows. A purge takes files away, an "
                    "erasure a document, and neither an entry."
                ),
            ),
        )

    def _purge(self, environment: str, record: Record) -> tuple[Cell, ...]:
        entry = record.entry
        why = self.sources.document_of(environment, entry)
        freed = why.get("freed_bytes")
        return (
            environment,
            record.index,
            entry.time,
            name_version(version_of(entry)),
            entry.old,
            self.people.actor(record),
            str(why["note"]) if why.get("note") else None,
            str(why["why"]) if why.get("why") else None,
            freed if isinstance(freed, int) else None,
        )

    def _logs_table(self, logs: Sequence[LogRange]) -> Table:
        rows: list[tuple[Cell, ...]] = []
        for each in logs:
            told = self._environments.get(each.environment, _Environment())
            origin = unverified_checkpoint(each.checkpoint).origin
            others = [name.name for name in parse_note(each.checkpoint).signatures if name.name != origin]
            newest = max(
                (anchor for (_, of), anchor in self._anchors.items() if of == origin),
                key=lambda anchor: (anchor.size, anchor.witness),
                default=None,
            )
            size = newest.size if newest else 0
            rows.append(
                (
                    each.environment,
                    origin,
                    each.count,
                    len(told.documents),
                    told.first_time,
                    told.state.time,
                    tuple(sorted(set(others))),
                    size,
                    newest.time if newest else None,
                    newest.witness if newest else None,
                    max(0, each.count - size),
                )
            )
        return Table(
            "logs",
            "Logs and their witnesses",
            "How large each log is, and up to where another log anchors it.",
            (
                columns.text("environment"),
                columns.text("origin"),
                columns.number("entries"),
                columns.number("documents"),
                columns.moment("first_entry_at"),
                columns.moment("last_entry_at"),
                columns.texts("cosigned_by", "Checkpoint also signed by"),
                columns.number("witnessed_size"),
                columns.moment("witnessed_at"),
                columns.text("witnessed_by"),
                columns.number("not_witnessed", "Entries not witnessed"),
            ),
            tuple(rows),
        )

    def _anchors_table(self, logs: Sequence[LogRange]) -> Table:
        names = {unverified_checkpoint(each.checkpoint).origin: each.environment for each in logs}
        return Table(
            "anchors",
            "Newest anchors",
            "For each pair of logs the newest checkpoint of the one that stands in the other.",
            (
                columns.text("witness"),
                columns.text("log", "Anchored log"),
                columns.text("environment", "Of environment"),
                columns.number("size"),
                columns.moment("time"),
                columns.number("entry", "In entry"),
            ),
            tuple(
                (witness, origin, names.get(origin), anchor.size, anchor.time, anchor.index)
                for (witness, origin), anchor in sorted(self._anchors.items())
            ),
        )

    def _holds_table(self) -> Table:
        rows: list[tuple[Cell, ...]] = []
        for environment, told in self._environments.items():
            for number, hold in sorted(told.state.holds.items()):
                note = self.sources.object(environment, hold.document)
                end = told.state.time
                rows.append(
                    (
                        environment,
                        number,
                        name_version(hold.name),
                        hold.placed.time,
                        hold.placed.index,
                        self.people.of_subject(hold.placed.by),
                        str(note["note"]) if note.get("note") else None,
                        hold.until,
                        hold.released.time if hold.released else None,
                        self.people.of_subject(hold.released.by) if hold.released else None,
                        end is not None and hold.in_force(end),
                    )
                )
        return Table(
            "holds",
            "Holds",
            "What is, or was, kept from being purged.",
            (
                columns.text("environment"),
                columns.number("hold"),
                columns.text("held", "What is held"),
                columns.moment("placed_at"),
                columns.number("entry"),
                columns.text("placed_by"),
                columns.text("reason"),
                columns.moment("until"),
                columns.moment("released_at"),
                columns.text("released_by"),
                columns.flag("in_force"),
            ),
            tuple(rows),
        )

    def _purges_table(self) -> Table:
        return Table(
            "purges",
            "Purges",
            "Versions whose files were taken away, by which rule, and why.",
            (
                *columns.ENTRY,
                columns.text("version"),
                columns.text("stage"),
                columns.text("by", "Who"),
                columns.text("reason"),
                columns.text("rule"),
                columns.number("freed_bytes"),
            ),
            tuple(self._purges),
        )

    def _erasures_table(self) -> Table:
        return Table(
            "erasures",
            "Erasures",
            "Documents whose bytes were erased, by their digests; the entries that rest on them stand.",
            (
                *columns.ENTRY,
                columns.digest("document"),
                columns.text("subject", "What it was about"),
                columns.text("by", "Who"),
                columns.text("reason_code"),
            ),
            tuple(self._erasures),
        )

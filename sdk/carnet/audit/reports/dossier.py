"""The dossier of one promotion: what was asked, on which evidence, who said what, and what became of it.

Responsible for putting together all that the logs of source and target tell about one promotion, with the
index of every entry, so that each line can be proved by a receipt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from carnet.audit.fold import version_of
from carnet.audit.reports import columns
from carnet.audit.reports.derivation import Derivation, Derived
from carnet.audit.reports.dossier_tables import (
    glass_table,
    rules_table,
    seen_table,
    summary_table,
    words_table,
)
from carnet.audit.reports.evidence import EVIDENCE_COLUMNS, evidence_cells
from carnet.audit.reports.model import Table
from carnet.audit.reports.promotions import PromotionBook, PromotionRecords
from carnet.audit.reports.wording import subject_of
from carnet.errors import NotFoundError
from carnet.translog.entry import EntryType

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from carnet.audit.reports.derivation import Sources
    from carnet.audit.reports.model import Cell, LogRange
    from carnet.audit.reports.query import ReportQuery
    from carnet.audit.statements import Record

_AFTER: Final = frozenset(
    {
        EntryType.ALIAS_MOVED,
        EntryType.ALIAS_REMOVED,
        EntryType.ALIAS_MARKED,
        EntryType.ROLLOUT_STARTED,
        EntryType.ROLLOUT_CHANGED,
        EntryType.VERSION_ADMITTED,
        EntryType.VERSION_REVOKED,
        EntryType.VERSION_STAGE_CHANGED,
        EntryType.VERSION_PURGED,
        EntryType.PROMOTION_RECORDED,
        EntryType.DECISION_MADE,
    }
)
_EVENT_COLUMNS = (
    *columns.ENTRY,
    columns.text("type"),
    columns.text("by", "Who"),
    columns.text("subject", "What"),
    columns.text("old"),
    columns.text("new"),
    columns.digest("document"),
)


class PromotionDossier(Derivation):
    """The dossier of the promotion that is asked about."""

    def __init__(self, sources: Sources, query: ReportQuery) -> None:
        super().__init__(sources, query)
        self._book = PromotionBook(self._is_wanted)
        self._events: list[tuple[Cell, ...]] = []
        # Which bundle it is about may be told by a later log only: what could be about it is kept in short.
        self._evidence: dict[tuple[str, str], tuple[Cell, ...]] = {}
        self._later: list[tuple[str, tuple[str, str, str], datetime, tuple[Cell, ...]]] = []

    def take(self, environment: str, record: Record) -> None:
        """Take the next record."""
        entry = record.entry
        if self._is_wanted(record):
            self._events.append(self._event(environment, record))
            self._book.take(environment, record)
        elif entry.type in _AFTER:
            namespace, model, _ = version_of(entry)
            left = (namespace, model, entry.old or "")
            digest = str(entry.subject.get("bundle_digest", ""))
            self._later.append((digest, left, entry.time, self._event(environment, record)))
        if entry.type is EntryType.EVIDENCE_ADDED and entry.envelope_digest:
            cells = evidence_cells(environment, record, self.people)
            self._evidence.setdefault((environment, entry.envelope_digest), cells)

    def finish(self, logs: Sequence[LogRange]) -> Derived:
        """Return the tables.

        Raises:
            NotFoundError: No log has an entry of that promotion.
        """
        if not self._events:
            names = ", ".join(each.environment for each in logs)
            raise NotFoundError(
                f"no log of {names} has an entry of the promotion {self.query.promotion!r}: its id has 32 "
                "hexadecimal digits, and `carnet promotions ls` lists them",
                metadata={"field": "promotion"},
            )
        known = self._book.targets()
        told = known[0] if known else PromotionRecords("", self.query.promotion)
        return Derived(
            f"Promotion {self.query.promotion}",
            (
                summary_table(told, self.people),
                self._evidence_table(told),
                seen_table(told, self.people),
                words_table(told, self.people),
                glass_table(told, self.people),
                rules_table(told),
                Table(
                    "events",
                    "Entries",
                    "Every entry of the promotion in every log that was read, with the index that a receipt "
                    "proves.",
                    _EVENT_COLUMNS,
                    tuple(self._events),
                ),
                Table(
                    "afterwards",
                    "Where it went from there",
                    "What was told of the same bundle later: aliases that came and left, rollouts, stages, "
                    "other promotions, revocation.",
                    _EVENT_COLUMNS,
                    self._afterwards(told),
                ),
            ),
            (
                (
                    f"Every entry that names the promotion was taken, from {len(logs)} verified logs: "
                    f"{len(self._events)} entries."
                ),
                "The promotion's transfer, and what the promotion service noted of it, are in no log.",
            ),
        )

    def _is_wanted(self, record: Record) -> bool:
        return record.entry.subject.get("promotion") == self.query.promotion

    def _event(self, environment: str, record: Record) -> tuple[Cell, ...]:
        entry = record.entry
        return (
            environment,
            record.index,
            entry.time,
            str(entry.type),
            self.people.signer(record),
            subject_of(entry),
            entry.old,
            entry.new,
            entry.envelope_digest,
        )

    def _evidence_table(self, told: PromotionRecords) -> Table:
        frozen = told.dossier.evidence if told.dossier else ()
        counted = told.counted()
        rows = [
            (*cells, digest in frozen, digest in counted)
            for (environment, digest), cells in self._evidence.items()
            if environment == told.environment and (digest in frozen or digest in counted)
        ]
        return Table(
            "evidence",
            "Evidence",
            "What the dossier froze, and what the decision lists among its inputs, as the target's log has "
            "it.",
            (*EVIDENCE_COLUMNS, columns.flag("in_dossier"), columns.flag("counted")),
            tuple(rows),
        )

    def _afterwards(self, told: PromotionRecords) -> tuple[tuple[Cell, ...], ...]:
        first = told.first
        if first is None:
            return ()
        version = version_of(first.entry)
        left = (version.namespace, version.model, str(version.version))
        moves = {str(EntryType.ALIAS_MOVED), str(EntryType.ALIAS_REMOVED)}
        return tuple(
            event
            for digest, leaves, time, event in self._later
            if time >= first.entry.time
            and (digest == told.bundle_digest or (leaves == left and event[3] in moves))
        )

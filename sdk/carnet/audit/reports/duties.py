"""The matrix of separate duties: who had which part in each promotion.

Responsible for one row for each person and promotion, with the parts that the log shows and the conflicts
between them. A conflict is what Carnet's own rules forbid; whether it was counted stands beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.audit.fold import version_of
from carnet.audit.reports import columns
from carnet.audit.reports.derivation import Derivation, Derived
from carnet.audit.reports.model import Table
from carnet.audit.reports.promotions import PromotionBook
from carnet.audit.reports.wording import name_version
from carnet.signing.decision import Decision
from carnet.translog.entry import EntryType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from carnet.audit.reports.derivation import Sources
    from carnet.audit.reports.model import Cell, LogRange
    from carnet.audit.reports.promotions import PromotionRecords
    from carnet.audit.reports.query import ReportQuery
    from carnet.audit.statements import Record

_PARTS = ("published", "requested", "evaluated", "approved", "broke_glass", "reviewed")


class Duties(Derivation):
    """Who had which part in the promotions that began in a period."""

    def __init__(self, sources: Sources, query: ReportQuery) -> None:
        super().__init__(sources, query)
        self._book = PromotionBook()
        self._evaluators: dict[tuple[str, str], str] = {}
        self._publishers: dict[str, str] = {}

    def take(self, environment: str, record: Record) -> None:
        """Take the next record."""
        entry = record.entry
        self._book.take(environment, record)
        if entry.type is EntryType.EVIDENCE_ADDED and entry.envelope_digest and _evaluates(record):
            self._evaluators.setdefault((environment, entry.envelope_digest), self.people.signer(record))
        elif entry.type is EntryType.VERSION_PUBLISHED:
            digest = str(entry.subject.get("bundle_digest", ""))
            self._publishers.setdefault(digest, self.people.actor(record))

    def finish(self, logs: Sequence[LogRange]) -> Derived:
        """Return the tables."""
        promotions = [
            each
            for each in self._book.targets()
            if each.first is not None and self.query.covers(each.first.entry.time)
        ]
        matrix, conflicts = [], []
        for promotion in promotions:
            for row in self._rows(promotion):
                matrix.append(row)
                if row[-1]:
                    conflicts.append((*row[:4], row[-1], row[-2]))
        return Derived(
            "Separation of duties",
            (
                Table(
                    "duties",
                    "People and their parts",
                    "A row for each person and promotion that began in the period. 'Approved' is a person's "
                    "last word about it; 'counted' says that the decision rests on a word of theirs.",
                    (
                        columns.text("environment"),
                        columns.text("promotion"),
                        columns.text("version"),
                        columns.text("person"),
                        *(columns.flag(part) for part in _PARTS),
                        columns.flag("counted"),
                        columns.texts("conflicts"),
                    ),
                    tuple(matrix),
                ),
                Table(
                    "conflicts",
                    "Conflicts",
                    "The rows above in which one person had parts that must be different people's.",
                    (
                        columns.text("environment"),
                        columns.text("promotion"),
                        columns.text("version"),
                        columns.text("person"),
                        columns.texts("conflicts"),
                        columns.flag("counted"),
                    ),
                    tuple(conflicts),
                ),
            ),
            (
                (
                    f"{len(promotions)} promotions began in the period, in {len(logs)} verified logs; each "
                    "stands under the environment that it was to."
                ),
                (
                    "A conflict is: approving or breaking the glass for what one published oneself, "
                    "approving what one asked for, and reviewing a broken glass in which one had a part. "
                    "Whoever breaks the glass may have asked for it, where the policy wants several people."
                ),
                (
                    "People are those whom the auditor pinned. A subject that is nobody's stands for itself: "
                    "that it is not somebody else too, no log shows."
                ),
            ),
        )

    def _rows(self, promotion: PromotionRecords) -> list[tuple[Cell, ...]]:
        parts = self._parts(promotion)
        counted = promotion.counted()
        words = [*promotion.words, *promotion.breaking]
        counting = {self.people.signer(each) for each in words if each.entry.envelope_digest in counted}
        assert promotion.first is not None
        version = name_version(version_of(promotion.first.entry))
        return [
            (
                promotion.environment,
                promotion.promotion,
                version,
                person,
                *(person in parts[part] for part in _PARTS),
                person in counting,
                conflicts_of({part for part in _PARTS if person in parts[part]}),
            )
            for person in sorted(set().union(*parts.values()))
        ]

    def _parts(self, promotion: PromotionRecords) -> dict[str, set[str]]:
        dossier, people = promotion.dossier, self.people
        publisher = self._publishers.get(promotion.bundle_digest, "")
        if dossier is not None:
            publisher = people.of_subject(dossier.publisher)
        seen = {*(dossier.evidence if dossier else ()), *promotion.counted()}
        evaluators = {self._evaluators.get((promotion.environment, digest), "") for digest in seen}
        return {
            "published": {publisher} - {""},
            "requested": promotion.requesters(people),
            "evaluated": evaluators - {""},
            "approved": {
                name for name, word in promotion.last_words(people).items() if word.entry.new == "approved"
            },
            "broke_glass": {people.signer(each) for each in promotion.breaking},
            "reviewed": {people.signer(each) for each in promotion.reviews},
        }


def _evaluates(record: Record) -> bool:
    """Whether evidence is somebody's evaluation, and not the decision of another environment."""
    said = record.statement
    return said is not None and said.predicate_type != Decision.PREDICATE_TYPE


def conflicts_of(parts: set[str]) -> tuple[str, ...]:
    """Return which of one person's parts in one promotion must be different people's.

    Args:
        parts: Some of ``published``, ``requested``, ``evaluated``, ``approved``, ``broke_glass``,
        ``reviewed``.
    """
    pairs = [
        ("approved", "published"),
        ("approved", "requested"),
        ("broke_glass", "published"),
        ("reviewed", "published"),
        ("reviewed", "requested"),
        ("reviewed", "broke_glass"),
    ]
    return tuple(
        f"{first} and {second}".replace("_", " the ") for first, second in pairs if {first, second} <= parts
    )

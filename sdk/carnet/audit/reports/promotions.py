"""What logs tell about promotions, put together by promotion and target.

Responsible for sorting the entries of promotions, and for finding who had which part in one. Keeps only the
promotions that are wanted, and of evidence only who signed it. Judges nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from carnet.signing.decision import Decision
from carnet.signing.dossier import Dossier
from carnet.signing.promotion_request import PromotionRequest
from carnet.translog.entry import EntryType

if TYPE_CHECKING:
    from collections.abc import Callable

    from carnet.audit.reports.people import People
    from carnet.audit.statements import Record

_LISTS = {
    EntryType.PROMOTION_REQUESTED: "requests",
    EntryType.DOSSIER_ISSUED: "dossiers",
    EntryType.APPROVAL_RECORDED: "words",
    EntryType.BREAK_GLASS_RECORDED: "breaking",
    EntryType.BREAK_GLASS_REVIEWED: "reviews",
    EntryType.DECISION_MADE: "decisions",
    EntryType.VERSION_ADMITTED: "admissions",
    EntryType.PROMOTION_CANCELLED: "cancellations",
}


@dataclass(slots=True)
class PromotionRecords:
    """What the log of one environment tells about one promotion, each list in the order of the log."""

    environment: str
    promotion: str
    requests: list[Record] = field(default_factory=list)
    dossiers: list[Record] = field(default_factory=list)
    words: list[Record] = field(default_factory=list)
    breaking: list[Record] = field(default_factory=list)
    reviews: list[Record] = field(default_factory=list)
    decisions: list[Record] = field(default_factory=list)
    admissions: list[Record] = field(default_factory=list)
    cancellations: list[Record] = field(default_factory=list)

    @property
    def is_target(self) -> bool:
        """Whether it is this environment that the promotion is to."""
        if self.dossiers or self.decisions or self.admissions:
            return True
        asked = self.request
        return asked is not None and asked.target == self.environment

    @property
    def request(self) -> PromotionRequest | None:
        """What was asked for, as its requester signed it; None where that did not verify."""
        found = (each.predicate for each in self.requests)
        return next((each for each in found if isinstance(each, PromotionRequest)), None)

    @property
    def dossier(self) -> Dossier | None:
        """The last dossier; None where there is none, or it did not verify."""
        found = self.dossiers[-1].predicate if self.dossiers else None
        return found if isinstance(found, Dossier) else None

    @property
    def decision(self) -> Record | None:
        """The last decision that said yes, else the last; None where there is none."""
        passed = [each for each in self.decisions if each.entry.new == "PASSED"]
        found = passed or self.decisions
        return found[-1] if found else None

    @property
    def first(self) -> Record | None:
        """The first of all of its entries here."""
        lists = (self.requests, self.dossiers, self.decisions, self.admissions, self.cancellations)
        return min((each[0] for each in lists if each), key=lambda each: each.index, default=None)

    @property
    def bundle_digest(self) -> str:
        """The bundle that it is about; empty where the entries name none."""
        first = self.first
        return str(first.entry.subject.get("bundle_digest", "")) if first else ""

    @property
    def outcome(self) -> str:
        """How it ended here, in a word; ``open`` where it did not."""
        if self.admissions or any(each.entry.new == "PASSED" for each in self.decisions):
            return "passed"
        if self.cancellations:
            return "cancelled"
        return "refused" if self.decisions else "open"

    def counted(self) -> frozenset[str]:
        """The digests of the documents that its decision rests on."""
        decision = self.decision.predicate if self.decision else None
        if not isinstance(decision, Decision):
            return frozenset()
        return frozenset(each.digest.sha256 for each in decision.input_attestations)

    def requesters(self, people: People) -> set[str]:
        """The people who asked for it: the pinned signers, and whom the dossier names."""
        found = {people.of_key(each.signer) for each in self.requests} - {""}
        if self.dossier:
            found.add(people.of_subject(self.dossier.requester))
        return found or {people.signer(each) for each in self.requests}

    def last_words(self, people: People) -> dict[str, Record]:
        """The last word of each person about it, by name; its meaning is the entry's ``new``."""
        return {people.signer(each): each for each in self.words}


class PromotionBook:
    """The promotions of several logs.

    Args:
        wanted: Whether a record is of a promotion that is wanted; None for all.
    """

    def __init__(self, wanted: Callable[[Record], bool] | None = None) -> None:
        self._wanted = wanted
        self.promotions: dict[tuple[str, str], PromotionRecords] = {}

    def take(self, environment: str, record: Record) -> None:
        """Take a record; one that is of no promotion, or of none that is wanted, is passed over."""
        promotion = str(record.entry.subject.get("promotion", ""))
        place = _LISTS.get(record.entry.type)
        if not promotion or place is None or (self._wanted and not self._wanted(record)):
            return
        key = (environment, promotion)
        known = self.promotions.setdefault(key, PromotionRecords(environment, promotion))
        getattr(known, place).append(record)

    def targets(self) -> list[PromotionRecords]:
        """Return the promotions as their targets tell of them, in the order in which they began."""
        found = [each for each in self.promotions.values() if each.is_target and each.first is not None]
        return sorted(found, key=_order)


def _order(promotion: PromotionRecords) -> tuple[str, int]:
    assert promotion.first is not None
    return promotion.environment, promotion.first.index

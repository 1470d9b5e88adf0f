"""Documents that a log says were erased: may they have been, are they gone, and what can be judged no more?

Responsible for ``document.erased`` entries. A document that such an entry names is not missing: it is listed,
with what its absence leaves unjudged. Which documents may go at all is ``carnet.translog.erasure``'s rule, by
the entries that name them. Pure. Whether a policy's windows were kept is not asked; holds are, by
``carnet.audit.retention``.

An entry is judged by what a later one erased, so the log knows all erasures before its first entry is judged
(``JudgedLog.erased``). The state has those that were passed: an audit that goes on from an earlier one must
not find an erasure behind the point where that ended, of a document that was named before it. So
``carnet.audit.verify`` judges a log anew, from its beginning, when its new part erases anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from carnet.audit.codes import Code
from carnet.audit.judging import Judge, JudgedLog
from carnet.audit.report import Erasure, Finding, Verdict, describe_subject
from carnet.translog.entry import EntryType
from carnet.translog.erasure import ERASABLE, erased_document

if TYPE_CHECKING:
    from carnet.audit.statements import Record
    from carnet.translog.entry import Entry

_ABOUT = ("namespace", "model", "version", "promotion")
_BY_ENTRY = "the entry, which the environment wrote when it had verified the signature, says who and what"
_UNJUDGED = {
    EntryType.APPROVAL_RECORDED: "its signature, the dossier that it was for, and how long it counted",
    EntryType.BREAK_GLASS_RECORDED: "its signature, the dossier that it was for, and how long it counted",
    EntryType.BREAK_GLASS_REVIEWED: "its signature, and the decision that it was about",
    EntryType.PROMOTION_CANCELLED: "its signature",
    EntryType.VERSION_PURGED: "the rule that it was purged by, which stood beside the reason",
}


@dataclass(slots=True)
class _Uses:
    """The entries that rest on a document which a later one erases."""

    about: str
    entries: list[int] = field(default_factory=list)
    types: set[EntryType] = field(default_factory=set)
    kept: tuple[int, EntryType] | None = None


@dataclass(slots=True)
class ErasureState:
    """What was erased so far, by the document's digest."""

    erased: dict[str, Erasure] = field(default_factory=dict)


class ErasureJudge(Judge):
    """Judges what was erased by the entries that rest on it."""

    NAME = "erasures"
    STATE = ErasureState
    state: ErasureState

    def __init__(self, log: JudgedLog) -> None:
        super().__init__(log)
        self._uses: dict[str, _Uses] = {}
        self._present: set[str] = set()

    def step(self, record: Record) -> None:
        """Judge the next record."""
        erased = self.log.erased
        if not erased:
            return
        for digest in record.entry.documents:
            if digest in erased:
                self._use(digest, erased[digest], record)
        if record.entry.type is EntryType.DOCUMENT_ERASED:
            self._erase(record)

    def finish(self) -> None:
        """Tell of bytes that are there after all."""
        for digest, erased in self.state.erased.items():
            if self.log.document(digest) is not None:
                self._present.add(digest)
                message = (
                    f"{EntryType.DOCUMENT_ERASED}: it says that the document {digest} was erased, and its "
                    "bytes are in the export"
                )
                self.findings.append(
                    Finding(
                        Verdict.POLICY_VIOLATED,
                        Code.ERASED_DOCUMENT_PRESENT,
                        self.log.environment,
                        erased.index,
                        message,
                        erased.affects,
                    )
                )

    @property
    def erasures(self) -> list[Erasure]:
        """Every document that was erased and is gone, once the log was walked."""
        return [each for digest, each in self.state.erased.items() if digest not in self._present]

    def _use(self, digest: str, erased_by: int, record: Record) -> None:
        """Note an entry that rests on a document that was erased, before or after it."""
        index, entry = record.index, record.entry
        if index > erased_by:
            self._illegal(record, f"it rests on a document that entry {erased_by} had erased")
            return
        uses = self._uses.setdefault(digest, _Uses(_about(entry)))
        uses.entries.append(index)
        uses.types.add(entry.type)
        if uses.kept is None and entry.type not in ERASABLE:
            uses.kept = index, entry.type

    def _erase(self, record: Record) -> None:
        index, entry = record.index, record.entry
        digest = erased_document(entry)
        if digest is None:
            self._illegal(record, "it names no document")
            return
        if not entry.new:
            self._illegal(record, "it gives no reason code")
        first = self.log.erased.get(digest, index)
        if first != index:
            self._illegal(record, f"the document {digest} was erased before, by entry {first}")
            return
        uses = self._uses.pop(digest, None)
        if uses is not None:
            self._judge_uses(record, uses)
        self.state.erased[digest] = _listed(self.log.environment, record, digest, uses)

    def _judge_uses(self, record: Record, uses: _Uses) -> None:
        if uses.kept is not None:
            at, kind = uses.kept
            self._illegal(record, f"it erases what entry {at}, {kind}, rests on, which must be kept")
        if (said := _about(record.entry)) != uses.about:
            self._illegal(record, f"it is about {said}, and the document that it erases about {uses.about}")

    def _illegal(self, record: Record, message: str) -> None:
        self.violated(record, Code.ERASURE_ILLEGAL, message)


def _listed(environment: str, record: Record, digest: str, uses: _Uses | None) -> Erasure:
    entry = record.entry
    types = uses.types if uses else set()
    return Erasure(
        environment=environment,
        index=record.index,
        digest=digest,
        erased_at=entry.time,
        erased_by=entry.actor.subject,
        reason_code=entry.new or "",
        entries=tuple(uses.entries) if uses else (),
        types=tuple(sorted(map(str, types))),
        affects=describe_subject(entry),
        unjudged=tuple(sorted({f"{_UNJUDGED[kind]}; {_BY_ENTRY}" for kind in types if kind in _UNJUDGED})),
    )


def _about(entry: Entry) -> str:
    return ", ".join(f"{key} {entry.subject[key]}" for key in _ABOUT if key in entry.subject) or "nothing"

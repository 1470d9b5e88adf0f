"""Documents that a log says were erased: may they have been, are they gone, and what can be judged no more?

Responsible for ``document.erased`` entries. A document that such an entry names is not missing: it is listed,
with what its absence leaves unjudged. Which documents may go at all is ``carnet.translog.erasure``'s rule, by
the entries that name them. Pure. Whether a policy's windows were kept is not asked; holds are, by
``carnet.audit.retention``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.audit.report import Erasure, Finding, Verdict, describe_subject
from carnet.translog.entry import EntryType
from carnet.translog.erasure import ERASABLE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

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


class Erasures:
    """What the entries of one log say of erased documents.

    Args:
        environment: The environment.
        entries: Its entries, with their indexes, in order; read once.

    Attributes:
        by: The first entry that says of a document that it was erased, by the document's digest.
    """

    def __init__(self, environment: str, entries: Iterable[tuple[int, Entry]]) -> None:
        self._environment = environment
        self._told = [pair for pair in entries if pair[1].type is EntryType.DOCUMENT_ERASED]
        self.by: dict[str, int] = {}
        for index, entry in self._told:
            self.by.setdefault(_document_of(entry), index)
        self._uses: dict[str, list[tuple[int, Entry]]] = {digest: [] for digest in self.by}

    def explains(self, digest: str, index: int) -> bool:
        """Tell whether a document that an entry rests on was erased after that entry."""
        return self.by.get(digest, -1) > index

    def step(self, index: int, entry: Entry) -> None:
        """Take in an entry of the same log; every one of them, in order."""
        for digest in entry.documents:
            if digest in self._uses:
                self._uses[digest].append((index, entry))

    def finish(self, whole: Collection[str]) -> tuple[list[Finding], list[Erasure]]:
        """Judge the entries that say that documents were erased, once all others were taken in.

        Args:
            whole: The digests of the documents that are in the export, and whole.

        Returns:
            What is wrong, and every document that was erased.
        """
        findings: list[Finding] = []
        erasures: list[Erasure] = []
        for index, entry in self._told:
            digest = _document_of(entry)
            uses = self._uses.get(digest, [])
            for at, problem in self._problems(index, entry, uses, present=digest in whole):
                text = f"{entry.type}: {problem}"
                affects = describe_subject(entry)
                findings.append(Finding(Verdict.POLICY_VIOLATED, self._environment, at, text, affects))
            if digest and digest not in whole and self.by[digest] == index:
                erasures.append(self._listed(index, entry, uses))
        return findings, erasures

    def _problems(
        self, index: int, entry: Entry, uses: list[tuple[int, Entry]], *, present: bool
    ) -> Iterable[tuple[int, str]]:
        """Say what is wrong with an entry that says that a document was erased, and where."""
        digest = _document_of(entry)
        if not digest:
            yield index, "it names no document"
            return
        if not entry.new:
            yield index, "it gives no reason code"
        if self.by[digest] != index:
            yield index, f"the document {digest} was erased before, by entry {self.by[digest]}"
            return
        for at, use in uses:
            if use.type not in ERASABLE:
                yield index, f"it erases what entry {at}, {use.type}, rests on, which must be kept"
            if at > index:
                yield at, f"entry {at}, {use.type}, rests on a document that entry {index} had erased"
        if uses and (said := _about(entry)) != (meant := _about(uses[0][1])):
            yield index, f"it is about {said}, and the document that it erases about {meant}"
        if present:
            yield index, f"it says that the document {digest} was erased, and its bytes are in the export"

    def _listed(self, index: int, entry: Entry, uses: list[tuple[int, Entry]]) -> Erasure:
        unjudged = sorted({f"{_UNJUDGED[use.type]}; {_BY_ENTRY}" for _, use in uses if use.type in _UNJUDGED})
        return Erasure(
            environment=self._environment,
            index=index,
            digest=_document_of(entry),
            erased_at=entry.time,
            erased_by=entry.actor.subject,
            reason_code=entry.new or "",
            entries=tuple(at for at, _ in uses),
            types=tuple(sorted({str(use.type) for _, use in uses})),
            affects=describe_subject(entry),
            unjudged=tuple(unjudged),
        )


def _document_of(entry: Entry) -> str:
    return str(entry.subject.get("document", ""))


def _about(entry: Entry) -> dict[str, str | int]:
    return {key: entry.subject[key] for key in _ABOUT if key in entry.subject}

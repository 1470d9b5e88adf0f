"""Entries of refused calls: do they say what their documents say, and nothing more?

Responsible for the documents of ``access.refused`` entries. They change nothing and nobody signs them: they
are the environment's own word, and the log only keeps it from changing them later. Does not ask whether a
call that is counted was made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.audit.codes import Code
from carnet.audit.judging import CLOCK_SKEW, Judge
from carnet.audit.report import Verdict
from carnet.errors import CarnetError
from carnet.translog.entry import EntryType, format_time
from carnet.translog.refused_calls import parse_refused_calls

if TYPE_CHECKING:
    from carnet.audit.statements import Record
    from carnet.translog.entry import Entry


class RefusalJudge(Judge):
    """Checks every entry of refused calls against its document."""

    NAME = "refusals"
    TYPES = frozenset({EntryType.ACCESS_REFUSED})

    def step(self, record: Record) -> None:
        """Judge an entry of refused calls."""
        digest = record.entry.envelope_digest
        if digest is None:
            self.add(Verdict.INCOMPLETE, record, Code.DOCUMENT_MISSING, "it rests on no document")
            return
        document = self.log.document(digest)
        problem = _problem(record.entry, document) if document is not None else None
        if problem:
            self.violated(record, *problem)


def _problem(entry: Entry, document: bytes) -> tuple[Code, str] | None:
    """Say what is wrong with an entry of refused calls; None if nothing is."""
    try:
        said = parse_refused_calls(document)
    except CarnetError as error:
        return Code.DOCUMENT_INVALID, f"it rests on something else than refused calls: {error.message}"
    if entry.old is not None:
        return Code.ENTRY_INCONSISTENT, "it says that something was changed"
    if entry.new != said.summary:
        return Code.DOCUMENT_MISQUOTED, f"it says {entry.new!r}, its document {said.summary!r}"
    if dict(entry.subject) != said.subject:
        message = f"it is about {dict(entry.subject)}, its document about {said.subject}"
        return Code.DOCUMENT_MISQUOTED, message
    if said.last_at > entry.time + CLOCK_SKEW:
        message = f"it was written at {format_time(entry.time)}, before its last call"
        return Code.ENTRY_INCONSISTENT, message
    return None

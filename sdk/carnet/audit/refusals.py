"""Entries of refused calls: do they say what their documents say, and nothing more?

Responsible for the documents of ``access.refused`` entries. They change nothing and nobody signs them: they
are the environment's own word, and the log only keeps it from changing them later. Does not ask whether a
call that is counted was made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.audit.chain import CLOCK_SKEW
from carnet.audit.layout import read_document
from carnet.audit.report import Finding, Verdict, describe_subject
from carnet.errors import CarnetError
from carnet.translog.entry import EntryType, format_time
from carnet.translog.refused_calls import parse_refused_calls

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from carnet.translog.entry import Entry


def verify_refusals(
    directory: Path, environment: str, entries: Iterable[tuple[int, Entry]], whole: frozenset[str]
) -> list[Finding]:
    """Check every entry of refused calls of an intact chain.

    Args:
        directory: The environment's part of the export.
        environment: Its name.
        entries: Its entries, with their indexes.
        whole: The digests of the documents whose bytes were verified; others have been reported.

    Returns:
        What was found.
    """
    findings: list[Finding] = []
    for index, entry in entries:
        if entry.type is not EntryType.ACCESS_REFUSED:
            continue
        verdict, problem = Verdict.POLICY_VIOLATED, ""
        if entry.envelope_digest is None:
            verdict, problem = Verdict.INCOMPLETE, "it rests on no document"
        elif entry.envelope_digest in whole:
            problem = _problem(entry, read_document(directory, entry.envelope_digest))
        if problem:
            text = f"{entry.type}: {problem}"
            findings.append(Finding(verdict, environment, index, text, describe_subject(entry)))
    return findings


def _problem(entry: Entry, document: bytes) -> str:
    """Say what is wrong with an entry of refused calls; empty if nothing is."""
    try:
        said = parse_refused_calls(document)
    except CarnetError as error:
        return f"it rests on something else than refused calls: {error.message}"
    if entry.old is not None:
        return "it says that something was changed"
    if entry.new != said.summary:
        return f"it says {entry.new!r}, its document {said.summary!r}"
    if dict(entry.subject) != said.subject:
        return f"it is about {dict(entry.subject)}, its document about {said.subject}"
    if said.last_at > entry.time + CLOCK_SKEW:
        return f"it was written at {format_time(entry.time)}, before its last call"
    return ""

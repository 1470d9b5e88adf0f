"""Changes of policy and trust documents: who signed them.

Responsible for the signatures that are kept with such an entry: each is by a pinned person, over the very
document, for this environment. How many people are demanded stands in the environment's own configuration,
which no export has; but once a kind of document was signed, a later change without signatures is told of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.audit.layout import read_document
from carnet.audit.report import Finding, Verdict, describe_subject
from carnet.errors import CarnetError
from carnet.signing.document import read_header, split_lines
from carnet.signing.document_signers import DocumentSigners
from carnet.signing.dsse import parse_envelope
from carnet.translog.entry import EntryType

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from carnet.audit.pins import Pins
    from carnet.translog.entry import Entry

_KINDS = {EntryType.POLICY_CHANGED: "policy", EntryType.TRUST_CHANGED: "trust"}


def verify_document_signatures(
    directory: Path, environment: str, entries: Iterable[tuple[int, Entry]], whole: frozenset[str], pins: Pins
) -> list[Finding]:
    """Check the signatures of every change of a document in an intact chain.

    Args:
        directory: The environment's part of the export.
        environment: Its name.
        entries: Its entries, with their indexes.
        whole: The digests of the documents whose bytes were verified; others have been reported.
        pins: The people whose keys are trusted.

    Returns:
        What was found.
    """
    people = {key_id: person.name for person in pins.people.values() for key_id in person.keys}
    signers = DocumentSigners(0, pins.people_keys, people)
    findings: list[Finding] = []
    signed: set[EntryType] = set()
    for index, entry in entries:
        if entry.type not in _KINDS:
            continue
        if entry.request_digest is None:
            problems = [(Verdict.POLICY_VIOLATED, "it is not signed, and an earlier one was")]
            problems = problems if entry.type in signed else []
        else:
            signed.add(entry.type)
            if not {entry.request_digest, entry.envelope_digest} <= whole:
                continue
            lines = read_document(directory, entry.request_digest)
            data = read_document(directory, str(entry.envelope_digest))
            problems = list(_problems(entry, data, lines, signers))
        for verdict, problem in problems:
            text = f"{entry.type}: {problem}"
            findings.append(Finding(verdict, environment, index, text, describe_subject(entry)))
    return findings


def _problems(
    entry: Entry, data: bytes, lines: bytes, signers: DocumentSigners
) -> Iterator[tuple[Verdict, str]]:
    """Say what is wrong with the signatures of a change; nothing if nothing is."""
    kind = _KINDS[entry.type]
    try:
        header = read_header(data, name=f"{kind}.yaml")
        if (header.kind, header.environment) != (kind, entry.environment):
            yield Verdict.POLICY_VIOLATED, f"what it puts in force is {header}"
            return
        for _, line in split_lines(lines):
            named = {each.keyid for each in parse_envelope(line).signatures}
            if named.isdisjoint(signers.keys):
                yield Verdict.CANNOT_VERIFY, f"it is signed by a key that is not pinned: {min(named)}"
                continue
            for problem in signers.judge(header, line).problems:
                yield Verdict.POLICY_VIOLATED, problem.partition(": ")[2]
    except CarnetError as error:
        yield Verdict.POLICY_VIOLATED, f"its signatures cannot be read: {error.message}"

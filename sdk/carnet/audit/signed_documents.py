"""Changes of policy and trust documents: who signed them.

Responsible for the signatures that are kept with such an entry: each is by a pinned person, over the very
document, for this environment. How many people are demanded stands in the environment's own configuration,
which no export has; but once a kind of document was signed, a later change without signatures is told of.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from carnet.audit.codes import Code
from carnet.audit.judging import Judge, JudgedLog
from carnet.audit.report import Verdict
from carnet.errors import CarnetError
from carnet.signing.document import read_header, split_lines
from carnet.signing.document_signers import DocumentSigners
from carnet.signing.dsse import parse_envelope
from carnet.translog.entry import EntryType

if TYPE_CHECKING:
    from collections.abc import Iterator

    from carnet.audit.pins import Pins
    from carnet.audit.statements import Record
    from carnet.translog.entry import Entry

_KINDS = {EntryType.POLICY_CHANGED: "policy", EntryType.TRUST_CHANGED: "trust"}


@dataclass(slots=True)
class SignedDocumentState:
    """Which kinds of documents were signed at least once."""

    signed: set[EntryType] = field(default_factory=set)


class SignedDocumentJudge(Judge):
    """Checks the signatures of every change of a document.

    Args:
        log: The log.
        pins: The people whose keys are trusted.
    """

    NAME = "signed-documents"
    TYPES = frozenset(_KINDS)
    STATE = SignedDocumentState
    state: SignedDocumentState

    def __init__(self, log: JudgedLog, pins: Pins) -> None:
        super().__init__(log)
        people = {key_id: person.name for person in pins.people.values() for key_id in person.keys}
        self._signers = DocumentSigners(0, pins.people_keys, people)

    def step(self, record: Record) -> None:
        """Judge a change of a document."""
        entry = record.entry
        if entry.request_digest is None:
            if entry.type in self.state.signed:
                self.violated(record, Code.SIGNATURE_MISSING, "it is not signed, and an earlier one was")
            return
        self.state.signed.add(entry.type)
        if entry.envelope_digest is None:
            return
        lines, data = self.log.document(entry.request_digest), self.log.document(entry.envelope_digest)
        if lines is None or data is None:
            return
        for verdict, code, problem in _problems(entry, data, lines, self._signers):
            self.add(verdict, record, code, problem)


def _problems(
    entry: Entry, data: bytes, lines: bytes, signers: DocumentSigners
) -> Iterator[tuple[Verdict, Code, str]]:
    """Say what is wrong with the signatures of a change; nothing if nothing is."""
    kind = _KINDS[entry.type]
    try:
        header = read_header(data, name=f"{kind}.yaml")
        if (header.kind, header.environment) != (kind, entry.environment):
            yield Verdict.POLICY_VIOLATED, Code.DOCUMENT_INVALID, f"what it puts in force is {header}"
            return
        for _, line in split_lines(lines):
            named = {each.keyid for each in parse_envelope(line).signatures}
            if named.isdisjoint(signers.keys):
                message = f"it is signed by a key that is not pinned: {min(named)}"
                yield Verdict.CANNOT_VERIFY, Code.SIGNER_UNPINNED, message
                continue
            for problem in signers.judge(header, line).problems:
                yield Verdict.POLICY_VIOLATED, Code.SIGNATURE_INVALID, problem.partition(": ")[2]
    except CarnetError as error:
        yield (
            Verdict.POLICY_VIOLATED,
            Code.SIGNATURE_INVALID,
            f"its signatures cannot be read: {error.message}",
        )

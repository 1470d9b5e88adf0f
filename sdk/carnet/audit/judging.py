"""How the entries of one log are judged: step by step, in the order of the log.

Responsible for what every judge of a log has in common. A judge sees each record once, keeps in ``state``
whatever later entries depend on, and tells of what is wrong. It may not keep records: it has the log remember
them, and gets them back from the log by reference, so that memory does not grow with the entries.

Invariants: ``state`` is a dataclass that ``carnet.audit.state_codec`` writes and reads, and holds all that a
judge knows of the entries before; so a judge with the state of an earlier audit goes on where that ended.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final

from carnet.audit.report import Finding, Verdict, describe_subject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from carnet.audit.codes import Code
    from carnet.audit.statements import Record
    from carnet.translog.entry import EntryType

INDEX_BYTES = 8
CLOCK_SKEW: Final = timedelta(seconds=60)
"""How far the clocks of an environment's processes, and of those it deals with, may be apart."""


@dataclass(slots=True)
class NoState:
    """The state of a judge that judges each entry by itself."""


class JudgedLog:
    """What a judge can ask of the log that it judges. This one has its records in memory.

    Args:
        environment: Whose log it is.
        read: Gives the bytes of a document by its digest; None for one that was not found whole.

    Attributes:
        erased: The documents that entries say were erased, also ones that are still to come, each with the
            index of the first that does.
    """

    def __init__(self, environment: str, read: Callable[[str], bytes | None] | None = None) -> None:
        self.environment = environment
        self.erased: Mapping[str, int] = {}
        self._read = read
        self._kept: dict[bytes, Record] = {}

    def document(self, digest: str) -> bytes | None:
        """Return the bytes of a document; None for one that was not found whole, which is told elsewhere."""
        return self._read(digest) if self._read else None

    def is_named(self, digest: str) -> bool:
        """Whether an entry so far rests on this document."""
        return any(record.entry.envelope_digest == digest for record in self._kept.values())

    def remember(self, record: Record) -> bytes:
        """Return a reference to the record that is being judged, small and good for ``recall``."""
        reference = record.index.to_bytes(INDEX_BYTES, "big")
        self._kept[reference] = record
        return reference

    def recall(self, reference: bytes) -> Record:
        """Return a record again."""
        return self._kept[reference]


class Judge:
    """One walk along a log.

    Attributes:
        NAME: What its state is called when it is kept.
        TYPES: The types of entries that it wants to see; None for all.
        STATE: The dataclass of its state.
        log: The log that it judges.
        state: What it knows of the entries so far.
        findings: What is wrong, so far.
    """

    NAME: ClassVar[str]
    TYPES: ClassVar[frozenset[EntryType] | None] = None
    STATE: ClassVar[type] = NoState
    state: Any

    def __init__(self, log: JudgedLog) -> None:
        self.log = log
        self.state = self.STATE()
        self.findings: list[Finding] = []

    def step(self, record: Record) -> None:
        """Judge the next record."""
        raise NotImplementedError

    def finish(self) -> None:
        """Judge what the end of the log leaves open. Not a part of ``state``: a log goes on."""

    def violated(self, record: Record, code: Code, message: str) -> None:
        """Tell that a rule was broken."""
        self.add(Verdict.POLICY_VIOLATED, record, code, message)

    def add(self, verdict: Verdict, record: Record, code: Code, message: str) -> None:
        """Tell of something that is wrong with a record."""
        affects = describe_subject(record.entry)
        text = f"{record.entry.type}: {message}"
        self.findings.append(Finding(verdict, code, self.log.environment, record.index, text, affects))


def judge_records(judge: Judge, records: Iterable[Record]) -> list[Finding]:
    """Walk a judge along records that are at hand, to the end.

    Args:
        judge: The judge, which has seen nothing yet.
        records: Every entry of a log, in order, with the statement that it rests on.

    Returns:
        What is wrong.
    """
    for record in records:
        judge.step(record)
    judge.finish()
    return judge.findings

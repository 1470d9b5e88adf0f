"""The form of each entry of a log: whose it is, when it was written, and whether it is one at all.

Responsible for what can be said of an entry with nothing but the newest time before it. Gives it no meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime  # noqa: TC003  read by state_codec

from carnet.audit.codes import Code
from carnet.audit.judging import CLOCK_SKEW, Judge
from carnet.audit.report import Finding, Verdict
from carnet.audit.statements import Record  # noqa: TC001  read by state_codec
from carnet.translog.entry import EntryType


@dataclass(slots=True)
class FormState:
    """What was counted so far.

    Attributes:
        latest: The newest time of all entries.
        last: The time of the last one.
        published: How many versions were published.
        admitted: How many were admitted.
        refused: How many decisions said no.
    """

    latest: datetime | None = None
    last: datetime | None = None
    published: int = 0
    admitted: int = 0
    refused: int = 0


class FormJudge(Judge):
    """Checks environment and time of each entry, and counts for the summary."""

    NAME = "form"
    STATE = FormState
    state: FormState

    def refuse(self, index: int, problem: str) -> None:
        """Tell that what was logged is no entry."""
        message = f"the environment logged something that is no entry: {problem}"
        self.findings.append(
            Finding(Verdict.POLICY_VIOLATED, Code.ENTRY_MALFORMED, self.log.environment, index, message)
        )

    def step(self, record: Record) -> None:
        """Judge the next record."""
        entry, state = record.entry, self.state
        if entry.environment != self.log.environment:
            self.violated(
                record, Code.ENTRY_FOREIGN, f"the entry is of the environment {entry.environment!r}"
            )
        state.last = entry.time
        if state.latest is None or entry.time > state.latest:
            state.latest = entry.time
        elif entry.time < state.latest - CLOCK_SKEW:
            message = f"the entry's time {entry.time.isoformat()} lies before that of an earlier entry"
            self.violated(record, Code.ENTRY_BACKDATED, message)
        match entry.type:
            case EntryType.VERSION_PUBLISHED:
                state.published += 1
            case EntryType.VERSION_ADMITTED:
                state.admitted += 1
            case EntryType.DECISION_MADE if entry.new == "FAILED":
                state.refused += 1

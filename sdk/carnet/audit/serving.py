"""What hosts run, in a log: does each version that they say they run begin before it ends?

Responsible for ``serving.observed`` entries: that none begins what runs already, or ends what does not.
Whether the hosts spoke the truth no log can tell. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from carnet.audit.codes import Code
from carnet.audit.judging import Judge, JudgedLog, judge_records
from carnet.translog.entry import SERVING_RUNNING, EntryType

if TYPE_CHECKING:
    from collections.abc import Iterable

    from carnet.audit.report import Finding
    from carnet.audit.statements import Record


def judge_serving(environment: str, records: Iterable[Record]) -> list[Finding]:
    """Judge what hosts said that they run, in one environment's log.

    Args:
        environment: The environment.
        records: Every entry of its log, in order.

    Returns:
        What is wrong.
    """
    return judge_records(ServingJudge(JudgedLog(environment)), records)


@dataclass(slots=True)
class ServingState:
    """What runs, as namespace, model, alias and digest."""

    running: set[tuple[str, str, str, str]] = field(default_factory=set)


class ServingJudge(Judge):
    """One walk along a log, with what runs."""

    NAME = "serving"
    TYPES = frozenset({EntryType.SERVING_OBSERVED})
    STATE = ServingState
    state: ServingState

    def step(self, record: Record) -> None:
        """Judge the next record."""
        entry, subject = record.entry, record.entry.subject
        namespace, model, alias, digest = (
            str(subject.get(name, "")) for name in ("namespace", "model", "alias", "bundle_digest")
        )
        place = (namespace, model, alias, digest)
        old, new = entry.old or "", entry.new or ""
        if {old, new} != {"", SERVING_RUNNING}:
            message = f"it goes from {old!r} to {new!r}: a version begins to run, or it ends"
            self.violated(record, Code.ENTRY_INCONSISTENT, message)
            return
        if bool(old) != (place in self.state.running):
            message = "it ends what did not run" if old else "it begins what runs already"
            self.violated(record, Code.STATE_MISMATCH, message)
        if new:
            self.state.running.add(place)
        else:
            self.state.running.discard(place)

"""Purges and holds in one environment's log: did only the files go of what was out of use and not held?

Responsible for ``version.purged``, ``hold.placed`` and ``hold.released`` entries. Pure. Whether a policy's
terms for ages and numbers were kept is not asked: an auditor reads them in the document of each purge.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from carnet.audit.report import Finding, Verdict, describe_subject
from carnet.stages import Stage
from carnet.translog.entry import EntryType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from carnet.audit.statements import Record
    from carnet.translog.entry import Entry

_Name = tuple[str, str, int]
_ARRIVALS = frozenset({EntryType.VERSION_PUBLISHED, EntryType.VERSION_ADMITTED})
_AT_REST = frozenset({Stage.ARCHIVED, Stage.REVOKED})


def judge_retention(environment: str, records: Sequence[Record]) -> list[Finding]:
    """Judge the purges and holds of one environment's log.

    Args:
        environment: The environment.
        records: Every entry of its log, in order.

    Returns:
        What is wrong.
    """
    judge = _RetentionJudge(environment)
    for record in records:
        judge.step(record)
    return judge.findings


@dataclass(frozen=True, slots=True)
class _Hold:
    """A hold that was placed: on what, until when, and by which entry."""

    name: _Name
    until: datetime | None
    index: int


class _RetentionJudge:
    """One walk along a log, with every version's stage, every alias's place, and the holds."""

    def __init__(self, environment: str) -> None:
        self.findings: list[Finding] = []
        self._environment = environment
        self._stages: dict[_Name, str] = {}
        self._pointed: dict[tuple[str, str, str], int] = {}
        self._purged: dict[_Name, int] = {}
        self._holds: dict[int, _Hold] = {}
        self._released: dict[int, int] = {}

    def step(self, record: Record) -> None:
        entry = record.entry
        name = _name_of(entry)
        match entry.type:
            case EntryType.ALIAS_MOVED | EntryType.ALIAS_REMOVED:
                self._move_alias(record, name)
            case EntryType.HOLD_PLACED:
                self._place(record, name)
            case EntryType.HOLD_RELEASED:
                self._release(record, name)
            case EntryType.VERSION_PURGED:
                self._purge(record, name)
            case EntryType.DOCUMENT_ERASED:
                self._check_not_held(record, name)
            case EntryType.VERSION_STAGE_CHANGED | EntryType.VERSION_REVOKED:
                self._change_stage(record, name)
            case kind if kind in _ARRIVALS:
                self._arrive(record, name)

    def _arrive(self, record: Record, name: _Name) -> None:
        if name in self._purged:
            self._violated(record, f"its number was used before, and purged by entry {self._purged[name]}")
        self._stages.setdefault(name, Stage.REGISTERED)

    def _change_stage(self, record: Record, name: _Name) -> None:
        revoked = record.entry.type is EntryType.VERSION_REVOKED
        if name in self._purged and not revoked:
            self._violated(record, f"its files were purged before, by entry {self._purged[name]}")
        self._stages[name] = Stage.REVOKED if revoked else record.entry.new or ""

    def _move_alias(self, record: Record, name: _Name) -> None:
        namespace, model, number = name
        alias = (namespace, model, str(record.entry.subject.get("alias", "")))
        self._pointed.pop(alias, None)
        if record.entry.type is EntryType.ALIAS_MOVED and number:
            self._pointed[alias] = number
            if name in self._purged:
                self._violated(record, f"its version was purged before, by entry {self._purged[name]}")

    def _purge(self, record: Record, name: _Name) -> None:
        if name in self._purged:
            self._violated(record, f"it was purged before, by entry {self._purged[name]}")
        stage = self._stages.get(name)
        if stage not in _AT_REST:
            stood = f"the log has it {stage}" if stage is not None else "it never arrived here"
            self._violated(record, f"only archived and revoked versions can be purged, and {stood}")
        elif record.entry.old != stage:
            self._violated(
                record, f"it says that the version was {record.entry.old}, and the log has it {stage}"
            )
        for (namespace, model, alias), number in self._pointed.items():
            if (namespace, model, number) == name:
                self._violated(record, f"the alias {alias} pointed at it")
        self._check_not_held(record, name)
        if record.entry.envelope_digest is None:
            self._violated(record, "it rests on no document that says why")
        self._purged[name] = record.index

    def _check_not_held(self, record: Record, name: _Name) -> None:
        for hold, placed in self._holds.items():
            if self._is_held(hold, placed, name, record.entry.time):
                self._violated(record, f"hold {hold} was on it, by entry {placed.index}")

    def _is_held(self, hold: int, placed: _Hold, name: _Name, at: datetime) -> bool:
        in_force = hold not in self._released and (placed.until is None or placed.until > at)
        return in_force and placed.name in {name, (*name[:2], 0)}

    def _place(self, record: Record, name: _Name) -> None:
        hold = int(record.entry.subject.get("hold", 0))
        if not hold or not name[1]:
            self._violated(record, "it names no hold, or nothing that is held")
            return
        if hold in self._holds:
            self._violated(record, f"hold {hold} was placed before, by entry {self._holds[hold].index}")
            return
        until = _time_of(record.entry.new)
        if record.entry.new and until is None:
            self._violated(record, f"it ends at {record.entry.new!r}, which is no time")
        self._holds[hold] = _Hold(name, until, record.index)

    def _release(self, record: Record, name: _Name) -> None:
        hold = int(record.entry.subject.get("hold", 0))
        placed = self._holds.get(hold)
        if placed is None or placed.name != name:
            self._violated(record, f"no hold {hold} was placed on it")
        elif hold in self._released:
            self._violated(record, f"hold {hold} was released before, by entry {self._released[hold]}")
        else:
            self._released[hold] = record.index

    def _violated(self, record: Record, message: str) -> None:
        text = f"{record.entry.type}: {message}"
        affects = describe_subject(record.entry)
        self.findings.append(Finding(Verdict.POLICY_VIOLATED, self._environment, record.index, text, affects))


def _name_of(entry: Entry) -> _Name:
    """Return what an entry is about: a version, or a model with 0 for its version."""
    subject = entry.subject
    return str(subject.get("namespace", "")), str(subject.get("model", "")), int(subject.get("version", 0))


def _time_of(value: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if value else None
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo is not None else None

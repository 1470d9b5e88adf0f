"""Purges and holds in one environment's log: did only the files go of what was out of use and not held?

Responsible for ``version.purged``, ``hold.placed`` and ``hold.released`` entries. Pure. Whether a policy's
terms for ages and numbers were kept is not asked: an auditor reads them in the document of each purge.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from carnet.audit.codes import Code
from carnet.audit.judging import Judge, JudgedLog, judge_records
from carnet.stages import Stage
from carnet.translog.entry import EntryType

if TYPE_CHECKING:
    from collections.abc import Iterable

    from carnet.audit.report import Finding
    from carnet.audit.statements import Record
    from carnet.translog.entry import Entry

_Name = tuple[str, str, int]
_ARRIVALS = frozenset({EntryType.VERSION_PUBLISHED, EntryType.VERSION_ADMITTED})
_AT_REST = frozenset({Stage.ARCHIVED, Stage.REVOKED})


def judge_retention(environment: str, records: Iterable[Record]) -> list[Finding]:
    """Judge the purges and holds of one environment's log.

    Args:
        environment: The environment.
        records: Every entry of its log, in order.

    Returns:
        What is wrong.
    """
    return judge_records(RetentionJudge(JudgedLog(environment)), records)


@dataclass(frozen=True, slots=True)
class _Hold:
    """A hold that was placed: on what, until when, and by which entry."""

    name: _Name
    until: datetime | None
    index: int


@dataclass(slots=True)
class RetentionState:
    """Every version's stage, every alias's place, what hosts of each run by its digest, and the holds."""

    stages: dict[_Name, str] = field(default_factory=dict)
    pointed: dict[tuple[str, str, str], int] = field(default_factory=dict)
    running: dict[tuple[str, str, str, str], int] = field(default_factory=dict)
    purged: dict[_Name, int] = field(default_factory=dict)
    holds: dict[int, _Hold] = field(default_factory=dict)
    released: dict[int, int] = field(default_factory=dict)


class RetentionJudge(Judge):
    """One walk along a log, with every version's stage, every alias's place, and the holds."""

    NAME = "retention"
    TYPES = _ARRIVALS | {
        EntryType.ALIAS_MOVED,
        EntryType.ALIAS_REMOVED,
        EntryType.SERVING_OBSERVED,
        EntryType.HOLD_PLACED,
        EntryType.HOLD_RELEASED,
        EntryType.VERSION_PURGED,
        EntryType.DOCUMENT_ERASED,
        EntryType.VERSION_STAGE_CHANGED,
        EntryType.VERSION_REVOKED,
    }
    STATE = RetentionState
    state: RetentionState

    def step(self, record: Record) -> None:
        """Judge the next record."""
        entry = record.entry
        name = _name_of(entry)
        match entry.type:
            case EntryType.ALIAS_MOVED | EntryType.ALIAS_REMOVED:
                self._move_alias(record, name)
            case EntryType.SERVING_OBSERVED:
                self._observe(entry, name)
            case EntryType.HOLD_PLACED:
                self._place(record, name)
            case EntryType.HOLD_RELEASED:
                self._release(record, name)
            case EntryType.VERSION_PURGED:
                self._purge(record, name)
            case EntryType.DOCUMENT_ERASED:
                self._check_not_held(record, name, Code.ERASURE_ILLEGAL)
            case EntryType.VERSION_STAGE_CHANGED | EntryType.VERSION_REVOKED:
                self._change_stage(record, name)
            case kind if kind in _ARRIVALS:
                self._arrive(record, name)

    def _arrive(self, record: Record, name: _Name) -> None:
        if name in self.state.purged:
            self.violated(
                record,
                Code.PURGE_ILLEGAL,
                f"its number was used before, and purged by entry {self.state.purged[name]}",
            )
        self.state.stages.setdefault(name, Stage.REGISTERED)

    def _change_stage(self, record: Record, name: _Name) -> None:
        revoked = record.entry.type is EntryType.VERSION_REVOKED
        if name in self.state.purged and not revoked:
            self.violated(
                record,
                Code.PURGE_ILLEGAL,
                f"its files were purged before, by entry {self.state.purged[name]}",
            )
        self.state.stages[name] = Stage.REVOKED if revoked else record.entry.new or ""

    def _move_alias(self, record: Record, name: _Name) -> None:
        namespace, model, number = name
        alias = (namespace, model, str(record.entry.subject.get("alias", "")))
        self.state.pointed.pop(alias, None)
        if record.entry.type is EntryType.ALIAS_MOVED and number:
            self.state.pointed[alias] = number
            if name in self.state.purged:
                self.violated(
                    record,
                    Code.PURGE_ILLEGAL,
                    f"its version was purged before, by entry {self.state.purged[name]}",
                )

    def _observe(self, entry: Entry, name: _Name) -> None:
        alias, digest = (str(entry.subject.get(part, "")) for part in ("alias", "bundle_digest"))
        if entry.new:
            self.state.running[*name[:2], alias, digest] = name[2]
        else:
            self.state.running.pop((*name[:2], alias, digest), None)

    def _purge(self, record: Record, name: _Name) -> None:
        if name in self.state.purged:
            self.violated(
                record, Code.PURGE_ILLEGAL, f"it was purged before, by entry {self.state.purged[name]}"
            )
        stage = self.state.stages.get(name)
        if stage not in _AT_REST:
            stood = f"the log has it {stage}" if stage is not None else "it never arrived here"
            self.violated(
                record, Code.PURGE_ILLEGAL, f"only archived and revoked versions can be purged, and {stood}"
            )
        elif record.entry.old != stage:
            self.violated(
                record,
                Code.STATE_MISMATCH,
                f"it says that the version was {record.entry.old}, and the log has it {stage}",
            )
        for (namespace, model, alias), number in self.state.pointed.items():
            if (namespace, model, number) == name:
                self.violated(record, Code.PURGE_ILLEGAL, f"the alias {alias} pointed at it")
        for (namespace, model, alias, _), number in self.state.running.items():
            if (namespace, model, number) == name:
                self.violated(record, Code.PURGE_ILLEGAL, f"hosts of the alias {alias} ran it")
        self._check_not_held(record, name, Code.PURGE_ILLEGAL)
        if record.entry.envelope_digest is None:
            self.violated(record, Code.DOCUMENT_MISSING, "it rests on no document that says why")
        self.state.purged[name] = record.index

    def _check_not_held(self, record: Record, name: _Name, code: Code) -> None:
        for hold, placed in self.state.holds.items():
            if self._is_held(hold, placed, name, record.entry.time):
                self.violated(record, code, f"hold {hold} was on it, by entry {placed.index}")

    def _is_held(self, hold: int, placed: _Hold, name: _Name, at: datetime) -> bool:
        in_force = hold not in self.state.released and (placed.until is None or placed.until > at)
        return in_force and placed.name in {name, (*name[:2], 0)}

    def _place(self, record: Record, name: _Name) -> None:
        hold = int(record.entry.subject.get("hold", 0))
        if not hold or not name[1]:
            self.violated(record, Code.ENTRY_INCONSISTENT, "it names no hold, or nothing that is held")
            return
        if hold in self.state.holds:
            self.violated(
                record,
                Code.HOLD_MISMATCH,
                f"hold {hold} was placed before, by entry {self.state.holds[hold].index}",
            )
            return
        until = _time_of(record.entry.new)
        if record.entry.new and until is None:
            self.violated(
                record, Code.ENTRY_INCONSISTENT, f"it ends at {record.entry.new!r}, which is no time"
            )
        self.state.holds[hold] = _Hold(name, until, record.index)

    def _release(self, record: Record, name: _Name) -> None:
        hold = int(record.entry.subject.get("hold", 0))
        placed = self.state.holds.get(hold)
        if placed is None or placed.name != name:
            self.violated(record, Code.HOLD_MISMATCH, f"no hold {hold} was placed on it")
        elif hold in self.state.released:
            self.violated(
                record,
                Code.HOLD_MISMATCH,
                f"hold {hold} was released before, by entry {self.state.released[hold]}",
            )
        else:
            self.state.released[hold] = record.index


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

"""Marks in a log: did each alias point at what is marked for it, before it was marked?

Responsible for ``alias.marked`` entries: that each goes from what was marked before, that what it marks is a
version which the alias was moved to earlier, under the same digest, and which was not revoked. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from carnet.audit.codes import Code
from carnet.audit.judging import Judge, JudgedLog, judge_records
from carnet.translog.entry import EntryType

if TYPE_CHECKING:
    from collections.abc import Iterable

    from carnet.audit.report import Finding
    from carnet.audit.statements import Record

_Alias = tuple[str, str, str]


def judge_marks(environment: str, records: Iterable[Record]) -> list[Finding]:
    """Judge the marks of one environment's log.

    Args:
        environment: The environment.
        records: Every entry of its log, in order.

    Returns:
        What is wrong.
    """
    return judge_records(MarkJudge(JudgedLog(environment)), records)


@dataclass(slots=True)
class MarkState:
    """Where every alias pointed, under which digests; what is marked; and what was revoked."""

    live: dict[_Alias, dict[str, str]] = field(default_factory=dict)
    marked: dict[_Alias, str] = field(default_factory=dict)
    revoked: set[tuple[str, str, str]] = field(default_factory=set)


class MarkJudge(Judge):
    """One walk along a log, with every alias's past and its mark."""

    NAME = "marks"
    TYPES = frozenset({EntryType.ALIAS_MOVED, EntryType.ALIAS_MARKED, EntryType.VERSION_REVOKED})
    STATE = MarkState
    state: MarkState

    def step(self, record: Record) -> None:
        """Judge the next record."""
        entry = record.entry
        match entry.type:
            case EntryType.ALIAS_MOVED:
                pointed = self.state.live.setdefault(_alias_of(record), {})
                pointed[entry.new or ""] = str(entry.subject.get("bundle_digest", ""))
            case EntryType.ALIAS_MARKED:
                self._mark(record)
            case EntryType.VERSION_REVOKED:
                self.state.revoked.add((*_place_of(record), str(entry.subject.get("version", ""))))

    def _mark(self, record: Record) -> None:
        entry, alias = record.entry, _alias_of(record)
        old, new = entry.old or "", entry.new or ""
        was = self.state.marked.get(alias, "")
        if old != was:
            message = f"it says that {_named(old)} was marked, and the log has {_named(was)}"
            self.violated(record, Code.STATE_MISMATCH, message)
        if new:
            self._judge_version(record, alias, new)
        elif not old:
            self.violated(record, Code.MARK_UNFOUNDED, "it takes away a mark that there was not")
        self.state.marked[alias] = new

    def _judge_version(self, record: Record, alias: _Alias, new: str) -> None:
        subject, pointed = record.entry.subject, self.state.live.get(alias, {})
        if str(subject.get("version", "")) != new:
            message = f"it marks {_named(new)}, and is about {subject.get('version', 'none')}"
            self.violated(record, Code.ENTRY_INCONSISTENT, message)
        if new not in pointed:
            self.violated(record, Code.MARK_UNFOUNDED, f"the alias never pointed at {_named(new)} before")
        elif str(subject.get("bundle_digest", "")) != pointed[new]:
            self.violated(
                record, Code.MARK_UNFOUNDED, f"{_named(new)} had another digest when the alias pointed at it"
            )
        if (*alias[:2], new) in self.state.revoked:
            self.violated(record, Code.VERSION_REVOKED, f"{_named(new)} was revoked before")


def _place_of(record: Record) -> tuple[str, str]:
    subject = record.entry.subject
    return str(subject.get("namespace", "")), str(subject.get("model", ""))


def _alias_of(record: Record) -> _Alias:
    return *_place_of(record), str(record.entry.subject.get("alias", ""))


def _named(version: str) -> str:
    return f"version {version}" if version else "no version"

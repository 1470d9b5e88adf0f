"""Marks in a log: did each alias point at what is marked for it, before it was marked?

Responsible for ``alias.marked`` entries: that each goes from what was marked before, that what it marks is a
version which the alias was moved to earlier, under the same digest, and which was not revoked. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.audit.report import Finding, Verdict, describe_subject
from carnet.translog.entry import EntryType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from carnet.audit.statements import Record

_Alias = tuple[str, str, str]


def judge_marks(environment: str, records: Sequence[Record]) -> list[Finding]:
    """Judge the marks of one environment's log.

    Args:
        environment: The environment.
        records: Every entry of its log, in order.

    Returns:
        What is wrong.
    """
    judge = _MarkJudge(environment)
    for record in records:
        judge.step(record)
    return judge.findings


class _MarkJudge:
    """One walk along a log, with every alias's past and its mark."""

    def __init__(self, environment: str) -> None:
        self.findings: list[Finding] = []
        self._environment = environment
        self._live: dict[_Alias, dict[str, object]] = {}
        self._marked: dict[_Alias, str] = {}
        self._revoked: set[tuple[str, str, str]] = set()

    def step(self, record: Record) -> None:
        entry = record.entry
        match entry.type:
            case EntryType.ALIAS_MOVED:
                pointed = self._live.setdefault(_alias_of(record), {})
                pointed[entry.new or ""] = entry.subject.get("bundle_digest")
            case EntryType.ALIAS_MARKED:
                self._mark(record)
            case EntryType.VERSION_REVOKED:
                self._revoked.add((*_place_of(record), str(entry.subject.get("version", ""))))

    def _mark(self, record: Record) -> None:
        entry, alias = record.entry, _alias_of(record)
        old, new = entry.old or "", entry.new or ""
        was = self._marked.get(alias, "")
        if old != was:
            self._violated(record, f"it says that {_named(old)} was marked, and the log has {_named(was)}")
        if new:
            self._judge_version(record, alias, new)
        elif not old:
            self._violated(record, "it takes away a mark that there was not")
        self._marked[alias] = new

    def _judge_version(self, record: Record, alias: _Alias, new: str) -> None:
        subject, pointed = record.entry.subject, self._live.get(alias, {})
        if str(subject.get("version", "")) != new:
            self._violated(record, f"it marks {_named(new)}, and is about {subject.get('version', 'none')}")
        if new not in pointed:
            self._violated(record, f"the alias never pointed at {_named(new)} before")
        elif subject.get("bundle_digest") != pointed[new]:
            self._violated(record, f"{_named(new)} had another digest when the alias pointed at it")
        if (*alias[:2], new) in self._revoked:
            self._violated(record, f"{_named(new)} was revoked before")

    def _violated(self, record: Record, message: str) -> None:
        text = f"{record.entry.type}: {message}"
        affects = describe_subject(record.entry)
        self.findings.append(Finding(Verdict.POLICY_VIOLATED, self._environment, record.index, text, affects))


def _place_of(record: Record) -> tuple[str, str]:
    subject = record.entry.subject
    return str(subject.get("namespace", "")), str(subject.get("model", ""))


def _alias_of(record: Record) -> _Alias:
    return *_place_of(record), str(record.entry.subject.get("alias", ""))


def _named(version: str) -> str:
    return f"version {version}" if version else "no version"

"""Stages in a log: is every change of one legal, and does each follow from what the log tells before it?

Responsible for ``version.stage-changed`` entries: that each goes from where the version stood, along a way
that ``carnet.stages`` has, and that ``deployed`` is exactly what aliases point at. Pure.

A log may begin before stages were kept, and moved aliases then without a word of them. So the first change of
a stage begins the strict part: what stood before it is taken from the aliases, and from there on each move of
an alias must be followed, before any other entry, by the changes that it makes. A log without any such change
is not judged.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from carnet.audit.codes import Code
from carnet.audit.judging import Judge, JudgedLog, judge_records
from carnet.audit.statements import Record  # noqa: TC001  read by state_codec
from carnet.stages import BY_HAND, Stage, admitting, following
from carnet.translog.entry import EntryType

if TYPE_CHECKING:
    from collections.abc import Iterable

    from carnet.audit.report import Finding
    from carnet.translog.entry import Entry

_Name = tuple[str, str, int]
_ARRIVALS = frozenset({EntryType.VERSION_PUBLISHED, EntryType.VERSION_ADMITTED})
_MOVES = frozenset({EntryType.ALIAS_MOVED, EntryType.ALIAS_REMOVED})


def judge_stages(environment: str, records: Iterable[Record]) -> list[Finding]:
    """Judge the stages of one environment's log.

    Args:
        environment: The environment.
        records: Every entry of its log, in order.

    Returns:
        What is wrong.
    """
    return judge_records(StageJudge(JudgedLog(environment)), records)


@dataclass(slots=True)
class StageState:
    """Every version's stage, every alias's place, and what the last move of an alias makes.

    Attributes:
        strict: Whether a change of a stage was told.
        stages: The stages.
        pointed: The version that each alias points at.
        live: How many aliases point at a version; none where it is missing.
        decided: The document of each promotion's and bundle's decision that said yes.
        owed: The changes that must come next.
        mover: The move that makes them.
    """

    strict: bool = False
    stages: dict[_Name, Stage] = field(default_factory=dict)
    pointed: dict[tuple[str, str, str], int] = field(default_factory=dict)
    live: dict[_Name, int] = field(default_factory=dict)
    decided: dict[tuple[str, str], str | None] = field(default_factory=dict)
    owed: dict[_Name, Stage] = field(default_factory=dict)
    mover: Record | None = None


class StageJudge(Judge):
    """One walk along a log, with every version's stage and every alias's place."""

    NAME = "stages"
    STATE = StageState
    state: StageState

    def step(self, record: Record) -> None:
        """Judge the next record."""
        entry = record.entry
        if entry.type is EntryType.VERSION_STAGE_CHANGED:
            if not self.state.strict and not self._pays(entry):
                self._settle()
            self.state.strict = True
            self._change(record)
            return
        self._settle()
        name = _version_of(entry)
        if entry.type in _MOVES:
            self._move_alias(record)
        elif name is None:
            return
        elif entry.type in _ARRIVALS:
            self.state.stages.setdefault(name, Stage.REGISTERED)
        elif entry.type is EntryType.DECISION_MADE and entry.new == "PASSED":
            self.state.decided[_decision_key(entry)] = entry.envelope_digest
        elif entry.type is EntryType.VERSION_REVOKED:
            self._revoke(record, name)

    def finish(self) -> None:
        """See that the last move was followed by all that it makes."""
        self._settle()

    def _settle(self) -> None:
        """See that the last move of an alias was followed by every change of a stage that it makes."""
        for name, stage in self.state.owed.items():
            if self.state.strict and self.state.mover is not None:
                namespace, model, number = name
                self.violated(
                    self.state.mover,
                    Code.STAGE_UNTOLD,
                    f"version {number} of {namespace}/{model} was not made {stage} right after it",
                )
            # Before stages were kept, what an alias left was registered, as it had come.
            told = stage if self.state.strict or stage is Stage.DEPLOYED else Stage.REGISTERED
            self.state.stages[name] = told
        if self.state.mover is not None:
            self.state.owed, self.state.mover = {}, None

    def _move_alias(self, record: Record) -> None:
        subject = record.entry.subject
        namespace, model = str(subject.get("namespace", "")), str(subject.get("model", ""))
        alias = (namespace, model, str(subject.get("alias", "")))
        before = self.state.pointed.pop(alias, 0)
        if before:
            self._count((namespace, model, before), -1)
        after = int(subject.get("version", 0)) if record.entry.type is EntryType.ALIAS_MOVED else 0
        if after:
            self.state.pointed[alias] = after
            self._count((namespace, model, after), 1)
        for number in dict.fromkeys(each for each in (before, after) if each):
            name = (namespace, model, number)
            stage = self.state.stages.get(name, Stage.REGISTERED)
            wanted = following(stage, live=self._is_live(name))
            if wanted is not stage:
                self.state.owed[name] = wanted
        self.state.mover = record

    def _change(self, record: Record) -> None:
        entry, name = record.entry, _version_of(record.entry)
        old, new = _stage(entry.old), _stage(entry.new)
        if name is None or old is None or new is None or old is new:
            message = f"it names no version, or no two stages: {entry.old!r} to {entry.new!r}"
            self.violated(record, Code.ENTRY_INCONSISTENT, message)
            return
        if name not in self.state.stages:
            self.violated(record, Code.STATE_MISMATCH, "the version never arrived here")
        stood = self.state.stages.get(name, Stage.REGISTERED)
        if old is not stood:
            message = f"it says that the version was {old}, and the log has it {stood}"
            self.violated(record, Code.STATE_MISMATCH, message)
        self.state.stages[name] = new
        if self.state.owed.get(name) is new:
            del self.state.owed[name]
            return
        problem = self._problem(entry, name, old, new)
        if problem:
            self.violated(record, Code.ILLEGAL_TRANSITION, f"{old} to {new}: {problem}")

    def _problem(self, entry: Entry, name: _Name, old: Stage, new: Stage) -> str:
        """Say why a version may not be moved so by hand or by an admission; empty if it may."""
        if new is Stage.DEPLOYED:
            return "no alias was moved to it" if not self._is_live(name) else "it follows no move of an alias"
        if new is Stage.REVOKED:
            return "a version is revoked by an entry of its own"
        if "promotion" in entry.subject:
            return self._admission_problem(entry, old, new)
        if new in BY_HAND[old]:
            return ""
        legal = ", ".join(each for each in Stage if each in BY_HAND[old]) or "none"
        return f"that is no legal move; from {old} there are by hand: {legal}"

    def _admission_problem(self, entry: Entry, old: Stage, new: Stage) -> str:
        if new is not Stage.APPROVED or admitting(old) is not new:
            return "a promotion makes a version approved, and nothing else"
        key = _decision_key(entry)
        if key not in self.state.decided:
            return "its promotion has no decision with the result PASSED before"
        if entry.envelope_digest != self.state.decided[key]:
            return "it rests on another document than the decision of its promotion"
        return ""

    def _revoke(self, record: Record, name: _Name) -> None:
        stood = self.state.stages.get(name, Stage.REGISTERED)
        told = record.entry.old
        if self.state.strict and told is not None and told != stood:
            message = f"it says that the version was {told}, and the log has it {stood}"
            self.violated(record, Code.STATE_MISMATCH, message)
        self.state.stages[name] = Stage.REVOKED

    def _pays(self, entry: Entry) -> bool:
        """Whether a change is one that the last move of an alias makes, rather than one after an upgrade."""
        name = _version_of(entry)
        if name is None or name not in self.state.owed:
            return False
        return (entry.old, entry.new) == (
            self.state.stages.get(name, Stage.REGISTERED),
            self.state.owed[name],
        )

    def _is_live(self, name: _Name) -> bool:
        return name in self.state.live

    def _count(self, name: _Name, change: int) -> None:
        count = self.state.live.pop(name, 0) + change
        if count:
            self.state.live[name] = count


def _version_of(entry: Entry) -> _Name | None:
    subject = entry.subject
    if not {"namespace", "model", "version"} <= set(subject):
        return None
    return str(subject["namespace"]), str(subject["model"]), int(subject["version"])


def _decision_key(entry: Entry) -> tuple[str, str]:
    return str(entry.subject.get("promotion", "")), str(entry.subject.get("bundle_digest", ""))


def _stage(value: str | None) -> Stage | None:
    return Stage(value) if value in set(Stage) else None

"""Rollouts in a log: is every change of one legal, and do the aliases follow it?

Responsible for ``rollout.started`` and ``rollout.changed`` entries: that an alias's rollouts are numbered in
order, one at a time; that each change goes from where the rollout stood, along a way that ``carnet.rollouts``
has; that the documents say what their entries say; and that the moves of aliases that a rollout makes follow
its entry directly and go where it says, to its challenger or back to its champion. Pure.

Does not ask whether a guardrail was rightly found to be breached or to hold: the documents have the figures.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from carnet.audit.codes import Code
from carnet.audit.judging import Judge, JudgedLog, judge_records
from carnet.audit.report import Verdict
from carnet.audit.statements import Record  # noqa: TC001  read by state_codec
from carnet.canonical import parse_canonical_json
from carnet.errors import InvalidInputError
from carnet.references import ResourceName
from carnet.rollouts import (
    CHANGE_SCHEMA,
    LEGAL,
    PLAN_SCHEMA,
    RolloutKind,
    RolloutState,
    describe_standing,
    parse_standing,
)
from carnet.translog.entry import EntryType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from carnet.audit.report import Finding
    from carnet.translog.entry import Entry

_Alias = tuple[str, str, str]
_MOVES = frozenset({EntryType.ALIAS_MOVED, EntryType.ALIAS_REMOVED})
_ROLLOUTS = frozenset({EntryType.ROLLOUT_STARTED, EntryType.ROLLOUT_CHANGED})
_MOVED = frozenset({RolloutState.BAKING, RolloutState.SUCCEEDED})


def judge_rollouts(
    environment: str, records: Iterable[Record], read: Callable[[str], bytes | None]
) -> list[Finding]:
    """Judge the rollouts of one environment's log.

    Args:
        environment: The environment.
        records: Every entry of its log, in order.
        read: Gives the bytes of a document by its digest; None for one that was not found whole.

    Returns:
        What is wrong.
    """
    return judge_records(RolloutJudge(JudgedLog(environment, read)), records)


@dataclass(slots=True)
class _Rollout:
    """What the log has told about one rollout so far."""

    alias: _Alias
    number: int
    version: int
    digest: str
    state: RolloutState
    share: float
    champion: int = 0
    challenger_alias: str = ""
    kind: RolloutKind | None = None
    shares: list[float] = field(default_factory=list)
    step: int = 0

    @property
    def standing(self) -> str:
        return describe_standing(self.state, self.share)

    @property
    def name(self) -> str:
        namespace, model, alias = self.alias
        return str(ResourceName(namespace, model, alias=alias, rollout=self.number))


@dataclass(slots=True)
class RolloutsState:
    """Every alias's place, every alias's newest rollout, and what a rollout can rest on.

    Attributes:
        pointed: The version that each alias points at; 0 for none.
        newest: The newest rollout of each alias.
        decided: Promotion, bundle and document of each decision that said yes.
        policies: The policies that were in force.
        documents: What rollouts rested on.
        followed: The rollout whose moves must come next, its entry, and its state before.
    """

    pointed: dict[_Alias, int] = field(default_factory=dict)
    newest: dict[_Alias, _Rollout] = field(default_factory=dict)
    decided: set[tuple[str, str, str | None]] = field(default_factory=set)
    policies: set[str] = field(default_factory=set)
    documents: set[str] = field(default_factory=set)
    followed: tuple[_Rollout, Record, RolloutState | None] | None = None


class RolloutJudge(Judge):
    """One walk along a log, with every alias's place and every alias's newest rollout."""

    NAME = "rollouts"
    STATE = RolloutsState
    state: RolloutsState

    def step(self, record: Record) -> None:
        """Judge the next record."""
        entry = record.entry
        if entry.type in _ROLLOUTS:
            self._settle()
            self._step_rollout(record)
        elif entry.type in _MOVES:
            self._step_move(record)
        elif entry.type is not EntryType.VERSION_STAGE_CHANGED:
            self._settle()
            if entry.type is EntryType.POLICY_CHANGED and entry.new is not None:
                self.state.policies.add(entry.new)
            elif entry.type is EntryType.DECISION_MADE and entry.new == "PASSED":
                self.state.decided.add((*_decision_key(entry), entry.envelope_digest))

    def finish(self) -> None:
        """See that the last change was followed by what it makes."""
        self._settle()

    def _settle(self) -> None:
        """See that the aliases are where the last change of a rollout says."""
        followed = self.state.followed
        if followed is None:
            return
        self.state.followed = None
        rollout, record, before = followed
        points_at = self.state.pointed.get(rollout.alias, 0)
        moved = rollout.state in _MOVED and rollout.kind is not RolloutKind.SHADOW
        if moved and points_at != rollout.version:
            self._violated(
                record,
                Code.ROLLOUT_NOT_FOLLOWED,
                f"the alias was not moved to version {rollout.version} right after it",
                rollout,
            )
        if rollout.state is not RolloutState.ROLLED_BACK:
            return
        if points_at == rollout.version:
            self._violated(
                record,
                Code.ROLLOUT_NOT_FOLLOWED,
                f"the alias still points at version {rollout.version} after it",
                rollout,
            )
        elif before is RolloutState.BAKING and rollout.champion and points_at != rollout.champion:
            message = f"the alias was not moved back to version {rollout.champion} right after it"
            self._violated(record, Code.ROLLOUT_NOT_FOLLOWED, message, rollout)

    def _step_rollout(self, record: Record) -> None:
        subject = record.entry.subject
        wanted = {"namespace", "model", "alias", "version", "bundle_digest", "rollout"}
        standing = parse_standing(record.entry.new)
        if not wanted <= set(subject) or standing is None:
            self._violated(
                record, Code.ENTRY_INCONSISTENT, f"it names no rollout, or no state: {record.entry.new!r}"
            )
            return
        told = _Rollout(
            _alias_of(record.entry),
            int(subject["rollout"]),
            int(subject["version"]),
            str(subject["bundle_digest"]),
            *standing,
        )
        if record.entry.envelope_digest is not None:
            self.state.documents.add(record.entry.envelope_digest)
        before = None
        if record.entry.type is EntryType.ROLLOUT_STARTED:
            self._start(record, told)
        else:
            before = self._change(record, told)
        self.state.followed = (self.state.newest[told.alias], record, before)

    def _start(self, record: Record, told: _Rollout) -> None:
        newest = self.state.newest.get(told.alias)
        number = newest.number if newest else 0
        if newest is not None and not newest.state.ended:
            self._violated(
                record, Code.ROLLOUT_OUT_OF_ORDER, f"rollout {number} of the alias had not ended", told
            )
        if told.number != number + 1:
            self._violated(
                record, Code.ROLLOUT_OUT_OF_ORDER, f"the alias's next rollout would be {number + 1}", told
            )
        if told.state is not RolloutState.RUNNING or record.entry.old != "":
            self._violated(
                record,
                Code.ILLEGAL_TRANSITION,
                f"it begins from {record.entry.old!r} as {record.entry.new!r}",
                told,
            )
        self.state.newest[told.alias] = told
        plan = self._document(record, told, PLAN_SCHEMA)
        if plan is not None:
            self._take_plan(record, told, plan)

    def _take_plan(self, record: Record, told: _Rollout, plan: dict[str, Any]) -> None:
        try:
            champion, challenger = plan["champion"], plan["challenger"]
            told.champion = int(champion["version"])
            told.challenger_alias = str(plan["challenger_alias"])
            told.kind = RolloutKind(plan["kind"])
            told.shares = [float(each["share"]) for each in plan["steps"]]
            said = (challenger["version"], challenger["bundle_digest"], plan["environment"])
            policy = str(plan["policy_digest"])
        except (KeyError, TypeError, ValueError):
            self._violated(record, Code.DOCUMENT_INVALID, "its document is no plan of a rollout", told)
            return
        if said != (told.version, told.digest, self.log.environment):
            self._violated(
                record,
                Code.DOCUMENT_MISQUOTED,
                f"its plan is for version {said[0]} of {said[2]}, {said[1]}",
                told,
            )
        if not told.shares or told.standing != describe_standing(told.state, told.shares[0]):
            self._violated(
                record,
                Code.DOCUMENT_MISQUOTED,
                f"it begins as {record.entry.new!r}, and its plan does not",
                told,
            )
        points_at = self.state.pointed.get(told.alias, 0)
        if told.champion != points_at:
            message = (
                f"its champion is version {told.champion}, and the alias pointed at {points_at or 'none'}"
            )
            self._violated(record, Code.STATE_MISMATCH, message, told)
        if policy not in self.state.policies:
            self._violated(
                record,
                Code.POLICY_NOT_IN_FORCE,
                f"it goes by the policy {policy}, which never was in force",
                told,
            )

    def _change(self, record: Record, told: _Rollout) -> RolloutState | None:
        """Take a change, and return the state before it; None where nothing had begun."""
        rollout = self.state.newest.get(told.alias)
        if rollout is None or rollout.number != told.number:
            self._violated(
                record, Code.ROLLOUT_OUT_OF_ORDER, "it has not begun, or another one has begun since", told
            )
            if rollout is None or rollout.number < told.number:
                self.state.newest[told.alias] = told
            return None
        before = rollout.state
        if (told.version, told.digest) != (rollout.version, rollout.digest):
            self._violated(
                record,
                Code.STATE_MISMATCH,
                f"it is about version {told.version}, and began with {rollout.version}",
            )
        if record.entry.old != rollout.standing:
            self._violated(
                record,
                Code.STATE_MISMATCH,
                f"it says that it was {record.entry.old!r}, and the log has it {rollout.standing!r}",
            )
        problem = _illegal(rollout, told)
        if problem:
            self._violated(record, Code.ILLEGAL_TRANSITION, f"{before} to {told.state}: {problem}")
        if (before, told.state) == (RolloutState.RUNNING, RolloutState.RUNNING):
            rollout.step += 1
        rollout.state, rollout.share = told.state, told.share
        change = self._document(record, rollout, CHANGE_SCHEMA)
        if change is not None and (change.get("old"), change.get("new")) != (
            record.entry.old,
            record.entry.new,
        ):
            self._violated(
                record,
                Code.DOCUMENT_MISQUOTED,
                f"its document says {change.get('old')!r} to {change.get('new')!r}",
            )
        return before

    def _document(self, record: Record, rollout: _Rollout, schema: str) -> dict[str, Any] | None:
        """Read the document of an entry; None where it cannot be read, which is told."""
        digest = record.entry.envelope_digest
        if digest is None:
            self.add(Verdict.INCOMPLETE, record, Code.DOCUMENT_MISSING, "it rests on no document")
            return None
        data = self.log.document(digest)
        if data is None:
            return None
        try:
            found = parse_canonical_json(data, what="its document")
        except InvalidInputError as error:
            self._violated(record, Code.DOCUMENT_INVALID, error.message)
            return None
        if not isinstance(found, dict) or found.get("schema") != schema:
            self._violated(record, Code.DOCUMENT_INVALID, f"its document is no {schema}")
            return None
        if found.get("rollout") != rollout.name:
            self._violated(record, Code.DOCUMENT_MISQUOTED, f"its document is about {found.get('rollout')!r}")
            return None
        return found

    def _step_move(self, record: Record) -> None:
        entry = record.entry
        alias = _alias_of(entry)
        after = int(entry.subject.get("version", 0)) if entry.type is EntryType.ALIAS_MOVED else 0
        claims = "rollout" in entry.subject or entry.envelope_digest in self.state.documents
        follows = self.state.followed is not None and _is_of(entry, *self.state.followed[:2])
        if claims and not follows:
            self._violated(
                record,
                Code.ROLLOUT_NOT_FOLLOWED,
                "it says that a rollout made it, and follows no entry of that rollout",
            )
        if not follows:
            self._settle()
        self.state.pointed[alias] = after
        if follows and self.state.followed is not None:
            self._check_move(record, self.state.followed[0], alias, after)

    def _check_move(self, record: Record, rollout: _Rollout, alias: _Alias, after: int) -> None:
        if alias == rollout.alias:
            back = rollout.state is RolloutState.ROLLED_BACK
            wanted = rollout.champion if back else rollout.version
            if wanted and after != wanted:
                self._violated(
                    record,
                    Code.ROLLOUT_NOT_FOLLOWED,
                    f"{rollout.name} moved it to {after or 'none'}, and not to {wanted}",
                )
            promotion = _promotion_of(record.entry)
            key = (*_decision_key(record.entry), record.entry.envelope_digest)
            if promotion and key not in self.state.decided:
                self._violated(
                    record,
                    Code.DECISION_MISSING,
                    f"no decision of promotion {promotion} that it rests on came before",
                )
        elif rollout.challenger_alias and alias[2] != rollout.challenger_alias:
            self._violated(record, Code.ROLLOUT_NOT_FOLLOWED, f"{rollout.name} is about other aliases")
        elif after not in {0, rollout.version}:
            self._violated(
                record,
                Code.ROLLOUT_NOT_FOLLOWED,
                f"{rollout.name} moved it to version {after}, which it does not try",
            )

    def _violated(self, record: Record, code: Code, message: str, rollout: _Rollout | None = None) -> None:
        where = f"{rollout.name}: " if rollout else ""
        self.violated(record, code, f"{where}{message}")


def _illegal(rollout: _Rollout, told: _Rollout) -> str:
    """Say why a rollout may not go from where it stood; empty if it may."""
    legal = LEGAL[rollout.state]
    if told.state not in legal:
        names = ", ".join(each for each in RolloutState if each in legal) or "none"
        return f"that is no legal change; from {rollout.state} there are: {names}"
    if told.state is not RolloutState.RUNNING:
        return ""
    if told.share < rollout.share:
        return f"its share falls from {rollout.share:g} to {told.share:g}"
    following = rollout.shares[rollout.step + 1 : rollout.step + 2]
    if rollout.shares and [told.standing] != [describe_standing(told.state, share) for share in following]:
        return f"its plan has no next step with the share {told.share:g}"
    return ""


def _is_of(entry: Entry, rollout: _Rollout, record: Record) -> bool:
    """Whether a move of an alias is one that the change of a rollout before it makes."""
    if entry.envelope_digest is not None and entry.envelope_digest == record.entry.envelope_digest:
        return True
    return _alias_of(entry) == rollout.alias and entry.subject.get("rollout") == rollout.number


def _alias_of(entry: Entry) -> _Alias:
    subject = entry.subject
    return str(subject.get("namespace", "")), str(subject.get("model", "")), str(subject.get("alias", ""))


def _promotion_of(entry: Entry) -> str:
    return str(entry.subject.get("promotion", ""))


def _decision_key(entry: Entry) -> tuple[str, str]:
    return _promotion_of(entry), str(entry.subject.get("bundle_digest", ""))

"""Folding a log: what its entries, one after the other, have made of an environment.

Responsible for the state at any moment: aliases, what hosts say they run, versions with their stages, marks,
holds, rollouts, and the policy and trust documents in force. Pure, and no larger than what it tells: it keeps
no entry.

Judges nothing: an entry that contradicts those before it is taken at its word, and the modules that judge say
so. Reads no documents, so that what only a document tells (a rollout's plan, why something was done) is named
by its digest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from carnet.rollouts import RolloutState, parse_standing
from carnet.stages import Stage
from carnet.translog.entry import EntryType

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from carnet.translog.entry import Entry


class AliasName(NamedTuple):
    """An alias of a model."""

    namespace: str
    model: str
    alias: str


class VersionName(NamedTuple):
    """A version of a model; of a model itself the version is 0."""

    namespace: str
    model: str
    version: int


@dataclass(frozen=True, slots=True)
class Place:
    """Which entry made something so: its index, its time, and the subject that did it."""

    index: int
    time: datetime
    by: str


@dataclass(frozen=True, slots=True)
class AliasState:
    """Where an alias stands.

    Attributes:
        version: What it points at; 0 where it was removed.
        bundle_digest: The digest of that version; empty for none.
        revision: How often it was moved, removals counted.
        since: The entry that moved it there.
        promotion: The promotion that the move was part of; empty for none.
        rollout: The rollout that moved it; 0 for none.
        document: The digest of what the move rests on; empty for nothing.
        before: What it pointed at before; 0 for nothing.
    """

    version: int
    bundle_digest: str
    revision: int
    since: Place
    promotion: str = ""
    rollout: int = 0
    document: str = ""
    before: int = 0


@dataclass(slots=True)
class VersionState:
    """Where a version stands.

    Attributes:
        bundle_digest: Its digest.
        arrived: The entry that brought it.
        admitted: Whether it came from elsewhere, rather than being published here.
        promotion: The promotion that brought it; empty for none.
        stage: Its stage.
        staged: The entry that put it there.
        revoked: The entry that revoked it; None while it is not.
        purged: The entry that took its files away; None while it has them.
    """

    bundle_digest: str
    arrived: Place
    admitted: bool
    promotion: str
    stage: str
    staged: Place
    revoked: Place | None = None
    purged: Place | None = None


@dataclass(frozen=True, slots=True)
class RunningState:
    """A version that serving hosts say they run, and the entry of the first that said so."""

    version: int
    since: Place


@dataclass(frozen=True, slots=True)
class MarkState:
    """The version that is marked as known-good for an alias, and the entry that marked it."""

    version: int
    since: Place


@dataclass(slots=True)
class HoldState:
    """A hold: on what, until when by itself, and the entries that placed and released it."""

    name: VersionName
    until: datetime | None
    placed: Place
    document: str
    released: Place | None = None

    def in_force(self, at: datetime) -> bool:
        """Whether it keeps something from being purged at a moment."""
        return self.released is None and (self.until is None or self.until > at)


@dataclass(slots=True)
class RolloutStanding:
    """Where the newest rollout of an alias stands.

    Attributes:
        number: Its number.
        version: The version that is tried.
        bundle_digest: Its digest.
        state: The state.
        share: The challenger's share, from 0 to 1.
        started: The entry that began it.
        since: The entry that changed it last.
        plan: The digest of its plan; empty where the entry names none.
    """

    number: int
    version: int
    bundle_digest: str
    state: RolloutState
    share: float
    started: Place
    since: Place
    plan: str


@dataclass(frozen=True, slots=True)
class DocumentInForce:
    """A policy or trust document, and the entry that put it in force."""

    digest: str
    since: Place


@dataclass(slots=True)
class LogState:
    """What a log's entries have made of an environment; begins empty.

    Attributes:
        size: How many entries were taken.
        aliases: Every alias that ever was; one that was removed has version 0.
        versions: Every version that ever arrived.
        running: What hosts say they run, by the alias that they follow and the bundle's digest.
        marks: The marks that stand.
        holds: Every hold that ever was placed, by its number.
        rollouts: The newest rollout of each alias.
        policy: The policy in force; None before the first.
        trust: The trust document in force; None before the first.
        time: The time of the newest entry; None before the first.
    """

    size: int = 0
    aliases: dict[AliasName, AliasState] = field(default_factory=dict)
    versions: dict[VersionName, VersionState] = field(default_factory=dict)
    running: dict[AliasName, dict[str, RunningState]] = field(default_factory=dict)
    marks: dict[AliasName, MarkState] = field(default_factory=dict)
    holds: dict[int, HoldState] = field(default_factory=dict)
    rollouts: dict[AliasName, RolloutStanding] = field(default_factory=dict)
    policy: DocumentInForce | None = None
    trust: DocumentInForce | None = None
    time: datetime | None = None

    def step(self, index: int, entry: Entry) -> None:
        """Take the next entry.

        Args:
            index: Its index.
            entry: The entry.
        """
        self.size += 1
        self.time = max(self.time, entry.time) if self.time else entry.time
        take = _STEPS.get(entry.type)
        if take is not None:
            take(self, entry, Place(index, entry.time, entry.actor.subject))

    def live_aliases(self) -> dict[VersionName, tuple[str, ...]]:
        """Return the aliases that point at each version that one points at, by name."""
        found: dict[VersionName, list[str]] = {}
        for alias, state in self.aliases.items():
            if state.version:
                name = VersionName(alias.namespace, alias.model, state.version)
                found.setdefault(name, []).append(alias.alias)
        return {name: tuple(sorted(names)) for name, names in found.items()}

    def running_version(self, alias: AliasName, bundle_digest: str) -> VersionName | None:
        """Return the version that an alias's hosts say they run; None if none of that digest is known."""
        running = self.running.get(alias, {}).get(bundle_digest)
        if running is None:
            return None
        name = VersionName(alias.namespace, alias.model, running.version)
        version = self.versions.get(name)
        return name if version is not None and version.bundle_digest == bundle_digest else None

    def _move_alias(self, entry: Entry, place: Place) -> None:
        name, subject = alias_of(entry), entry.subject
        before = self.aliases.get(name)
        removed = entry.type is EntryType.ALIAS_REMOVED
        self.aliases[name] = AliasState(
            version=0 if removed else int(subject.get("version", 0)),
            bundle_digest="" if removed else str(subject.get("bundle_digest", "")),
            revision=before.revision + 1 if before else 1,
            since=place,
            promotion=str(subject.get("promotion", "")),
            rollout=int(subject.get("rollout", 0)),
            document=entry.envelope_digest or "",
            before=before.version if before else 0,
        )

    def _arrive(self, entry: Entry, place: Place) -> None:
        self.versions.setdefault(
            version_of(entry),
            VersionState(
                bundle_digest=str(entry.subject.get("bundle_digest", "")),
                arrived=place,
                admitted=entry.type is EntryType.VERSION_ADMITTED,
                promotion=str(entry.subject.get("promotion", "")),
                stage=Stage.REGISTERED,
                staged=place,
            ),
        )

    def _change_stage(self, entry: Entry, place: Place) -> None:
        version = self.versions.get(version_of(entry))
        if version is None:
            return
        if entry.type is EntryType.VERSION_REVOKED:
            version.stage, version.revoked = Stage.REVOKED, place
        else:
            version.stage = entry.new or ""
        version.staged = place

    def _purge(self, entry: Entry, place: Place) -> None:
        version = self.versions.get(version_of(entry))
        if version is not None:
            version.purged = place

    def _observe(self, entry: Entry, place: Place) -> None:
        running = self.running.setdefault(alias_of(entry), {})
        digest = str(entry.subject.get("bundle_digest", ""))
        if entry.new:
            running[digest] = RunningState(int(entry.subject.get("version", 0)), place)
        else:
            running.pop(digest, None)

    def _mark(self, entry: Entry, place: Place) -> None:
        name, marked = alias_of(entry), entry.new or ""
        if marked.isdecimal():
            self.marks[name] = MarkState(int(marked), place)
        else:
            self.marks.pop(name, None)

    def _place_hold(self, entry: Entry, place: Place) -> None:
        hold = int(entry.subject.get("hold", 0))
        self.holds[hold] = HoldState(
            version_of(entry), _time_of(entry.new), place, entry.envelope_digest or ""
        )

    def _release_hold(self, entry: Entry, place: Place) -> None:
        hold = self.holds.get(int(entry.subject.get("hold", 0)))
        if hold is not None:
            hold.released = place

    def _change_rollout(self, entry: Entry, place: Place) -> None:
        name, standing = alias_of(entry), parse_standing(entry.new)
        number = int(entry.subject.get("rollout", 0))
        present = self.rollouts.get(name)
        if standing is None:
            return
        if entry.type is EntryType.ROLLOUT_STARTED or present is None or present.number != number:
            self.rollouts[name] = RolloutStanding(
                number,
                int(entry.subject.get("version", 0)),
                str(entry.subject.get("bundle_digest", "")),
                *standing,
                started=place,
                since=place,
                plan=entry.envelope_digest or "" if entry.type is EntryType.ROLLOUT_STARTED else "",
            )
        else:
            (present.state, present.share), present.since = standing, place

    def _change_document(self, entry: Entry, place: Place) -> None:
        told = DocumentInForce(entry.new or "", place)
        if entry.type is EntryType.POLICY_CHANGED:
            self.policy = told
        else:
            self.trust = told


_STEPS: Mapping[EntryType, Callable[[LogState, Entry, Place], None]] = {
    EntryType.ALIAS_MOVED: LogState._move_alias,  # noqa: SLF001 - the table of this very class
    EntryType.ALIAS_REMOVED: LogState._move_alias,  # noqa: SLF001
    EntryType.ALIAS_MARKED: LogState._mark,  # noqa: SLF001
    EntryType.SERVING_OBSERVED: LogState._observe,  # noqa: SLF001
    EntryType.VERSION_PUBLISHED: LogState._arrive,  # noqa: SLF001
    EntryType.VERSION_ADMITTED: LogState._arrive,  # noqa: SLF001
    EntryType.VERSION_STAGE_CHANGED: LogState._change_stage,  # noqa: SLF001
    EntryType.VERSION_REVOKED: LogState._change_stage,  # noqa: SLF001
    EntryType.VERSION_PURGED: LogState._purge,  # noqa: SLF001
    EntryType.HOLD_PLACED: LogState._place_hold,  # noqa: SLF001
    EntryType.HOLD_RELEASED: LogState._release_hold,  # noqa: SLF001
    EntryType.ROLLOUT_STARTED: LogState._change_rollout,  # noqa: SLF001
    EntryType.ROLLOUT_CHANGED: LogState._change_rollout,  # noqa: SLF001
    EntryType.POLICY_CHANGED: LogState._change_document,  # noqa: SLF001
    EntryType.TRUST_CHANGED: LogState._change_document,  # noqa: SLF001
}


def alias_of(entry: Entry) -> AliasName:
    """Return the alias that an entry is about; its parts are empty where the entry names none."""
    subject = entry.subject
    return AliasName(
        str(subject.get("namespace", "")), str(subject.get("model", "")), str(subject.get("alias", ""))
    )


def version_of(entry: Entry) -> VersionName:
    """Return the version that an entry is about; 0 where it names none."""
    subject = entry.subject
    return VersionName(
        str(subject.get("namespace", "")), str(subject.get("model", "")), int(subject.get("version", 0))
    )


def _time_of(value: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if value else None
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo is not None else None

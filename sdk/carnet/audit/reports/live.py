"""What was live when: by aliases, by rollouts, and by what serving hosts reported.

Responsible for the spans of time in which each alias pointed at each version, the spans of rollouts with
their shares, the spans in which hosts said that they run each version, and the reports that deviated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.audit.fold import AliasName, LogState, VersionName, alias_of
from carnet.audit.reports import columns
from carnet.audit.reports.derivation import Derivation, Derived
from carnet.audit.reports.model import Table
from carnet.audit.reports.wording import name_alias, name_version
from carnet.translog.entry import EntryType

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from carnet.audit.fold import AliasState, Place, RolloutStanding
    from carnet.audit.reports.derivation import Sources
    from carnet.audit.reports.model import Cell, LogRange
    from carnet.audit.reports.query import ReportQuery
    from carnet.audit.statements import Record

_MOVES = frozenset({EntryType.ALIAS_MOVED, EntryType.ALIAS_REMOVED})
_SPAN = (
    columns.text("environment"),
    columns.text("alias"),
    columns.text("version"),
    columns.digest("bundle_digest"),
    columns.moment("from"),
    columns.moment("to"),
    columns.number("from_entry"),
    columns.number("to_entry"),
)
_ROLLOUTS = frozenset({EntryType.ROLLOUT_STARTED, EntryType.ROLLOUT_CHANGED})


class Live(Derivation):
    """What was live in a period."""

    def __init__(self, sources: Sources, query: ReportQuery) -> None:
        super().__init__(sources, query)
        self._states: dict[str, LogState] = {}
        self._spans: list[tuple[Cell, ...]] = []
        self._shares: list[tuple[Cell, ...]] = []
        self._running: list[tuple[Cell, ...]] = []
        self._reports: list[tuple[Cell, ...]] = []

    def take(self, environment: str, record: Record) -> None:
        """Take the next record."""
        entry = record.entry
        state = self._states.setdefault(environment, LogState())
        place = (record.index, entry.time)
        if entry.type in _MOVES:
            self._end_span(environment, alias_of(entry), state.aliases.get(alias_of(entry)), *place)
        elif entry.type in _ROLLOUTS:
            self._end_share(environment, alias_of(entry), state.rollouts.get(alias_of(entry)), *place)
        elif entry.type is EntryType.SERVING_OBSERVED and not entry.new:
            digest = str(entry.subject.get("bundle_digest", ""))
            self._end_running(environment, alias_of(entry), digest, *place)
        state.step(record.index, entry)
        if entry.type is EntryType.SERVING_DRIFTED and self.query.covers(entry.time):
            self._reports.append(self._report(environment, record, state))

    def finish(self, logs: Sequence[LogRange]) -> Derived:
        """Return the tables."""
        for environment, state in self._states.items():
            for alias, standing in state.aliases.items():
                self._end_span(environment, alias, standing, None, None)
            for alias, rollout in state.rollouts.items():
                self._end_share(environment, alias, rollout, None, None)
            for alias, running in state.running.items():
                for digest in running:
                    self._end_running(environment, alias, digest, None, None)
        return Derived(
            "What was live when",
            (self._spans_table(), self._shares_table(), self._running_table(), self._reports_table()),
            (
                (
                    f"Every move of every alias was followed, in {len(logs)} verified logs; a span is told "
                    "where it touches the period, and its whole length is stated. An open end goes on after "
                    "the checkpoint."
                ),
                (
                    "An alias is what serving hosts are to run. What they ran is their own word: a version "
                    "runs from the first instance's report until none says so any more, which is told at "
                    "once or within three minutes. How many instances ran it is in no log. One that ran what "
                    "the alias neither points at nor pointed at before is told by itself, once an hour at "
                    "most."
                ),
            ),
        )

    def _touches(self, begins: datetime, ends: datetime | None) -> bool:
        since, until = self.query.since, self.query.until
        return (until is None or begins < until) and (since is None or ends is None or ends > since)

    def _end_span(
        self,
        environment: str,
        alias: AliasName,
        standing: AliasState | None,
        index: int | None,
        time: datetime | None,
    ) -> None:
        if standing is None or not standing.version or not self._touches(standing.since.time, time):
            return
        self._spans.append(
            (
                environment,
                name_alias(alias),
                name_version(VersionName(alias.namespace, alias.model, standing.version)),
                standing.bundle_digest or None,
                standing.since.time,
                time,
                standing.since.index,
                index,
                self.people.of_subject(standing.since.by),
                standing.promotion or None,
                standing.rollout or None,
                standing.revision,
            )
        )

    def _end_share(
        self,
        environment: str,
        alias: AliasName,
        rollout: RolloutStanding | None,
        index: int | None,
        time: datetime | None,
    ) -> None:
        if rollout is None or rollout.state.ended or not self._touches(rollout.since.time, time):
            return
        since: Place = rollout.since
        plan = self.sources.object(environment, rollout.plan)
        self._shares.append(
            (
                environment,
                name_alias(alias),
                rollout.number,
                str(plan["kind"]) if isinstance(plan.get("kind"), str) else None,
                name_version(VersionName(alias.namespace, alias.model, rollout.version)),
                rollout.bundle_digest or None,
                str(rollout.state),
                rollout.share,
                since.time,
                time,
                since.index,
                index,
            )
        )

    def _end_running(
        self,
        environment: str,
        alias: AliasName,
        digest: str,
        index: int | None,
        time: datetime | None,
    ) -> None:
        state = self._states[environment]
        running = state.running.get(alias, {}).get(digest)
        if running is None or not self._touches(running.since.time, time):
            return
        version = state.running_version(alias, digest)
        self._running.append(
            (
                environment,
                name_alias(alias),
                name_version(version) if version else None,
                digest or None,
                running.since.time,
                time,
                running.since.index,
                index,
                self.people.of_subject(running.since.by),
            )
        )

    def _report(self, environment: str, record: Record, state: LogState) -> tuple[Cell, ...]:
        entry, alias = record.entry, alias_of(record.entry)
        digest = str(entry.subject.get("bundle_digest", ""))
        known = sorted(
            name_version(name)
            for name, each in state.versions.items()
            if name[:2] == alias[:2] and each.bundle_digest == digest
        )
        return (
            environment,
            record.index,
            entry.time,
            name_alias(alias),
            self.people.actor(record),
            entry.new,
            entry.old,
            digest or None,
            ", ".join(known) or None,
        )

    def _spans_table(self) -> Table:
        return Table(
            "aliases",
            "By alias",
            "From when until when each alias pointed at each version.",
            (
                *_SPAN,
                columns.text("moved_by"),
                columns.text("promotion"),
                columns.number("rollout"),
                columns.number("revision"),
            ),
            tuple(sorted(self._spans, key=_order)),
        )

    def _shares_table(self) -> Table:
        return Table(
            "rollouts",
            "By rollout",
            "From when until when a version had which share of an alias's traffic beside the version that "
            "the alias points at. A shadow's answers are thrown away.",
            (
                columns.text("environment"),
                columns.text("alias"),
                columns.number("rollout"),
                columns.text("kind"),
                columns.text("version"),
                columns.digest("bundle_digest"),
                columns.text("state"),
                columns.number("share"),
                columns.moment("from"),
                columns.moment("to"),
                columns.number("from_entry"),
                columns.number("to_entry"),
            ),
            tuple(sorted(self._shares, key=lambda row: (str(row[0]), str(row[1]), _number(row[10])))),
        )

    def _running_table(self) -> Table:
        return Table(
            "running",
            "By what serving hosts reported",
            "From when until when instances that follow an alias said that they run a version.",
            (
                *_SPAN,
                columns.text("first_reporter"),
            ),
            tuple(sorted(self._running, key=_order)),
        )

    def _reports_table(self) -> Table:
        return Table(
            "reported",
            "Instances that ran something else",
            "Instances that said that they run what the alias neither points at nor pointed at before.",
            (
                *columns.ENTRY,
                columns.text("alias"),
                columns.text("reporter"),
                columns.text("instance"),
                columns.digest("expected_digest"),
                columns.digest("reported_digest"),
                columns.text("reported_version"),
            ),
            tuple(self._reports),
        )


def _order(row: tuple[Cell, ...]) -> tuple[str, str, int]:
    return str(row[0]), str(row[1]), _number(row[6])


def _number(cell: Cell) -> int:
    assert isinstance(cell, int)
    return cell

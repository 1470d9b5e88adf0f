"""How environments differ: aliases, how far each is behind, and versions that one holds and another revoked.

Responsible for the differences between logs. Those between a log and what its registry answers are observed
by whoever asks the registry (``carnet.audit.reports.observed``).
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from carnet.audit.fold import LogState
from carnet.audit.reports import columns
from carnet.audit.reports.derivation import Derivation, Derived
from carnet.audit.reports.model import Table
from carnet.audit.reports.wording import name_version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from carnet.audit.fold import AliasName, AliasState, VersionName
    from carnet.audit.reports.derivation import Sources
    from carnet.audit.reports.model import Cell, LogRange
    from carnet.audit.reports.query import ReportQuery
    from carnet.audit.statements import Record


class Drift(Derivation):
    """The differences at the logs' checkpoints."""

    def __init__(self, sources: Sources, query: ReportQuery) -> None:
        super().__init__(sources, query)
        self.states: dict[str, LogState] = {}

    def take(self, environment: str, record: Record) -> None:
        """Take the next record."""
        self.states.setdefault(environment, LogState()).step(record.index, record.entry)

    def finish(self, logs: Sequence[LogRange]) -> Derived:
        """Return the tables."""
        return Derived(
            "Drift",
            (self._aliases_table(), self._versions_table(), self._revoked_table()),
            (
                (
                    f"How things stand at the checkpoints of {len(logs)} verified logs, which were copied "
                    "one after the other: what happened in between shows in the later copies only."
                ),
                (
                    "'Behind' counts the versions of a model with a greater number that arrived in any of "
                    "these environments and were revoked in none."
                ),
                (
                    "Whether a registry answers what its log says is told in tables that are named "
                    "'observed', where the registries were asked; offline they are left out."
                ),
            ),
        )

    def _aliases_table(self) -> Table:
        pointed: dict[AliasName, dict[str, AliasState]] = {}
        for environment, state in self.states.items():
            for alias, standing in state.aliases.items():
                if standing.version:
                    pointed.setdefault(alias, {})[environment] = standing
        rows: list[tuple[Cell, ...]] = []
        standing_numbers = self._standing_numbers()
        for alias, standings in sorted(pointed.items()):
            digests = {each.bundle_digest for each in standings.values()}
            for environment, standing in sorted(standings.items()):
                numbers = standing_numbers.get(alias[:2], [])
                behind = numbers[bisect_right(numbers, standing.version) :]
                rows.append(
                    (
                        f"{alias.namespace}/{alias.model}",
                        alias.alias,
                        environment,
                        standing.version,
                        standing.bundle_digest or None,
                        standing.since.time,
                        standing.since.index,
                        len(behind),
                        behind[-1] if behind else None,
                        len(digests) > 1,
                        tuple(
                            sorted(
                                other
                                for other, each in standings.items()
                                if each.bundle_digest != standing.bundle_digest
                            )
                        ),
                    )
                )
        return Table(
            "aliases",
            "Aliases across environments",
            "Where each alias points in each environment, and how many newer versions there are.",
            (
                columns.text("model"),
                columns.text("alias"),
                columns.text("environment"),
                columns.number("version"),
                columns.digest("bundle_digest"),
                columns.moment("since"),
                columns.number("entry"),
                columns.number("behind", "Versions behind"),
                columns.number("newest", "Newest version"),
                columns.flag("differs"),
                columns.texts("differs_from", "Differs from"),
            ),
            tuple(rows),
        )

    def _standing_numbers(self) -> dict[tuple[str, str], list[int]]:
        """Return the numbers of each model's versions that are somewhere and revoked nowhere, in order."""
        found: dict[tuple[str, str], list[int]] = {}
        for name in sorted({each for state in self.states.values() for each in state.versions}):
            if not self._revoked_in(name):
                found.setdefault(name[:2], []).append(name.version)
        return found

    def _revoked_in(self, name: VersionName) -> list[str]:
        return sorted(
            environment
            for environment, state in self.states.items()
            if name in state.versions and state.versions[name].revoked is not None
        )

    def _versions_table(self) -> Table:
        rows: list[tuple[Cell, ...]] = []
        for name in sorted({each for state in self.states.values() for each in state.versions}):
            held = {
                environment: state.versions[name]
                for environment, state in self.states.items()
                if name in state.versions
            }
            stages = {each.stage for each in held.values()}
            digests = {each.bundle_digest for each in held.values()}
            if len(held) == len(self.states) and len(stages) == 1 and len(digests) == 1:
                continue
            rows.append(
                (
                    name_version(name),
                    tuple(f"{environment}: {each.stage}" for environment, each in sorted(held.items())),
                    tuple(sorted(set(self.states) - set(held))),
                    len(digests) > 1,
                )
            )
        return Table(
            "versions",
            "Versions across environments",
            "Versions that are not everywhere, or stand at different stages.",
            (
                columns.text("version"),
                columns.texts("stages"),
                columns.texts("missing_in"),
                columns.flag("digests_differ"),
            ),
            tuple(rows),
        )

    def _revoked_table(self) -> Table:
        rows: list[tuple[Cell, ...]] = []
        for environment, state in sorted(self.states.items()):
            live = state.live_aliases()
            for name, version in sorted(state.versions.items()):
                revoked = self._revoked_in(name)
                if not revoked or version.revoked is not None:
                    continue
                rows.append(
                    (
                        environment,
                        name_version(name),
                        version.bundle_digest or None,
                        str(version.stage),
                        live.get(name, ()),
                        tuple(revoked),
                        min(
                            place.time
                            for other in revoked
                            if (place := self.states[other].versions[name].revoked) is not None
                        ),
                    )
                )
        return Table(
            "revoked-elsewhere",
            "Held here, revoked elsewhere",
            "Versions that were revoked in one environment and not in this one.",
            (
                columns.text("environment"),
                columns.text("version"),
                columns.digest("bundle_digest"),
                columns.text("stage"),
                columns.texts("live_aliases"),
                columns.texts("revoked_in"),
                columns.moment("revoked_at"),
            ),
            tuple(rows),
        )

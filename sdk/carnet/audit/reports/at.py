"""What an alias pointed at, at one moment, and by whose decision.

Responsible for ``carnet audit at TIME REF``: the version with its share of the traffic, the entry that moved
the alias there, the decision with its approvals behind it, and what serving hosts said that they ran. A move
by hand or by a rollback rests on the decision that once let the version in; what was published here rests on
none.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from carnet.audit.fold import AliasName, LogState, VersionName
from carnet.audit.reports import columns
from carnet.audit.reports.derivation import Derivation, Derived
from carnet.audit.reports.dossier_tables import rules_table, words_table
from carnet.audit.reports.model import Table
from carnet.audit.reports.promotions import PromotionBook, PromotionRecords
from carnet.audit.reports.traffic import shares_of
from carnet.audit.reports.wording import name_version
from carnet.errors import NotFoundError
from carnet.signing.times import format_time
from carnet.translog.entry import EntryType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from carnet.audit.fold import AliasState
    from carnet.audit.reports.derivation import Sources
    from carnet.audit.reports.model import Cell, LogRange
    from carnet.audit.reports.people import People
    from carnet.audit.reports.query import ReportQuery
    from carnet.audit.reports.traffic import Share
    from carnet.audit.statements import Record


class At(Derivation):
    """Where an alias stood at a moment: after every entry whose time is not later."""

    def __init__(self, sources: Sources, query: ReportQuery) -> None:
        super().__init__(sources, query)
        asked = query.alias
        self._name = AliasName(asked.namespace, asked.model, asked.alias)
        self._environment = asked.environment
        self._state = LogState()
        self._book = PromotionBook(self._is_of_model)
        self._decided: dict[str, str] = {}
        self._seen: list[str] = []

    def take(self, environment: str, record: Record) -> None:
        """Take the next record."""
        entry = record.entry
        assert self.query.at is not None
        if entry.time > self.query.at:
            return
        self._state.step(record.index, entry)
        self._book.take(environment, record)
        if entry.type is EntryType.DECISION_MADE and entry.new == "PASSED" and self._is_of_model(record):
            digest = str(entry.subject.get("bundle_digest", ""))
            self._decided[digest] = str(entry.subject.get("promotion", ""))

    def finish(self, logs: Sequence[LogRange]) -> Derived:
        """Return the tables.

        Raises:
            NotFoundError: The alias never was set until then.
        """
        assert self.query.at is not None
        when = format_time(self.query.at)
        alias = self._state.aliases.get(self._name)
        if alias is None:
            known = ", ".join(str(each.alias) for each in self._state.aliases if each[:2] == self._name[:2])
            raise NotFoundError(
                f"{self.query.reference} was not set at {when}; aliases of the model then: {known or 'none'}",
                metadata={"field": "reference"},
            )
        rollout = self._state.rollouts.get(self._name)
        plan = self.sources.object(self._environment, rollout.plan) if rollout else {}
        shares = shares_of(alias, rollout, plan)
        # Of a challenger the decision is the one that let it in: no alias was moved for it yet.
        told = [(each, self._promotion(alias, each)) for each in shares]
        behind = {each.promotion: each for _, each in told if each is not None}
        return Derived(
            f"{self.query.reference} at {when}",
            (
                self._live_table(alias, told),
                self._running_table(),
                *_with_promotion(list(behind.values()), self.people),
            ),
            (
                (
                    f"Every entry of {self._environment} with a time until {when} was taken, in the order of "
                    f"the log: {self._state.size} of the {logs[0].count if logs else 0} that the checkpoint "
                    "signs."
                ),
                (
                    "It is what the alias pointed at. What serving hosts ran is their own word: the report "
                    "'live' says what the log has of it."
                ),
            ),
        )

    def _is_of_model(self, record: Record) -> bool:
        subject = record.entry.subject
        return (subject.get("namespace"), subject.get("model")) == self._name[:2]

    def _promotion(self, alias: AliasState, share: Share) -> PromotionRecords | None:
        moved = alias.promotion if share.role == "champion" else ""
        promotion = moved or self._decided.get(share.bundle_digest, "")
        return self._book.promotions.get((self._environment, promotion)) if promotion else None

    def _live_table(self, alias: AliasState, told: Sequence[tuple[Share, PromotionRecords | None]]) -> Table:
        rows: list[tuple[Cell, ...]] = []
        for share, promotion in told:
            name = VersionName(self._name.namespace, self._name.model, share.version)
            version = self._state.versions.get(name)
            decision = promotion.decision if promotion else None
            rows.append(
                (
                    self._environment,
                    self._name.alias,
                    name_version(name),
                    share.bundle_digest or None,
                    share.role,
                    share.share,
                    share.rollout or None,
                    str(version.stage) if version else None,
                    alias.since.time,
                    alias.since.index,
                    self.people.of_subject(alias.since.by),
                    alias.revision,
                    promotion.promotion if promotion else None,
                    decision.index if decision else None,
                    decision.entry.time if decision else None,
                    version.arrived.index if version else None,
                    self.people.of_subject(version.arrived.by) if version else None,
                )
            )
        return Table(
            "live",
            "What was live",
            "The version that the alias pointed at, and one that a rollout tried beside it. No row: the "
            "alias was removed. A decision is that of the promotion that moved the alias, else the last one "
            "that let the version in; a version that was published there has none.",
            (
                columns.text("environment"),
                columns.text("alias"),
                columns.text("version"),
                columns.digest("bundle_digest"),
                columns.text("role"),
                columns.number("share"),
                columns.number("rollout"),
                columns.text("stage"),
                columns.moment("since", "Alias moved at"),
                columns.number("move_entry", "By entry"),
                columns.text("moved_by"),
                columns.number("revision"),
                columns.text("promotion"),
                columns.number("decision_entry"),
                columns.moment("decided_at"),
                columns.number("arrival_entry", "Arrived by entry"),
                columns.text("brought_by"),
            ),
            tuple(rows),
        )

    def _running_table(self) -> Table:
        rows: list[tuple[Cell, ...]] = []
        for digest, running in self._state.running.get(self._name, {}).items():
            version = self._state.running_version(self._name, digest)
            rows.append(
                (
                    self._environment,
                    name_version(version) if version else None,
                    digest or None,
                    running.since.time,
                    running.since.index,
                    self.people.of_subject(running.since.by),
                )
            )
        return Table(
            "running",
            "What serving hosts said that they ran",
            "Each version that at least one instance that follows the alias said it ran then.",
            (
                columns.text("environment"),
                columns.text("version"),
                columns.digest("bundle_digest"),
                columns.moment("since"),
                columns.number("since_entry"),
                columns.text("first_reporter"),
            ),
            tuple(sorted(rows, key=lambda row: str(row[3]))),
        )


def _with_promotion(behind: Sequence[PromotionRecords], people: People) -> tuple[Table, ...]:
    """Return approvals and rules of several promotions, each row with the promotion that it is of."""
    told = behind or (PromotionRecords("", ""),)
    made = [(each.promotion, (words_table(each, people), rules_table(each))) for each in told]
    return tuple(
        replace(
            table,
            columns=(columns.text("promotion"), *table.columns),
            rows=tuple((promotion, *row) for promotion, tables in made for row in tables[part].rows),
        )
        for part, table in enumerate(made[0][1])
    )

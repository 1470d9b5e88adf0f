"""The inventory: every model, by owner and risk tier, with its versions and where they are live.

Responsible for one row for each version and environment, with what its manifest says of owner and labels. A
manifest is taken from the export, where it lies under its own digest, which the log names as the version's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from carnet.audit.fold import LogState
from carnet.audit.reports import columns
from carnet.audit.reports.derivation import Derivation, Derived
from carnet.audit.reports.evidence import content_in
from carnet.audit.reports.model import Table
from carnet.translog.entry import EntryType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from carnet.audit.fold import VersionName, VersionState
    from carnet.audit.reports.derivation import Sources
    from carnet.audit.reports.model import Cell, LogRange
    from carnet.audit.reports.query import ReportQuery
    from carnet.audit.statements import Record

RISK_TIER = "risk_tier"
"""The label that tells a version's risk tier, as the shipped policies ask for it."""
_UNKNOWN = "unknown"


@dataclass(slots=True)
class _Environment:
    """What one log has told so far: its state, and the last evidence about each bundle."""

    state: LogState = field(default_factory=LogState)
    evidence: dict[str, tuple[datetime, str]] = field(default_factory=dict)


class Inventory(Derivation):
    """Every version that is, at the logs' checkpoints."""

    def __init__(self, sources: Sources, query: ReportQuery) -> None:
        super().__init__(sources, query)
        self._environments: dict[str, _Environment] = {}
        self._missing: set[str] = set()

    def take(self, environment: str, record: Record) -> None:
        """Take the next record."""
        entry = record.entry
        told = self._environments.setdefault(environment, _Environment())
        told.state.step(record.index, entry)
        if entry.type is EntryType.EVIDENCE_ADDED and record.statement is not None:
            said = content_in(record)
            what = " ".join(each for each in (said.suite, said.result) if each)
            digest = str(entry.subject.get("bundle_digest", ""))
            told.evidence[digest] = (entry.time, what or record.statement.predicate_type)

    def finish(self, logs: Sequence[LogRange]) -> Derived:
        """Return the tables."""
        rows = sorted(
            (
                self._row(environment, told, name, version, live.get(name, ()))
                for environment, told in self._environments.items()
                for live in (told.state.live_aliases(),)
                for name, version in told.state.versions.items()
            ),
            key=_order,
        )
        missing = len(self._missing)
        return Derived(
            "Model inventory",
            (self._summary_table(rows), self._inventory_table(rows)),
            (
                (
                    f"Every version that arrived in any of {len(logs)} verified logs has a row for each "
                    "environment that it is in; revoked and purged ones too."
                ),
                (
                    "Owner, risk tier (the label 'risk_tier') and labels are what the publisher stated in "
                    "the manifest, whose SHA-256 the log names as the version's digest. Ages are counted to "
                    "the last entry of the environment's log."
                ),
                *(
                    (
                        (
                            f"The manifests of {missing} bundles are not in the export: their owners and "
                            "labels are unknown."
                        ),
                    )
                    if missing
                    else ()
                ),
            ),
        )

    def _row(
        self,
        environment: str,
        told: _Environment,
        name: VersionName,
        version: VersionState,
        live: tuple[str, ...],
    ) -> tuple[Cell, ...]:
        manifest = self.sources.object(environment, version.bundle_digest)
        if not manifest:
            self._missing.add(version.bundle_digest)
        labels = _labels(manifest)
        evidence = told.evidence.get(version.bundle_digest)
        end = told.state.time
        return (
            _text(manifest, "owner"),
            labels.get(RISK_TIER) or (None if manifest else _UNKNOWN),
            f"{name.namespace}/{name.model}",
            name.version,
            _text(manifest, "semantic_version"),
            environment,
            "admitted" if version.admitted else "published",
            str(version.stage),
            live,
            version.arrived.time,
            (end - version.arrived.time).days if end else None,
            evidence[0] if evidence else None,
            evidence[1] if evidence else None,
            version.purged is not None,
            tuple(f"{key}={value}" for key, value in sorted(labels.items())),
            version.bundle_digest or None,
        )

    def _summary_table(self, rows: Sequence[tuple[Cell, ...]]) -> Table:
        groups: dict[tuple[str, str], list[tuple[Cell, ...]]] = {}
        for row in rows:
            groups.setdefault((str(row[0] or ""), str(row[1] or "")), []).append(row)
        return Table(
            "owners",
            "By owner and risk tier",
            "How many models and versions each owner has in each risk tier; live are versions that an alias "
            "points at in any environment.",
            (
                columns.text("owner"),
                columns.text("risk_tier"),
                columns.number("models"),
                columns.number("versions"),
                columns.number("live"),
            ),
            tuple(
                (
                    owner or None,
                    tier or None,
                    len({row[2] for row in group}),
                    len({(row[2], row[3]) for row in group}),
                    len({(row[2], row[3]) for row in group if row[8]}),
                )
                for (owner, tier), group in sorted(groups.items())
            ),
        )

    def _inventory_table(self, rows: Sequence[tuple[Cell, ...]]) -> Table:
        return Table(
            "inventory",
            "Versions",
            "Every version in every environment, by owner, risk tier and model.",
            (
                columns.text("owner"),
                columns.text("risk_tier"),
                columns.text("model"),
                columns.number("version"),
                columns.text("semantic_version"),
                columns.text("environment"),
                columns.text("arrival", "Arrived as"),
                columns.text("stage"),
                columns.texts("live_aliases"),
                columns.moment("arrived_at"),
                columns.number("age_days"),
                columns.moment("last_evidence_at"),
                columns.text("last_evidence"),
                columns.flag("purged"),
                columns.texts("labels"),
                columns.digest("bundle_digest"),
            ),
            tuple(rows),
        )


def _labels(manifest: Mapping[str, Any]) -> dict[str, str]:
    labels = manifest.get("labels")
    return {str(key): str(each) for key, each in labels.items()} if isinstance(labels, dict) else {}


def _text(manifest: Mapping[str, Any], key: str) -> str | None:
    value = manifest.get(key)
    return value if isinstance(value, str) and value else None


def _order(row: tuple[Cell, ...]) -> tuple[str, str, str, int, str]:
    number = row[3]
    assert isinstance(number, int)
    return str(row[0] or ""), str(row[1] or ""), str(row[2]), number, str(row[5])

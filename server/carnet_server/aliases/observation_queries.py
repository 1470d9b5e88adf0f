"""The statements of what was observed of aliases, built once, and the reads and writes that use them.

Reports of serving hosts, counts of resolves, and the aliases that nobody uses. Rows do not leave this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, Integer, bindparam, delete, func, insert, or_, select, tuple_, update
from sqlmodel import SQLModel

from carnet_server.aliases.domain import Alias, MoveKind
from carnet_server.aliases.queries import ALIASES, MOVES
from carnet_server.aliases.serving import Report
from carnet_server.aliases.stale_rules import Standing
from carnet_server.aliases.tables import AliasReportRow, AliasResolvesRow
from carnet_server.log.queries import ENTRIES
from carnet_server.models.domain import Stage
from carnet_server.models.queries import VERSIONS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from carnet.references import ResourceName

REPORTS = SQLModel.metadata.tables[str(AliasReportRow.__tablename__)]
RESOLVES = SQLModel.metadata.tables[str(AliasResolvesRow.__tablename__)]
_MOMENT = REPORTS.c.reported_at.type

_REPORTS_OF_MODEL = (
    REPORTS.c.namespace == bindparam("of_namespace"),
    REPORTS.c.model == bindparam("of_model"),
)
_REPORTS_OF_ALIAS = (*_REPORTS_OF_MODEL, REPORTS.c.alias == bindparam("of_alias"))
_ONE_REPORT = (
    *_REPORTS_OF_ALIAS,
    REPORTS.c.subject == bindparam("of_subject"),
    REPORTS.c.instance == bindparam("of_instance"),
)
_READ_REPORT = select(REPORTS).where(*_ONE_REPORT)
_READ_REPORTS = select(REPORTS).where(
    *_REPORTS_OF_MODEL,
    REPORTS.c.alias.in_(bindparam("of_aliases", expanding=True)),
    REPORTS.c.reported_at > bindparam("since", type_=_MOMENT),
)
_COUNT_REPORTS = (
    select(REPORTS.c.subject, func.count().label("instances"))
    .where(*_REPORTS_OF_ALIAS)
    .group_by(REPORTS.c.subject)
)
_FORGET_REPORTS = delete(REPORTS).where(
    *_REPORTS_OF_ALIAS, REPORTS.c.reported_at < bindparam("before", type_=_MOMENT)
)
_INSERT_REPORT = insert(REPORTS)
_UPDATE_REPORT = (
    update(REPORTS)
    .where(*_ONE_REPORT)
    .values(
        bundle_digest=bindparam("new_digest"),
        revision=bindparam("new_revision", type_=BigInteger),
        reported_at=bindparam("new_reported_at", type_=_MOMENT),
        drift_logged_at=bindparam("new_drift_logged_at", type_=_MOMENT),
    )
)
_READ_LAST_DRILLS = (
    select(MOVES.c.alias, func.max(MOVES.c.created_at).label("drilled_at"))
    .where(
        MOVES.c.namespace == bindparam("of_namespace"),
        MOVES.c.model == bindparam("of_model"),
        MOVES.c.alias.in_(bindparam("of_aliases", expanding=True)),
        MOVES.c.kind == MoveKind.DRILLED,
    )
    .group_by(MOVES.c.alias)
)
_OF_RESOLVES = (
    RESOLVES.c.namespace == bindparam("of_namespace"),
    RESOLVES.c.model == bindparam("of_model"),
    RESOLVES.c.alias == bindparam("of_alias"),
)
_ADD_RESOLVES = (
    update(RESOLVES)
    .where(*_OF_RESOLVES)
    .values(
        resolve_count=RESOLVES.c.resolve_count + bindparam("more", type_=BigInteger),
        resolved_at=bindparam("new_resolved_at", type_=_MOMENT),
    )
)
_INSERT_RESOLVES = insert(RESOLVES)
_HAS_MOVED = (
    select(MOVES.c.revision)
    .where(
        MOVES.c.namespace == bindparam("of_namespace"),
        MOVES.c.model == bindparam("of_model"),
        MOVES.c.alias == bindparam("of_alias"),
    )
    .limit(1)
)
_SINCE = bindparam("since", type_=_MOMENT)
_LIST_UNUSED = (
    select(
        ALIASES,
        RESOLVES.c.resolve_count,
        RESOLVES.c.resolved_at,
        VERSIONS.c.stage,
        ENTRIES.c.entry.label("revocation"),
    )
    .select_from(
        ALIASES.join(
            VERSIONS,
            (VERSIONS.c.namespace == ALIASES.c.namespace)
            & (VERSIONS.c.model == ALIASES.c.model)
            & (VERSIONS.c.version == ALIASES.c.version),
        )
        .outerjoin(
            RESOLVES,
            (RESOLVES.c.namespace == ALIASES.c.namespace)
            & (RESOLVES.c.model == ALIASES.c.model)
            & (RESOLVES.c.alias == ALIASES.c.alias),
        )
        .outerjoin(ENTRIES, ENTRIES.c.index == VERSIONS.c.revoked_log_index)
    )
    .where(
        ALIASES.c.namespace.in_(bindparam("in_namespaces", expanding=True)),
        tuple_(ALIASES.c.namespace, ALIASES.c.model, ALIASES.c.alias)
        > tuple_(bindparam("after_namespace"), bindparam("after_model"), bindparam("after_alias")),
        or_(
            ALIASES.c.updated_at <= _SINCE,
            func.coalesce(RESOLVES.c.resolved_at, ALIASES.c.updated_at) <= _SINCE,
            VERSIONS.c.stage == Stage.REVOKED,
        ),
    )
    .order_by(ALIASES.c.namespace, ALIASES.c.model, ALIASES.c.alias)
    .limit(bindparam("row_limit", type_=Integer))
)


def _of(name: ResourceName) -> dict[str, str]:
    return {"of_namespace": name.namespace, "of_model": name.model, "of_alias": name.alias}


def read_report(connection: Connection, name: ResourceName, subject: str, instance: str) -> Report | None:
    """Read what a caller last said of one of its instances; None for nothing."""
    asked = _of(name) | {"of_subject": subject, "of_instance": instance}
    row = connection.execute(_READ_REPORT, asked).first()
    return None if row is None else Report(**row._mapping)  # noqa: SLF001  SQLAlchemy's public name for it


def read_reports(
    connection: Connection, name: ResourceName, aliases: Sequence[str], *, since: datetime
) -> dict[str, list[Report]]:
    """Read what was reported since a time about some aliases of one model, by alias."""
    asked = {
        "of_namespace": name.namespace,
        "of_model": name.model,
        "of_aliases": list(aliases),
        "since": since,
    }
    found: dict[str, list[Report]] = {alias: [] for alias in aliases}
    for row in connection.execute(_READ_REPORTS, asked):
        found[row.alias].append(Report(**row._mapping))  # noqa: SLF001  as above
    return found


def count_reports(connection: Connection, name: ResourceName) -> dict[str, int]:
    """Count the instances that are kept of an alias, by subject."""
    return {row.subject: row.instances for row in connection.execute(_COUNT_REPORTS, _of(name))}


def forget_reports(connection: Connection, name: ResourceName, *, before: datetime) -> None:
    """Remove the reports on an alias from before a time."""
    connection.execute(_FORGET_REPORTS, _of(name) | {"before": before})


def write_report(connection: Connection, report: Report, *, is_new: bool) -> None:
    """Write what an instance says."""
    if is_new:
        connection.execute(_INSERT_REPORT, {field: getattr(report, field) for field in Report.__slots__})
        return
    changed = {
        "of_namespace": report.namespace,
        "of_model": report.model,
        "of_alias": report.alias,
        "of_subject": report.subject,
        "of_instance": report.instance,
        "new_digest": report.bundle_digest,
        "new_revision": report.revision,
        "new_reported_at": report.reported_at,
        "new_drift_logged_at": report.drift_logged_at,
    }
    connection.execute(_UPDATE_REPORT, changed)


def read_last_drills(
    connection: Connection, name: ResourceName, aliases: Sequence[str]
) -> Mapping[str, datetime]:
    """Read when rollbacks of some aliases of one model were last rehearsed, by alias."""
    asked = {"of_namespace": name.namespace, "of_model": name.model, "of_aliases": list(aliases)}
    return {row.alias: row.drilled_at for row in connection.execute(_READ_LAST_DRILLS, asked)}


def add_resolves(connection: Connection, name: ResourceName, *, more: int, last_at: datetime) -> None:
    """Add to the count of an alias's resolves; nothing is counted of an alias that never was set."""
    added = connection.execute(_ADD_RESOLVES, _of(name) | {"more": more, "new_resolved_at": last_at})
    if added.rowcount or connection.execute(_HAS_MOVED, _of(name)).first() is None:
        return
    row = {
        "namespace": name.namespace,
        "model": name.model,
        "alias": name.alias,
        "resolve_count": more,
        "resolved_at": last_at,
    }
    connection.execute(_INSERT_RESOLVES, row)


def list_unused(
    connection: Connection,
    namespaces: Sequence[str],
    *,
    since: datetime,
    after: tuple[str, str, str],
    limit: int,
) -> list[Standing]:
    """Read the aliases that were not moved or not resolved since a time, or point at what is revoked.

    Args:
        connection: Where to read.
        namespaces: Where they may be.
        since: The time.
        after: Namespace, model and alias of the last one that was read before; empty texts for the first.
        limit: How many at most.
    """
    asked = {
        "in_namespaces": list(namespaces),
        "since": since,
        "after_namespace": after[0],
        "after_model": after[1],
        "after_alias": after[2],
        "row_limit": limit,
    }
    return [
        Standing(
            alias=Alias(*(getattr(row, field) for field in Alias.__slots__)),
            resolve_count=row.resolve_count or 0,
            resolved_at=row.resolved_at,
            revocation=row.revocation if row.stage == Stage.REVOKED else None,
        )
        for row in connection.execute(_LIST_UNUSED, asked)
    ]

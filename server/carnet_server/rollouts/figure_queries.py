"""The statements of what was measured of rollouts, built once, and the reads and writes that use them.

Sums are added to where they stand, in one statement for all of a batch. Rows do not leave this module.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Integer, bindparam, delete, insert, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import SQLModel

from carnet.serving.columns import EPOCH
from carnet_policies.guardrails import Samples
from carnet_server.rollouts.queries import ROLLOUTS
from carnet_server.rollouts.tables import (
    RolloutMetricRow,
    RolloutReportRow,
    RolloutTotalRow,
    RolloutWindowRow,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Table

    from carnet.references import ResourceName
    from carnet_server.rollouts.metrics import Sums

METRICS = SQLModel.metadata.tables[str(RolloutMetricRow.__tablename__)]
TOTALS = SQLModel.metadata.tables[str(RolloutTotalRow.__tablename__)]
WINDOWS = SQLModel.metadata.tables[str(RolloutWindowRow.__tablename__)]
REPORTS = SQLModel.metadata.tables[str(RolloutReportRow.__tablename__)]
_KEY = ("namespace", "model", "alias", "rollout")
_SUMS = ("sample_count", "total", "total_of_squares")
_MICROSECOND = timedelta(microseconds=1)


def _of_rollout(table: Table) -> tuple[Any, ...]:
    return tuple(table.c[name] == bindparam(f"of_{name}") for name in _KEY)


def _adding(table: Table) -> Mapping[str, Any]:
    """Return the statement that adds sums to those that stand in a table, by database."""
    key = [column.name for column in table.primary_key]
    statements: dict[str, Any] = {}
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql)):
        statement = dialect.insert(table)
        added = {each: table.c[each] + statement.excluded[each] for each in _SUMS}
        statements[name] = statement.on_conflict_do_update(index_elements=key, set_=added)
    return statements


_ADD_TOTALS = _adding(TOTALS)
_ADD_WINDOWS = _adding(WINDOWS)
_READ_TOTALS = select(TOTALS).where(
    *_of_rollout(TOTALS), TOTALS.c.phase.in_(bindparam("of_phases", expanding=True))
)
_READ_WINDOWS = (
    select(WINDOWS)
    .where(
        *_of_rollout(WINDOWS),
        WINDOWS.c.window_at >= bindparam("since", type_=WINDOWS.c.window_at.type),
        WINDOWS.c.metric.in_(bindparam("of_metrics", expanding=True)),
    )
    .order_by(WINDOWS.c.window_at, WINDOWS.c.version, WINDOWS.c.metric)
)
_READ_METRICS = select(METRICS.c.metric, METRICS.c.direction).where(*_of_rollout(METRICS))
_INSERT_METRICS = insert(METRICS)
_READ_REPORT = select(REPORTS.c.digest).where(
    *_of_rollout(REPORTS),
    REPORTS.c.subject == bindparam("of_subject"),
    REPORTS.c.request_id == bindparam("of_request"),
)
_INSERT_REPORT = insert(REPORTS)
_REPORT_KEY = tuple(column for column in REPORTS.c if column.primary_key)
_ENDED_REPORTS = (
    select(*_REPORT_KEY)
    .join(
        ROLLOUTS,
        (REPORTS.c.namespace == ROLLOUTS.c.namespace)
        & (REPORTS.c.model == ROLLOUTS.c.model)
        & (REPORTS.c.alias == ROLLOUTS.c.alias)
        & (REPORTS.c.rollout == ROLLOUTS.c.rollout),
    )
    .where(ROLLOUTS.c.ended_at.is_not(None))
    .limit(bindparam("row_limit", type_=Integer))
)
_HAS_ENDED_REPORTS = _ENDED_REPORTS
_FORGET_REPORTS = delete(REPORTS).where(tuple_(*_REPORT_KEY).in_(_ENDED_REPORTS))


def _of(name: ResourceName) -> dict[str, Any]:
    return {f"of_{part}": value for part, value in _row(name).items()}


def _row(name: ResourceName) -> dict[str, Any]:
    return {"namespace": name.namespace, "model": name.model, "alias": name.alias, "rollout": name.rollout}


def read_totals(
    connection: Connection, name: ResourceName, phases: Sequence[int]
) -> dict[tuple[int, int, str], Samples]:
    """Read what was measured in some phases of a rollout, by phase, version and metric."""
    rows = connection.execute(_READ_TOTALS, _of(name) | {"of_phases": list(phases)})
    return {
        (row.phase, row.version, row.metric): Samples(int(row.sample_count), row.total, row.total_of_squares)
        for row in rows
    }


def read_windows(
    connection: Connection, name: ResourceName, metrics: Sequence[str], *, since: datetime
) -> list[tuple[datetime, int, str, Samples]]:
    """Read what was measured of a rollout by reporting interval, in order of time.

    Args:
        connection: Where to read.
        name: The rollout.
        metrics: Which metrics.
        since: When the first interval began at the earliest.

    Returns:
        The interval's beginning, the version, the metric and the samples of each.
    """
    asked = _of(name) | {"of_metrics": list(metrics), "since": since}
    return [
        (
            row.window_at,
            row.version,
            row.metric,
            Samples(int(row.sample_count), row.total, row.total_of_squares),
        )
        for row in connection.execute(_READ_WINDOWS, asked)
    ]


def add_sums(connection: Connection, name: ResourceName, sums: Sums) -> None:
    """Add a batch to what was measured before."""
    dialect, of = connection.dialect.name, _row(name)
    totals = [
        of | {"phase": phase, "version": version, "metric": metric} | dict(zip(_SUMS, added, strict=True))
        for (phase, version, metric), added in sums.totals.items()
    ]
    windows = [
        of
        | {"version": version, "metric": metric, "window_at": EPOCH + at * _MICROSECOND}
        | dict(zip(_SUMS, added, strict=True))
        for (version, metric, at), added in sums.windows.items()
    ]
    connection.execute(_ADD_TOTALS[dialect], totals)
    connection.execute(_ADD_WINDOWS[dialect], windows)


def read_directions(connection: Connection, name: ResourceName) -> dict[str, str]:
    """Read which way each metric of a rollout is better that was reported."""
    return {row.metric: row.direction for row in connection.execute(_READ_METRICS, _of(name))}


def insert_directions(connection: Connection, name: ResourceName, directions: Mapping[str, str]) -> None:
    """Write which way metrics are better that are new."""
    of = _row(name)
    rows = [of | {"metric": metric, "direction": direction} for metric, direction in directions.items()]
    if rows:
        connection.execute(_INSERT_METRICS, rows)


def read_report(connection: Connection, name: ResourceName, subject: str, request_id: str) -> str | None:
    """Read the digest of the batch that a caller reported under an id; None where it was none."""
    asked = _of(name) | {"of_subject": subject, "of_request": request_id}
    return connection.execute(_READ_REPORT, asked).scalar()


def insert_report(
    connection: Connection, name: ResourceName, subject: str, request_id: str, digest: str
) -> None:
    """Remember a batch that was taken."""
    row = _row(name) | {"subject": subject, "request_id": request_id, "digest": digest}
    connection.execute(_INSERT_REPORT, row)


def has_ended_reports(connection: Connection) -> bool:
    """Tell whether batches of rollouts are remembered that have ended, of which none is taken any more."""
    return connection.execute(_HAS_ENDED_REPORTS, {"row_limit": 1}).first() is not None


def forget_ended_reports(connection: Connection, *, limit: int) -> None:
    """Forget batches of rollouts that have ended."""
    connection.execute(_FORGET_REPORTS, {"row_limit": limit})

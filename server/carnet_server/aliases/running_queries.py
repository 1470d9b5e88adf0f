"""The statements of what serving hosts run, built once, and the reads and writes that use them.

``alias_running`` has a row from the entry that tells of a version which hosts run to the one that tells of
its end; whether hosts still say so is read out of their reports. Rows do not leave this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Integer, bindparam, delete, exists, insert, not_, select
from sqlmodel import SQLModel

from carnet_server.aliases.observation_queries import REPORTS
from carnet_server.aliases.serving import Running
from carnet_server.aliases.tables import AliasRunningRow
from carnet_server.models.queries import VERSIONS

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from carnet_server.aliases.serving import Report

RUNNING = SQLModel.metadata.tables[str(AliasRunningRow.__tablename__)]
_SINCE = bindparam("reported_since", type_=REPORTS.c.reported_at.type)
_ONE = (
    RUNNING.c.namespace == bindparam("of_namespace"),
    RUNNING.c.model == bindparam("of_model"),
    RUNNING.c.alias == bindparam("of_alias"),
    RUNNING.c.bundle_digest == bindparam("of_digest"),
)
_READ = select(RUNNING).where(*_ONE)
_INSERT = insert(RUNNING)
_DELETE = delete(RUNNING).where(*_ONE)
_FIND_VERSION = select(VERSIONS.c.version).where(
    VERSIONS.c.namespace == bindparam("of_namespace"),
    VERSIONS.c.model == bindparam("of_model"),
    VERSIONS.c.bundle_digest == bindparam("of_digest"),
)
_IS_REPORTED = (
    select(REPORTS.c.instance)
    .where(
        REPORTS.c.namespace == bindparam("of_namespace"),
        REPORTS.c.model == bindparam("of_model"),
        REPORTS.c.alias == bindparam("of_alias"),
        REPORTS.c.bundle_digest == bindparam("of_digest"),
        REPORTS.c.reported_at > _SINCE,
    )
    .limit(1)
)
_LIST_OF_MODEL = (
    select(RUNNING)
    .where(RUNNING.c.namespace == bindparam("of_namespace"), RUNNING.c.model == bindparam("of_model"))
    .order_by(RUNNING.c.log_index)
)
_LIST_UNREPORTED = (
    select(RUNNING)
    .where(
        RUNNING.c.since <= bindparam("begun_before", type_=RUNNING.c.since.type),
        not_(
            exists().where(
                REPORTS.c.namespace == RUNNING.c.namespace,
                REPORTS.c.model == RUNNING.c.model,
                REPORTS.c.alias == RUNNING.c.alias,
                REPORTS.c.bundle_digest == RUNNING.c.bundle_digest,
                REPORTS.c.reported_at > _SINCE,
            )
        ),
    )
    .order_by(RUNNING.c.log_index)
    .limit(bindparam("row_limit", type_=Integer))
)


def _of(said: Report | Running) -> dict[str, str]:
    return {
        "of_namespace": said.namespace,
        "of_model": said.model,
        "of_alias": said.alias,
        "of_digest": said.bundle_digest,
    }


def read_running(connection: Connection, said: Report) -> Running | None:
    """Read since when hosts run what a report says; None where no entry tells that any does."""
    row = connection.execute(_READ, _of(said)).first()
    return None if row is None else Running(**row._mapping)  # noqa: SLF001  SQLAlchemy's public name for it


def find_reported_version(connection: Connection, said: Report) -> int | None:
    """Return the version whose bundle a report is about; None for one that was never here."""
    found: int | None = connection.execute(_FIND_VERSION, _of(said)).scalar()
    return found


def is_reported(connection: Connection, running: Running, *, since: datetime) -> bool:
    """Whether a host said since a time that it runs it."""
    asked = _of(running) | {"reported_since": since}
    return connection.execute(_IS_REPORTED, asked).first() is not None


def list_unreported(
    connection: Connection, *, since: datetime, begun_before: datetime, limit: int
) -> list[Running]:
    """Read what no host has said since a time that it runs, the oldest first.

    Args:
        connection: Where to read.
        since: The time.
        begun_before: What began later is left out.
        limit: How many at most.
    """
    asked = {"reported_since": since, "begun_before": begun_before, "row_limit": limit}
    rows = connection.execute(_LIST_UNREPORTED, asked)
    return [Running(**row._mapping) for row in rows]  # noqa: SLF001  as above


def list_running(connection: Connection, namespace: str, model: str) -> list[Running]:
    """Read which versions of a model hosts run."""
    rows = connection.execute(_LIST_OF_MODEL, {"of_namespace": namespace, "of_model": model})
    return [Running(**row._mapping) for row in rows]  # noqa: SLF001  as above


def write_running(connection: Connection, running: Running) -> None:
    """Write that hosts run it from now on."""
    connection.execute(_INSERT, {field: getattr(running, field) for field in Running.__slots__})


def remove_running(connection: Connection, running: Running) -> None:
    """Remove that hosts run it."""
    connection.execute(_DELETE, _of(running))

"""The statements of what left and of where it was admitted, built once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, insert, select, update
from sqlmodel import SQLModel

from carnet.references import ResourceName
from carnet_server.release.domain import PromotionRecord
from carnet_server.release.tables import PromotionRecordRow, ReleaseRow

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from carnet_server.models.domain import Version

_RECORDS = SQLModel.metadata.tables[str(PromotionRecordRow.__tablename__)]
_READ = select(_RECORDS).where(_RECORDS.c.promotion == bindparam("wanted"))
_INSERT = insert(_RECORDS)
_RELEASES = SQLModel.metadata.tables[str(ReleaseRow.__tablename__)]
_RENEW = (
    update(_RELEASES)
    .where(
        _RELEASES.c.promotion == bindparam("of_promotion"),
        _RELEASES.c.bundle_digest == bindparam("of_digest"),
    )
    .values(
        target=bindparam("new_target"), released_at=bindparam("at_time", type_=_RELEASES.c.released_at.type)
    )
)
_INSERT_RELEASE = insert(_RELEASES)
UNENDED = (
    _RELEASES.c.released_at > bindparam("released_since", type_=_RELEASES.c.released_at.type),
    ~select(_RECORDS.c.promotion)
    .where(_RECORDS.c.promotion == _RELEASES.c.promotion)
    .correlate(_RELEASES)
    .exists(),
)
"""Released lately, for a promotion whose admission elsewhere is not recorded."""
_READ_UNENDED = (
    select(_RELEASES.c.version, _RELEASES.c.promotion, _RELEASES.c.target)
    .where(
        _RELEASES.c.namespace == bindparam("of_namespace"),
        _RELEASES.c.model == bindparam("of_model"),
        *UNENDED,
    )
    .order_by(_RELEASES.c.version, _RELEASES.c.promotion)
)
_LIST_UNENDED = (
    select(_RELEASES.c.namespace, _RELEASES.c.model, _RELEASES.c.version).where(*UNENDED).distinct()
)


def read_record(connection: Connection, promotion: str) -> PromotionRecord | None:
    """Read the record of a promotion; None where there is none."""
    row = connection.execute(_READ, {"wanted": promotion}).first()
    return None if row is None else PromotionRecord(**row._mapping)  # noqa: SLF001  SQLAlchemy's public name


def insert_record(connection: Connection, record: PromotionRecord) -> None:
    """Write the record of a promotion."""
    connection.execute(_INSERT, {name: getattr(record, name) for name in PromotionRecord.__slots__})


def note_release(
    connection: Connection, version: Version, *, promotion: str, target: str, now: datetime
) -> None:
    """Write that a version is on its way to a target; of a promotion only the last time counts."""
    key = {"of_promotion": promotion, "of_digest": version.bundle_digest}
    if connection.execute(_RENEW, key | {"new_target": target, "at_time": now}).rowcount:
        return
    row = {
        "promotion": promotion,
        "bundle_digest": version.bundle_digest,
        "target": target,
        "namespace": version.namespace,
        "model": version.model,
        "version": version.version,
        "released_at": now,
    }
    connection.execute(_INSERT_RELEASE, row)


def read_released(
    connection: Connection, namespace: str, model: str, *, since: datetime
) -> list[tuple[int, str, str]]:
    """Read which versions of a model are on their way: number, promotion and target.

    Args:
        connection: Where to read.
        namespace: The namespace.
        model: The model.
        since: What was released before has ended by now, whether that was recorded or not.
    """
    asked = {"of_namespace": namespace, "of_model": model, "released_since": since}
    return [(row.version, row.promotion, row.target) for row in connection.execute(_READ_UNENDED, asked)]


def list_released(connection: Connection, *, since: datetime) -> list[ResourceName]:
    """Read the names of all versions that are on their way; see ``read_released``."""
    rows = connection.execute(_LIST_UNENDED, {"released_since": since})
    return [ResourceName(row.namespace, row.model, row.version) for row in rows]

"""The statements of witnessing, built once. Rows do not leave this module."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, insert, select, update
from sqlmodel import SQLModel

from carnet_server.witnessing.domain import Alarm, AlarmKind, Cosignature, WitnessedLog
from carnet_server.witnessing.tables import AlarmRow, CosignatureRow, WitnessedHeadRow, WitnessedLogRow

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

_WITNESSED = SQLModel.metadata.tables[str(WitnessedLogRow.__tablename__)]
_COSIGNATURES = SQLModel.metadata.tables[str(CosignatureRow.__tablename__)]
_HEAD = SQLModel.metadata.tables[str(WitnessedHeadRow.__tablename__)]
_ALARMS = SQLModel.metadata.tables[str(AlarmRow.__tablename__)]
ALARMS_SHOWN = 100

_READ_WITNESSED = select(_WITNESSED).where(_WITNESSED.c.origin == bindparam("of_origin"))
_INSERT_WITNESSED = insert(_WITNESSED)
_UPDATE_WITNESSED = (
    update(_WITNESSED)
    .where(_WITNESSED.c.origin == bindparam("of_origin"))
    .values(
        size=bindparam("new_size"),
        root=bindparam("new_root"),
        checkpoint=bindparam("new_checkpoint"),
        updated_at=bindparam("at", type_=_WITNESSED.c.updated_at.type),
    )
)
_READ_COSIGNATURES = select(_COSIGNATURES).order_by(_COSIGNATURES.c.witness)
_INSERT_COSIGNATURE = insert(_COSIGNATURES)
_UPDATE_COSIGNATURE = (
    update(_COSIGNATURES)
    .where(_COSIGNATURES.c.witness == bindparam("of_witness"))
    .values(
        size=bindparam("new_size"),
        line=bindparam("new_line"),
        cosigned_at=bindparam("at", type_=_COSIGNATURES.c.cosigned_at.type),
    )
)
_READ_HEAD = select(_HEAD.c.size, _HEAD.c.checkpoint).where(_HEAD.c.id == 1)
_INSERT_HEAD = insert(_HEAD)
_UPDATE_HEAD = (
    update(_HEAD)
    .where(_HEAD.c.id == 1, _HEAD.c.size < bindparam("new_size"))
    .values(
        size=bindparam("new_size"),
        checkpoint=bindparam("new_checkpoint"),
        updated_at=bindparam("at", type_=_HEAD.c.updated_at.type),
    )
)
_HAS_ALARM = select(_ALARMS.c.digest).where(_ALARMS.c.digest == bindparam("wanted"))
_INSERT_ALARM = insert(_ALARMS)
_READ_ALARMS = select(_ALARMS).order_by(_ALARMS.c.raised_at.desc(), _ALARMS.c.digest).limit(ALARMS_SHOWN)


def read_witnessed(connection: Connection, origin: str) -> WitnessedLog | None:
    """Read what was cosigned here last of a log; None for nothing."""
    row = connection.execute(_READ_WITNESSED, {"of_origin": origin}).first()
    return None if row is None else WitnessedLog(**row._mapping)  # noqa: SLF001  SQLAlchemy's public name for it


def write_witnessed(connection: Connection, witnessed: WitnessedLog, *, is_new: bool) -> None:
    """Write what was cosigned here last of a log."""
    if is_new:
        connection.execute(_INSERT_WITNESSED, _columns(witnessed))
        return
    changed = {
        "of_origin": witnessed.origin,
        "new_size": witnessed.size,
        "new_root": witnessed.root,
        "new_checkpoint": witnessed.checkpoint,
        "at": witnessed.updated_at,
    }
    connection.execute(_UPDATE_WITNESSED, changed)


def read_cosignatures(connection: Connection) -> list[Cosignature]:
    """Read what each witness signed last of this log, by witness."""
    return [Cosignature(**row._mapping) for row in connection.execute(_READ_COSIGNATURES)]  # noqa: SLF001  as above


def write_cosignature(connection: Connection, cosignature: Cosignature) -> None:
    """Write what a witness signed last of this log."""
    changed = {
        "of_witness": cosignature.witness,
        "new_size": cosignature.size,
        "new_line": cosignature.line,
        "at": cosignature.cosigned_at,
    }
    if connection.execute(_UPDATE_COSIGNATURE, changed).rowcount == 0:
        connection.execute(_INSERT_COSIGNATURE, _columns(cosignature))


def read_witnessed_head(connection: Connection) -> tuple[int, str]:
    """Read this log's newest checkpoint that a quorum cosigned: its size and note; 0 and empty for none."""
    row = connection.execute(_READ_HEAD).first()
    return (0, "") if row is None else (row.size, row.checkpoint)


def write_witnessed_head(connection: Connection, size: int, checkpoint: str, now: datetime) -> None:
    """Write this log's newest checkpoint that a quorum cosigned; an older one changes nothing."""
    if connection.execute(_READ_HEAD).first() is None:
        row = {"id": 1, "size": size, "checkpoint": checkpoint, "updated_at": now}
        connection.execute(_INSERT_HEAD, row)
        return
    connection.execute(_UPDATE_HEAD, {"new_size": size, "new_checkpoint": checkpoint, "at": now})


def has_alarm(connection: Connection, digest: str) -> bool:
    """Whether an alarm with this proof was raised before."""
    return connection.execute(_HAS_ALARM, {"wanted": digest}).first() is not None


def insert_alarm(connection: Connection, alarm: Alarm, digest: str) -> None:
    """Write an alarm."""
    connection.execute(_INSERT_ALARM, _columns(alarm) | {"digest": digest, "kind": str(alarm.kind)})


def read_alarms(connection: Connection) -> list[Alarm]:
    """Read the alarms, the newest first."""
    found = []
    for row in connection.execute(_READ_ALARMS):
        values = {name: value for name, value in row._mapping.items() if name != "digest"}  # noqa: SLF001  as above
        found.append(Alarm(**(values | {"kind": AlarmKind(values["kind"])})))
    return found


def _columns(value: WitnessedLog | Cosignature | Alarm) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in fields(value)}

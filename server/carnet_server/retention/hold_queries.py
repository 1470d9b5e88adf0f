"""The statements of holds, built once, and the reads and writes that use them.

Rows do not leave this module: what is returned are the dataclasses of ``holding``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Integer, bindparam, func, insert, or_, select, update
from sqlmodel import SQLModel

from carnet_server.log.queries import DOCUMENTS
from carnet_server.models.notes import read_note
from carnet_server.retention.holding import Hold
from carnet_server.retention.tables import HoldRow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Select

_HOLDS = SQLModel.metadata.tables[str(HoldRow.__tablename__)]
_COLUMNS = tuple(column.name for column in _HOLDS.c)
_HOLD_MAX = 2**63 - 1
_NOW = bindparam("now", type_=_HOLDS.c.created_at.type)
_IN_FORCE = (
    _HOLDS.c.released_at.is_(None),
    or_(_HOLDS.c.expires_at.is_(None), _HOLDS.c.expires_at > _NOW),
)
_WITH_REASON = select(_HOLDS, DOCUMENTS.c.data.label("note")).outerjoin_from(
    _HOLDS, DOCUMENTS, DOCUMENTS.c.digest == _HOLDS.c.note_digest
)
_READ = _WITH_REASON.where(_HOLDS.c.hold == bindparam("wanted", type_=BigInteger))
_READ_BY_REQUEST = _WITH_REASON.where(_HOLDS.c.request_id == bindparam("of_request"))
_READ_LAST = select(func.coalesce(func.max(_HOLDS.c.hold), 0))
_READ_IN_FORCE = (
    select(_HOLDS.c.version, _HOLDS.c.hold)
    .where(
        _HOLDS.c.namespace == bindparam("of_namespace"), _HOLDS.c.model == bindparam("of_model"), *_IN_FORCE
    )
    .order_by(_HOLDS.c.hold)
)
_LIST = (
    _WITH_REASON.where(
        _HOLDS.c.namespace.in_(bindparam("in_namespaces", expanding=True)),
        _HOLDS.c.hold < bindparam("before_hold", type_=BigInteger),
    )
    .order_by(_HOLDS.c.hold.desc())
    .limit(bindparam("row_limit", type_=Integer))
)
_OF_MODEL = _HOLDS.c.model == bindparam("of_model")
_LISTS = {
    (one_model, ended): _LIST.where(*((_OF_MODEL,) if one_model else ()), *(() if ended else _IN_FORCE))
    for one_model in (True, False)
    for ended in (True, False)
}
_LIST_NAMESPACES = select(_HOLDS.c.namespace).distinct()
_INSERT = insert(_HOLDS)
_RELEASE = (
    update(_HOLDS)
    .where(_HOLDS.c.hold == bindparam("wanted", type_=BigInteger), _HOLDS.c.released_at.is_(None))
    .values(
        released_at=bindparam("at_time", type_=_HOLDS.c.released_at.type),
        releaser=bindparam("by"),
        release_log_index=bindparam("at_index", type_=BigInteger),
    )
)


def read_hold(connection: Connection, hold: int) -> Hold | None:
    """Read a hold by its number; None where there is none."""
    return _first(connection, _READ, {"wanted": hold})


def read_hold_by_request(connection: Connection, request_id: str) -> Hold | None:
    """Read the hold that a request placed; None where it placed none."""
    return _first(connection, _READ_BY_REQUEST, {"of_request": request_id})


def read_last_number(connection: Connection) -> int:
    """Read the number of the newest hold; 0 where there never was one."""
    return int(connection.execute(_READ_LAST).scalar_one())


def read_in_force(
    connection: Connection, namespace: str, model: str, *, now: datetime
) -> list[tuple[int, int]]:
    """Read which versions of a model are held: the version's number, 0 for the model, and the hold's."""
    asked = {"of_namespace": namespace, "of_model": model, "now": now}
    return [(row.version, row.hold) for row in connection.execute(_READ_IN_FORCE, asked)]


def list_held_namespaces(connection: Connection) -> list[str]:
    """Read the namespaces in which something was ever held."""
    return list(connection.execute(_LIST_NAMESPACES).scalars())


def list_holds(
    connection: Connection,
    namespaces: Sequence[str],
    *,
    model: str,
    include_ended: bool,
    before: int | None,
    limit: int,
    now: datetime,
) -> list[Hold]:
    """Read holds, the newest first, with their reasons.

    Args:
        connection: Where to read.
        namespaces: Where they may be.
        model: The one model that they may be about; empty for any.
        include_ended: Also those that were released or have ended by themselves.
        before: The number of the last one that was read before; None for the first page.
        limit: How many at most.
        now: The time.
    """
    asked = {
        "in_namespaces": list(namespaces),
        "of_model": model,
        "before_hold": _HOLD_MAX if before is None else before,
        "row_limit": limit,
        "now": now,
    }
    rows = connection.execute(_LISTS[bool(model), include_ended], asked)
    return [Hold(**{**row._mapping, "note": read_note(row.note)}) for row in rows]  # noqa: SLF001  SQLAlchemy's public name for it


def insert_hold(connection: Connection, hold: Hold) -> None:
    """Write a hold."""
    connection.execute(_INSERT, {name: getattr(hold, name) for name in _COLUMNS})


def release_hold(connection: Connection, hold: Hold) -> None:
    """Write that a hold was released, and by whom."""
    asked = {
        "wanted": hold.hold,
        "at_time": hold.released_at,
        "by": hold.releaser,
        "at_index": hold.release_log_index,
    }
    connection.execute(_RELEASE, asked)


def _first(connection: Connection, statement: Select[Any], asked: dict[str, Any]) -> Hold | None:
    row = connection.execute(statement, asked).first()
    return None if row is None else Hold(**{**row._mapping, "note": read_note(row.note)})  # noqa: SLF001  as above

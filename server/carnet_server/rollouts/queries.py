"""The statements of rollouts, built once, and the reads and writes that use them.

Rows do not leave this module: what is returned are the dataclasses of ``domain``. What was measured is in
``figure_queries``.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Integer, bindparam, func, insert, or_, select, tuple_, update
from sqlmodel import SQLModel

from carnet.rollouts import RolloutState
from carnet.serving.columns import EPOCH
from carnet_server.log.queries import DOCUMENTS
from carnet_server.models.notes import read_note
from carnet_server.rollouts.domain import Rollout
from carnet_server.rollouts.tables import RolloutRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Row

    from carnet.references import ResourceName

ROLLOUTS = SQLModel.metadata.tables[str(RolloutRow.__tablename__)]
_ROLLOUT_MAX = 2**31 - 1
_MICROSECOND = timedelta(microseconds=1)
_COLUMNS = tuple(column.name for column in ROLLOUTS.c)
_ACTIVE = tuple(state for state in RolloutState if not state.ended)
_MOMENT = ROLLOUTS.c.created_at.type

_OF_MODEL = (
    ROLLOUTS.c.namespace == bindparam("of_namespace"),
    ROLLOUTS.c.model == bindparam("of_model"),
)
_OF_ALIAS = (*_OF_MODEL, ROLLOUTS.c.alias == bindparam("of_alias"))
_OF_ROLLOUT = (*_OF_ALIAS, ROLLOUTS.c.rollout == bindparam("of_rollout"))
_IS_ACTIVE = ROLLOUTS.c.state.in_(_ACTIVE)
_READ = select(ROLLOUTS).where(*_OF_ROLLOUT)
_READ_WITH_NOTE = (
    select(ROLLOUTS, DOCUMENTS.c.data.label("note"))
    .outerjoin_from(ROLLOUTS, DOCUMENTS, DOCUMENTS.c.digest == ROLLOUTS.c.note_digest)
    .where(*_OF_ROLLOUT)
)
_READ_NEWEST = select(ROLLOUTS).where(*_OF_ALIAS).order_by(ROLLOUTS.c.rollout.desc()).limit(1)
_READ_BY_REQUEST = select(ROLLOUTS).where(*_OF_ALIAS, ROLLOUTS.c.request_id == bindparam("of_request"))
_READ_ACTIVE_OF = select(ROLLOUTS).where(*_OF_MODEL, _IS_ACTIVE).order_by(ROLLOUTS.c.alias)
_READ_ACTIVE = (
    select(ROLLOUTS)
    .where(_IS_ACTIVE)
    .order_by(ROLLOUTS.c.namespace, ROLLOUTS.c.model, ROLLOUTS.c.alias, ROLLOUTS.c.rollout)
)
_NEXT_NUMBER = select(func.coalesce(func.max(ROLLOUTS.c.rollout), 0) + 1).where(*_OF_ALIAS)
_ALIAS = tuple_(ROLLOUTS.c.namespace, ROLLOUTS.c.model, ROLLOUTS.c.alias)
_AFTER = tuple_(bindparam("after_namespace"), bindparam("after_model"), bindparam("after_alias"))
_LIST = (
    select(ROLLOUTS, DOCUMENTS.c.data.label("note"))
    .outerjoin_from(ROLLOUTS, DOCUMENTS, DOCUMENTS.c.digest == ROLLOUTS.c.note_digest)
    .where(
        ROLLOUTS.c.namespace.in_(bindparam("in_namespaces", expanding=True)),
        ROLLOUTS.c.state.in_(bindparam("in_states", expanding=True)),
        or_(_ALIAS > _AFTER, (_ALIAS == _AFTER) & (ROLLOUTS.c.rollout < bindparam("before_rollout"))),
    )
    .order_by(ROLLOUTS.c.namespace, ROLLOUTS.c.model, ROLLOUTS.c.alias, ROLLOUTS.c.rollout.desc())
    .limit(bindparam("row_limit", type_=Integer))
)
_LIST_OF_MODEL = _LIST.where(ROLLOUTS.c.model == bindparam("of_model"))
_LIST_OF_ALIAS = _LIST_OF_MODEL.where(ROLLOUTS.c.alias == bindparam("of_alias"))
_INSERT = insert(ROLLOUTS)
_CHANGE = (
    update(ROLLOUTS)
    .where(*_OF_ROLLOUT, ROLLOUTS.c.revision == bindparam("old_revision", type_=BigInteger))
    .values(
        state=bindparam("new_state", type_=ROLLOUTS.c.state.type),
        share=bindparam("new_share"),
        phase_times=bindparam("new_phase_times"),
        message=bindparam("new_message"),
        reason_code=bindparam("new_reason_code"),
        ended_at=bindparam("new_ended_at", type_=_MOMENT),
        revision=bindparam("new_revision", type_=BigInteger),
        log_index=bindparam("new_log_index", type_=BigInteger),
    )
)
_REPORTED = (
    update(ROLLOUTS)
    .where(*_OF_ROLLOUT)
    .values(
        champion_reported_at=bindparam("new_champion", type_=_MOMENT),
        challenger_reported_at=bindparam("new_challenger", type_=_MOMENT),
    )
)


def _of(name: ResourceName) -> dict[str, Any]:
    return {
        "of_namespace": name.namespace,
        "of_model": name.model,
        "of_alias": name.alias,
        "of_rollout": name.rollout,
    }


def _rollout(row: Row[Any], *, note: bytes | None = None) -> Rollout:
    fields = {name: getattr(row, name) for name in _COLUMNS}
    fields["phase_times"] = tuple(EPOCH + at * _MICROSECOND for at in json.loads(row.phase_times))
    return Rollout(**fields, note=read_note(note))


def _written(times: Sequence[datetime]) -> str:
    return json.dumps([(at - EPOCH) // _MICROSECOND for at in times])


def read_rollout(connection: Connection, name: ResourceName) -> Rollout | None:
    """Read a rollout, without its note; None where there is none."""
    row = connection.execute(_READ, _of(name)).first()
    return None if row is None else _rollout(row)


def read_noted_rollout(connection: Connection, name: ResourceName) -> Rollout | None:
    """Read a rollout with its note; None where there is none."""
    row = connection.execute(_READ_WITH_NOTE, _of(name)).first()
    return None if row is None else _rollout(row, note=row.note)


def read_newest_rollout(connection: Connection, alias: ResourceName) -> Rollout | None:
    """Read an alias's newest rollout, the only one that may not have ended; None where it had none."""
    row = connection.execute(_READ_NEWEST, _of(alias)).first()
    return None if row is None else _rollout(row)


def read_rollout_by_request(connection: Connection, alias: ResourceName, request_id: str) -> Rollout | None:
    """Read the rollout of an alias that a request began; None where it began none."""
    row = connection.execute(_READ_BY_REQUEST, _of(alias) | {"of_request": request_id}).first()
    return None if row is None else _rollout(row)


def read_active_rollouts(connection: Connection) -> list[Rollout]:
    """Read every rollout that has not ended."""
    return [_rollout(row) for row in connection.execute(_READ_ACTIVE)]


def read_active_rollouts_of(connection: Connection, namespace: str, model: str) -> list[Rollout]:
    """Read the rollouts of a model that have not ended, by alias."""
    asked = {"of_namespace": namespace, "of_model": model}
    return [_rollout(row) for row in connection.execute(_READ_ACTIVE_OF, asked)]


def read_versions_in_rollouts(connection: Connection, namespace: str, model: str) -> set[int]:
    """Read the versions of a model that a rollout needs which has not ended: champions and challengers."""
    return {
        version
        for rollout in read_active_rollouts_of(connection, namespace, model)
        for version in (rollout.champion_version, rollout.challenger_version)
    }


def next_number(connection: Connection, alias: ResourceName) -> int:
    """Return the number that an alias's next rollout gets."""
    return int(connection.execute(_NEXT_NUMBER, _of(alias)).scalar_one())


def list_rollouts(
    connection: Connection,
    namespaces: Sequence[str],
    *,
    model: str = "",
    alias: str = "",
    active: bool,
    after: tuple[str, str, str, int] | None,
    limit: int,
) -> list[Rollout]:
    """Read rollouts by namespace, model and alias, the newest first, with their notes.

    Args:
        connection: Where to read.
        namespaces: Where they may be.
        model: One model; empty for all.
        alias: One alias of that model; empty for all.
        active: Whether only those are wanted that have not ended.
        after: Namespace, model, alias and number of the last one that was read before; None for the first
            page.
        limit: How many at most.
    """
    namespace, of_model, of_alias, number = after or ("", "", "", _ROLLOUT_MAX)
    asked = {
        "in_namespaces": list(namespaces),
        "in_states": list(_ACTIVE if active else RolloutState),
        "of_model": model,
        "of_alias": alias,
        "after_namespace": namespace,
        "after_model": of_model,
        "after_alias": of_alias,
        "before_rollout": number,
        "row_limit": limit,
    }
    statement = _LIST_OF_ALIAS if alias else _LIST_OF_MODEL if model else _LIST
    return [_rollout(row, note=row.note) for row in connection.execute(statement, asked)]


def insert_rollout(connection: Connection, rollout: Rollout) -> None:
    """Write a rollout that begins."""
    row = {name: getattr(rollout, name) for name in _COLUMNS}
    connection.execute(_INSERT, row | {"phase_times": _written(rollout.phase_times)})


def write_change(connection: Connection, rollout: Rollout) -> bool:
    """Write what a change made of a rollout.

    Args:
        connection: Where to write.
        rollout: The rollout after it; its revision is one more than it was.

    Returns:
        Whether it was at the revision before; otherwise nothing is written.
    """
    changed = {
        "old_revision": rollout.revision - 1,
        "new_state": rollout.state,
        "new_share": rollout.share,
        "new_phase_times": _written(rollout.phase_times),
        "new_message": rollout.message,
        "new_reason_code": rollout.reason_code,
        "new_ended_at": rollout.ended_at,
        "new_revision": rollout.revision,
        "new_log_index": rollout.log_index,
    }
    return connection.execute(_CHANGE, _of(rollout.name) | changed).rowcount == 1


def write_reported(
    connection: Connection,
    name: ResourceName,
    *,
    champion_at: datetime | None,
    challenger_at: datetime | None,
) -> None:
    """Write when figures of the two versions last came."""
    changed = {"new_champion": champion_at, "new_challenger": challenger_at}
    connection.execute(_REPORTED, _of(name) | changed)

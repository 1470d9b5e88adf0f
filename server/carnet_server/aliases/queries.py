"""The statements of aliases and their moves, built once, and the reads and writes that use them.

Rows do not leave this module: what is returned are the dataclasses of ``domain``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, Integer, bindparam, delete, insert, select, tuple_, update
from sqlmodel import SQLModel

from carnet.references import ResourceName
from carnet_server.aliases.domain import Alias, AliasMove
from carnet_server.aliases.tables import AliasMoveRow, AliasRow
from carnet_server.log.queries import DOCUMENTS
from carnet_server.models.notes import read_accepted_untested, read_note

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection


ALIASES = SQLModel.metadata.tables[str(AliasRow.__tablename__)]
MOVES = SQLModel.metadata.tables[str(AliasMoveRow.__tablename__)]
_REVISION_MAX = 2**63 - 1

_OF_ALIAS = (
    ALIASES.c.namespace == bindparam("of_namespace"),
    ALIASES.c.model == bindparam("of_model"),
    ALIASES.c.alias == bindparam("of_alias"),
)
_MOVES_OF_ALIAS = (
    MOVES.c.namespace == bindparam("of_namespace"),
    MOVES.c.model == bindparam("of_model"),
    MOVES.c.alias == bindparam("of_alias"),
)
_READ_ALIAS = select(ALIASES).where(*_OF_ALIAS)
_LIST_ALIASES = (
    select(ALIASES)
    .where(
        ALIASES.c.namespace == bindparam("of_namespace"),
        ALIASES.c.model == bindparam("of_model"),
        ALIASES.c.alias > bindparam("after_alias"),
    )
    .order_by(ALIASES.c.alias)
    .limit(bindparam("row_limit", type_=Integer))
)
_LIST_NAMES = select(ALIASES.c.namespace, ALIASES.c.model, ALIASES.c.alias).order_by(
    ALIASES.c.namespace, ALIASES.c.model, ALIASES.c.alias
)
_READ_ALIASES_OF = (
    select(ALIASES)
    .where(tuple_(ALIASES.c.namespace, ALIASES.c.model).in_(bindparam("of_models", expanding=True)))
    .order_by(ALIASES.c.namespace, ALIASES.c.model, ALIASES.c.alias)
)
_INSERT_ALIAS = insert(ALIASES)
_UPDATE_ALIAS = (
    update(ALIASES)
    .where(*_OF_ALIAS)
    .values(
        version=bindparam("new_version"),
        bundle_digest=bindparam("new_digest"),
        revision=bindparam("new_revision", type_=BigInteger),
        updated_at=bindparam("new_updated_at", type_=ALIASES.c.updated_at.type),
        log_index=bindparam("new_log_index", type_=BigInteger),
    )
)
_DELETE_ALIAS = delete(ALIASES).where(*_OF_ALIAS)
_READ_LAST_MOVE = select(MOVES).where(*_MOVES_OF_ALIAS).order_by(MOVES.c.revision.desc()).limit(1)
_READ_LAST_OTHER = (
    select(MOVES)
    .where(*_MOVES_OF_ALIAS, MOVES.c.bundle_digest != bindparam("but_digest"))
    .order_by(MOVES.c.revision.desc())
    .limit(1)
)
_READ_LAST_MOVE_BEFORE = (
    select(MOVES)
    .where(*_MOVES_OF_ALIAS, MOVES.c.log_index < bindparam("before_index", type_=BigInteger))
    .order_by(MOVES.c.revision.desc())
    .limit(1)
)
_READ_MOVE_BY_REQUEST = select(MOVES).where(*_MOVES_OF_ALIAS, MOVES.c.request_id == bindparam("of_request"))
_READ_MOVES = (
    select(MOVES)
    .where(*_MOVES_OF_ALIAS, MOVES.c.revision > bindparam("after_revision", type_=BigInteger))
    .order_by(MOVES.c.revision)
)
_LIST_MOVES = (
    select(MOVES, DOCUMENTS.c.data.label("note"))
    .outerjoin_from(MOVES, DOCUMENTS, DOCUMENTS.c.digest == MOVES.c.note_digest)
    .where(*_MOVES_OF_ALIAS, MOVES.c.revision < bindparam("before_revision", type_=BigInteger))
    .order_by(MOVES.c.revision.desc())
    .limit(bindparam("row_limit", type_=Integer))
)
_INSERT_MOVE = insert(MOVES)
_MOVE_COLUMNS = tuple(column.name for column in MOVES.c)


def _of(name: ResourceName) -> dict[str, str]:
    return {"of_namespace": name.namespace, "of_model": name.model, "of_alias": name.alias}


def read_alias(connection: Connection, name: ResourceName) -> Alias | None:
    """Read where an alias points; None where it points nowhere."""
    row = connection.execute(_READ_ALIAS, _of(name)).first()
    return None if row is None else Alias(**row._mapping)  # noqa: SLF001  SQLAlchemy's public name for it


def list_aliases(connection: Connection, name: ResourceName, *, after: str, limit: int) -> list[Alias]:
    """Read a model's aliases by name.

    Args:
        connection: Where to read.
        name: The model.
        after: The name of the last one that was read before; empty for the first page.
        limit: How many at most.
    """
    asked = {
        "of_namespace": name.namespace,
        "of_model": name.model,
        "after_alias": after,
        "row_limit": limit,
    }
    return [Alias(**row._mapping) for row in connection.execute(_LIST_ALIASES, asked)]  # noqa: SLF001  as above


def read_aliases_of(connection: Connection, models: Sequence[tuple[str, str]]) -> list[Alias]:
    """Read all aliases of some models, each given as namespace and model; by name."""
    rows = connection.execute(_READ_ALIASES_OF, {"of_models": list(models)}) if models else ()
    return [Alias(**row._mapping) for row in rows]  # noqa: SLF001  as above


def list_alias_names(connection: Connection) -> list[ResourceName]:
    """Read the names of all aliases that point somewhere."""
    return [
        ResourceName(row.namespace, row.model, alias=row.alias) for row in connection.execute(_LIST_NAMES)
    ]


def write_alias(connection: Connection, alias: Alias, *, is_new: bool) -> None:
    """Write where an alias points now; version 0 takes it away."""
    name = {"of_namespace": alias.namespace, "of_model": alias.model, "of_alias": alias.alias}
    if not alias.version:
        connection.execute(_DELETE_ALIAS, name)
    elif is_new:
        connection.execute(_INSERT_ALIAS, {field: getattr(alias, field) for field in Alias.__slots__})
    else:
        changed = {
            "new_version": alias.version,
            "new_digest": alias.bundle_digest,
            "new_revision": alias.revision,
            "new_updated_at": alias.updated_at,
            "new_log_index": alias.log_index,
        }
        connection.execute(_UPDATE_ALIAS, name | changed)


def read_last_move(connection: Connection, name: ResourceName) -> AliasMove | None:
    """Read the last move of an alias, without its note; None where it never moved."""
    row = connection.execute(_READ_LAST_MOVE, _of(name)).first()
    return None if row is None else AliasMove(**row._mapping)  # noqa: SLF001  as above


def read_newest_digests(connection: Connection, name: ResourceName) -> list[AliasMove]:
    """Read the last move of an alias, and the last one that led to another bundle; those that there are."""
    last = read_last_move(connection, name)
    if last is None:
        return []
    row = connection.execute(_READ_LAST_OTHER, _of(name) | {"but_digest": last.bundle_digest}).first()
    return [last] if row is None else [last, AliasMove(**row._mapping)]  # noqa: SLF001  as above


def read_last_move_before(connection: Connection, name: ResourceName, log_index: int) -> AliasMove | None:
    """Read the last move of an alias before an entry of the log, without its note; None for none."""
    row = connection.execute(_READ_LAST_MOVE_BEFORE, _of(name) | {"before_index": log_index}).first()
    return None if row is None else AliasMove(**row._mapping)  # noqa: SLF001  as above


def read_move_by_request(connection: Connection, name: ResourceName, request_id: str) -> AliasMove | None:
    """Read the move of an alias that a request made, without its note; None where it made none."""
    row = connection.execute(_READ_MOVE_BY_REQUEST, _of(name) | {"of_request": request_id}).first()
    return None if row is None else AliasMove(**row._mapping)  # noqa: SLF001  as above


def read_moves(connection: Connection, name: ResourceName, *, after_revision: int = 0) -> list[AliasMove]:
    """Read the moves of an alias behind a revision, the oldest first, without their notes."""
    rows = connection.execute(_READ_MOVES, _of(name) | {"after_revision": after_revision})
    return [AliasMove(**row._mapping) for row in rows]  # noqa: SLF001  as above


def list_moves(
    connection: Connection, name: ResourceName, *, before_revision: int | None, limit: int
) -> list[AliasMove]:
    """Read the moves of an alias, the newest first, with their notes.

    Args:
        connection: Where to read.
        name: The alias.
        before_revision: The revision of the last one that was read before; None for the first page.
        limit: How many at most.
    """
    before = _REVISION_MAX if before_revision is None else before_revision
    rows = connection.execute(_LIST_MOVES, _of(name) | {"before_revision": before, "row_limit": limit})
    return [
        AliasMove(
            **{
                **row._mapping,  # noqa: SLF001  as above
                "note": read_note(row.note),
                "accepted_untested": read_accepted_untested(row.note),
            }
        )
        for row in rows
    ]


def insert_move(connection: Connection, move: AliasMove) -> None:
    """Write a move."""
    connection.execute(_INSERT_MOVE, {name: getattr(move, name) for name in _MOVE_COLUMNS})

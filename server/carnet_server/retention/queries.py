"""The statements of purging, built once, and the reads and writes that use them.

A purge is written with a few statements over sets, however many files a version has. Rows do not leave this
module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import (
    BigInteger,
    Integer,
    bindparam,
    delete,
    func,
    insert,
    literal,
    not_,
    select,
    tuple_,
    update,
)
from sqlmodel import SQLModel

from carnet_server.blobs.queries import POSSESSIONS
from carnet_server.models.domain import Stage, Version, require_files
from carnet_server.models.queries import FILES, VERSIONS, names_blob, read_listed_version
from carnet_server.retention.purge_rules import Looked
from carnet_server.retention.tables import PurgedBlobRow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection, Exists, RowMapping

    from carnet.references import ResourceName

_PURGED_BLOBS = SQLModel.metadata.tables[str(PurgedBlobRow.__tablename__)]
_KEY = (VERSIONS.c.namespace, VERSIONS.c.model, VERSIONS.c.version)
_LISTED = [column for column in VERSIONS.c if column.name not in {"manifest", "signature"}]
_OF_NAMESPACE = bindparam("of_namespace", type_=VERSIONS.c.namespace.type)
_OF_MODEL = bindparam("of_model", type_=VERSIONS.c.model.type)
_OF_VERSION = bindparam("of_version", type_=Integer)

# --- which versions are looked at ---------------------------------------------------------------------------

_NEWER = VERSIONS.alias("newer")
_NEWER_ARCHIVED = (
    select(func.count())
    .select_from(_NEWER)
    .where(
        _NEWER.c.namespace == VERSIONS.c.namespace,
        _NEWER.c.model == VERSIONS.c.model,
        _NEWER.c.version > VERSIONS.c.version,
        _NEWER.c.stage == Stage.ARCHIVED,
        _NEWER.c.purged_at.is_(None),
    )
    .correlate(VERSIONS)
    .scalar_subquery()
)
_LOOK = select(*_LISTED, _NEWER_ARCHIVED.label("newer_archived"))
_LOOK_AT_PAGE = (
    _LOOK.where(
        VERSIONS.c.namespace.in_(bindparam("in_namespaces", expanding=True)),
        VERSIONS.c.stage.in_((Stage.ARCHIVED, Stage.REVOKED)),
        VERSIONS.c.purged_at.is_(None),
        tuple_(*_KEY)
        > tuple_(bindparam("after_namespace"), bindparam("after_model"), bindparam("after_version")),
    )
    .order_by(*_KEY)
    .limit(bindparam("row_limit", type_=Integer))
)
_LOOK_AT_MODEL = _LOOK_AT_PAGE.where(VERSIONS.c.model == _OF_MODEL)
_LOOK_AT_ONE = _LOOK.where(
    VERSIONS.c.namespace == _OF_NAMESPACE, VERSIONS.c.model == _OF_MODEL, VERSIONS.c.version == _OF_VERSION
)

# --- what a purge lets go -----------------------------------------------------------------------------------

_OTHER = FILES.alias("other")
_OF_FILES = (
    FILES.c.namespace == _OF_NAMESPACE,
    FILES.c.model == _OF_MODEL,
    FILES.c.version == _OF_VERSION,
)
_BLOBS = select(FILES.c.digest).where(*_OF_FILES)


def _other_names(digest: ColumnElement[str], *, in_namespace: bool) -> Exists:
    """Say that another version than the one that is purged names a blob: in its namespace, or anywhere."""
    itself = (_OTHER.c.model == _OF_MODEL) & (_OTHER.c.version == _OF_VERSION)
    here = _OTHER.c.namespace == _OF_NAMESPACE
    where: ColumnElement[bool] = here & not_(itself) if in_namespace else not_(here & itself)
    return select(literal(1)).select_from(_OTHER).where(_OTHER.c.digest == digest, where).exists()


_READ_FREED = select(func.coalesce(func.sum(POSSESSIONS.c.size_bytes), 0)).where(
    POSSESSIONS.c.namespace == _OF_NAMESPACE,
    POSSESSIONS.c.digest.in_(_BLOBS),
    ~_other_names(POSSESSIONS.c.digest, in_namespace=False),
)
_FORGET_PURGED = delete(_PURGED_BLOBS).where(
    _PURGED_BLOBS.c.namespace == _OF_NAMESPACE,
    _PURGED_BLOBS.c.digest.in_(_BLOBS),
    ~_other_names(_PURGED_BLOBS.c.digest, in_namespace=True),
)
_NOTE_PURGED = insert(_PURGED_BLOBS).from_select(
    ["namespace", "digest", "model", "version"],
    select(POSSESSIONS.c.namespace, POSSESSIONS.c.digest, _OF_MODEL, _OF_VERSION).where(
        POSSESSIONS.c.namespace == _OF_NAMESPACE,
        POSSESSIONS.c.digest.in_(_BLOBS),
        ~_other_names(POSSESSIONS.c.digest, in_namespace=True),
    ),
)
_KEEP_A_WHILE = (
    update(POSSESSIONS)
    .where(
        POSSESSIONS.c.namespace == _OF_NAMESPACE,
        POSSESSIONS.c.digest.in_(_BLOBS),
        ~_other_names(POSSESSIONS.c.digest, in_namespace=True),
    )
    .values(keep_until=bindparam("until", type_=POSSESSIONS.c.keep_until.type))
)
_DELETE_FILES = delete(FILES).where(*_OF_FILES)
_PURGE = (
    update(VERSIONS)
    .where(
        VERSIONS.c.namespace == _OF_NAMESPACE,
        VERSIONS.c.model == _OF_MODEL,
        VERSIONS.c.version == _OF_VERSION,
        VERSIONS.c.stage.in_((Stage.ARCHIVED, Stage.REVOKED)),
        VERSIONS.c.purged_at.is_(None),
    )
    .values(
        purged_at=bindparam("at_time", type_=VERSIONS.c.purged_at.type),
        purge_log_index=bindparam("at_index", type_=BigInteger),
    )
)
_READ_PURGED_BLOB = select(_PURGED_BLOBS.c.model, _PURGED_BLOBS.c.version).where(
    _PURGED_BLOBS.c.namespace == _OF_NAMESPACE, _PURGED_BLOBS.c.digest == bindparam("of_digest")
)


def look_at_versions(
    connection: Connection,
    namespaces: Sequence[str],
    *,
    model: str = "",
    after: tuple[str, str, int],
    limit: int,
) -> list[Looked]:
    """Read the archived and revoked versions that have their files, by namespace, model and number.

    Args:
        connection: Where to read.
        namespaces: Where they may be.
        model: The one model that they may be of; empty for any.
        after: The last one that was read before; two empty texts and 0 for the first page.
        limit: How many at most.
    """
    asked = {
        "in_namespaces": list(namespaces),
        "after_namespace": after[0],
        "after_model": after[1],
        "after_version": after[2],
        "row_limit": limit,
    }
    found = connection.execute(_LOOK_AT_MODEL if model else _LOOK_AT_PAGE, asked | {"of_model": model})
    return [_looked(row._mapping) for row in found]  # noqa: SLF001  SQLAlchemy's public name for it


def look_at_version(connection: Connection, name: ResourceName) -> Looked | None:
    """Read one version, wherever it stands; None where there is none."""
    row = connection.execute(_LOOK_AT_ONE, _of(name)).first()
    return None if row is None else _looked(row._mapping)  # noqa: SLF001  as above


def read_freed_bytes(connection: Connection, name: ResourceName) -> int:
    """Read the sum of the sizes of a version's blobs that no other version of the environment names."""
    return int(connection.execute(_READ_FREED, _of(name)).scalar_one())


def let_go(
    connection: Connection, name: ResourceName, *, now: datetime, until: datetime, log_index: int
) -> bool:
    """Take a version's files away from it; what no other version of the namespace names begins its grace.

    Args:
        connection: The transaction's connection.
        name: The version.
        now: The time.
        until: Until when the collector leaves those blobs alone.
        log_index: The entry that says so.

    Returns:
        Whether the version was archived or revoked and had its files; otherwise nothing is written.
    """
    key = _of(name)
    if connection.execute(_PURGE, key | {"at_time": now, "at_index": log_index}).rowcount != 1:
        return False
    connection.execute(_FORGET_PURGED, key)
    connection.execute(_NOTE_PURGED, key)
    connection.execute(_KEEP_A_WHILE, key | {"until": until})
    connection.execute(_DELETE_FILES, key)
    return True


def may_read_blob(connection: Connection, namespace: str, digest: str) -> bool:
    """Tell whether a version of a namespace names a blob, so that it may be read there.

    Raises:
        PurgedError: None does any more: the last one that did was purged.
    """
    if names_blob(connection, namespace, digest):
        return True
    row = connection.execute(_READ_PURGED_BLOB, {"of_namespace": namespace, "of_digest": digest}).first()
    version = None if row is None else read_listed_version(connection, namespace, row.model, row.version)
    if version is not None:
        require_files(version)
    return False


def _of(name: ResourceName) -> dict[str, str | int]:
    return {"of_namespace": name.namespace, "of_model": name.model, "of_version": name.version}


def _looked(row: RowMapping) -> Looked:
    fields = {str(name): value for name, value in row.items()}
    newer = fields.pop("newer_archived")
    return Looked(Version(**fields), newer)

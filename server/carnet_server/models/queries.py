"""The statements of models and versions, built once, and the reads and writes that use them.

Rows do not leave this module: what is returned are the dataclasses of ``domain``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, Integer, bindparam, func, insert, literal, or_, select, tuple_, update
from sqlmodel import SQLModel

from carnet.references import VERSION_MAX
from carnet_server.blobs.domain import Blob
from carnet_server.models.domain import Model, Stage, Version
from carnet_server.models.tables import ModelRow, VersionFileRow, VersionRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection

    from carnet.bundle.manifest import File

MODELS = SQLModel.metadata.tables[str(ModelRow.__tablename__)]
VERSIONS = SQLModel.metadata.tables[str(VersionRow.__tablename__)]
FILES = SQLModel.metadata.tables[str(VersionFileRow.__tablename__)]

_LISTED = [column for column in VERSIONS.c if column.name not in {"manifest", "signature"}]
_OF_MODEL = (
    VERSIONS.c.namespace == bindparam("of_namespace"),
    VERSIONS.c.model == bindparam("of_model"),
)
_READ_VERSION = select(VERSIONS).where(*_OF_MODEL, VERSIONS.c.version == bindparam("of_version"))
_READ_LISTED = select(*_LISTED).where(*_OF_MODEL, VERSIONS.c.version == bindparam("of_version"))
_LIST_VERSIONS = (
    select(*_LISTED)
    .where(
        *_OF_MODEL,
        VERSIONS.c.version <= bindparam("up_to"),
        VERSIONS.c.stage.in_(bindparam("in_stages", expanding=True)),
    )
    .order_by(VERSIONS.c.version.desc())
    .limit(bindparam("row_limit", type_=Integer))
)
_READ_BY_DIGEST = select(*_LISTED).where(VERSIONS.c.bundle_digest == bindparam("of_digest"))
_READ_BY_CONTENT = (
    select(*_LISTED)
    .where(*_OF_MODEL, VERSIONS.c.content_digest == bindparam("of_content"))
    .order_by(VERSIONS.c.version.desc())
)
_READ_SEMANTIC = select(VERSIONS.c.version, VERSIONS.c.semantic_version, VERSIONS.c.stage).where(
    *_OF_MODEL, VERSIONS.c.semantic_version.is_not(None)
)
_FIND_SEMANTIC = (
    select(VERSIONS.c.version)
    .where(
        *_OF_MODEL,
        VERSIONS.c.semantic_version == bindparam("of_semantic"),
        or_(VERSIONS.c.purged_at.is_(None), VERSIONS.c.content_digest != bindparam("but_content")),
    )
    .limit(1)
)
_WAS_PURGED = (
    select(literal(1))
    .select_from(VERSIONS)
    .where(
        *_OF_MODEL,
        VERSIONS.c.content_digest == bindparam("of_content"),
        VERSIONS.c.purged_at.is_not(None),
        VERSIONS.c.stage != Stage.REVOKED,
    )
    .limit(1)
)
_READ_LATEST = select(func.max(VERSIONS.c.version)).where(*_OF_MODEL)
_INSERT_VERSION = insert(VERSIONS)
_STAGE_VERSION = (
    update(VERSIONS)
    .where(
        *_OF_MODEL, VERSIONS.c.version == bindparam("of_version"), VERSIONS.c.stage == bindparam("old_stage")
    )
    .values(
        stage=bindparam("new_stage", type_=VERSIONS.c.stage.type),
        staged_at=bindparam("at_time", type_=VERSIONS.c.staged_at.type),
        stage_log_index=bindparam("at_index", type_=BigInteger),
        revoked_log_index=bindparam("revoked_index", type_=BigInteger),
    )
)

_OF_ROW = (VERSIONS.c.namespace == MODELS.c.namespace, VERSIONS.c.model == MODELS.c.model)
_NEWEST = select(func.max(VERSIONS.c.version)).where(*_OF_ROW).correlate(MODELS).scalar_subquery()
_COUNT = select(func.count()).select_from(VERSIONS).where(*_OF_ROW).correlate(MODELS).scalar_subquery()
_OWNER = (
    select(VERSIONS.c.owner)
    .where(*_OF_ROW)
    .order_by(VERSIONS.c.version.desc())
    .limit(1)
    .correlate(MODELS)
    .scalar_subquery()
)
_MODELS = select(
    MODELS, _OWNER.label("owner"), _NEWEST.label("latest_version"), _COUNT.label("version_count")
)
_READ_MODEL = _MODELS.where(
    MODELS.c.namespace == bindparam("of_namespace"), MODELS.c.model == bindparam("of_model")
)
_HAS_MODEL = select(literal(1)).where(
    MODELS.c.namespace == bindparam("of_namespace"), MODELS.c.model == bindparam("of_model")
)
_LIST_NAMESPACES = select(MODELS.c.namespace).distinct().order_by(MODELS.c.namespace)
_LIST_MODELS = (
    _MODELS.where(
        MODELS.c.namespace.in_(bindparam("in_namespaces", expanding=True)),
        tuple_(MODELS.c.namespace, MODELS.c.model)
        > tuple_(bindparam("after_namespace"), bindparam("after_model")),
    )
    .order_by(MODELS.c.namespace, MODELS.c.model)
    .limit(bindparam("row_limit", type_=Integer))
)
_INSERT_MODEL = insert(MODELS)

_READ_FILES = select(FILES.c.digest, FILES.c.size_bytes).where(
    FILES.c.namespace == bindparam("of_namespace"),
    FILES.c.model == bindparam("of_model"),
    FILES.c.version == bindparam("of_version"),
)
_NAMES_BLOB = (
    select(literal(1))
    .select_from(FILES)
    .where(FILES.c.namespace == bindparam("of_namespace"), FILES.c.digest == bindparam("of_digest"))
    .limit(1)
)
_INSERT_FILES = insert(FILES)


def read_model(connection: Connection, namespace: str, model: str) -> Model | None:
    """Read a model, without its aliases; None where there is none."""
    row = connection.execute(_READ_MODEL, {"of_namespace": namespace, "of_model": model}).first()
    return None if row is None else Model(**row._mapping)  # noqa: SLF001  SQLAlchemy's public name for it


def has_model(connection: Connection, namespace: str, model: str) -> bool:
    """Tell whether a model is known here."""
    asked = {"of_namespace": namespace, "of_model": model}
    return connection.execute(_HAS_MODEL, asked).first() is not None


def list_namespaces(connection: Connection) -> list[str]:
    """Read the namespaces that have models, by name."""
    return list(connection.execute(_LIST_NAMESPACES).scalars())


def list_models(
    connection: Connection, namespaces: Sequence[str], *, after: tuple[str, str], limit: int
) -> list[Model]:
    """Read models in the order of their names, without their aliases.

    Args:
        connection: Where to read.
        namespaces: Where they may be.
        after: Namespace and model of the last one that was read before; two empty texts for the first page.
        limit: How many at most.
    """
    asked = {"after_namespace": after[0], "after_model": after[1], "row_limit": limit}
    rows = connection.execute(_LIST_MODELS, asked | {"in_namespaces": list(namespaces)})
    return [Model(**row._mapping) for row in rows]  # noqa: SLF001  as above


def insert_model(connection: Connection, model: Model) -> None:
    """Write a model that was not known here."""
    names = ("namespace", "model", "home", "created_at")
    connection.execute(_INSERT_MODEL, {name: getattr(model, name) for name in names})


def read_version(connection: Connection, namespace: str, model: str, version: int) -> Version | None:
    """Read a version with its manifest and signature; None where there is none."""
    asked = {"of_namespace": namespace, "of_model": model, "of_version": version}
    row = connection.execute(_READ_VERSION, asked).first()
    return None if row is None else Version(**row._mapping)  # noqa: SLF001  as above


def read_listed_version(connection: Connection, namespace: str, model: str, version: int) -> Version | None:
    """Read a version as lists have it, without manifest and signature; None where there is none."""
    asked = {"of_namespace": namespace, "of_model": model, "of_version": version}
    row = connection.execute(_READ_LISTED, asked).first()
    return None if row is None else Version(**row._mapping)  # noqa: SLF001  as above


def read_version_by_digest(connection: Connection, bundle_digest: str) -> Version | None:
    """Read the version of a bundle, whatever its name; without manifest and signature."""
    row = connection.execute(_READ_BY_DIGEST, {"of_digest": bundle_digest}).first()
    return None if row is None else Version(**row._mapping)  # noqa: SLF001  as above


def read_versions_by_content(
    connection: Connection, namespace: str, model: str, content_digest: str
) -> list[Version]:
    """Read a model's versions of one content, the newest first; without manifest and signature."""
    asked = {"of_namespace": namespace, "of_model": model, "of_content": content_digest}
    return [Version(**row._mapping) for row in connection.execute(_READ_BY_CONTENT, asked)]  # noqa: SLF001  as above


def list_versions(
    connection: Connection,
    namespace: str,
    model: str,
    *,
    before: int | None,
    limit: int,
    stage: Stage | None = None,
) -> list[Version]:
    """Read a model's versions, the newest first; without manifests and signatures.

    Args:
        connection: Where to read.
        namespace: The namespace.
        model: The model.
        before: The number of the last one that was read before; None for the first page.
        limit: How many at most.
        stage: Only those that stand there; None for all.
    """
    asked = {
        "of_namespace": namespace,
        "of_model": model,
        "in_stages": [stage] if stage else list(Stage),
        "up_to": VERSION_MAX if before is None else before - 1,
        "row_limit": limit,
    }
    return [Version(**row._mapping) for row in connection.execute(_LIST_VERSIONS, asked)]  # noqa: SLF001  as above


def read_semantic_versions(connection: Connection, namespace: str, model: str) -> list[tuple[int, str, bool]]:
    """Read the versions of a model that state a semantic version: number, that, and whether it is revoked."""
    asked = {"of_namespace": namespace, "of_model": model}
    rows = connection.execute(_READ_SEMANTIC, asked)
    return [(row.version, row.semantic_version, row.stage is Stage.REVOKED) for row in rows]


def find_semantic_version(
    connection: Connection, namespace: str, model: str, semantic_version: str, *, but_purged: str
) -> int | None:
    """Read which version of a model states a semantic version; None for none.

    Args:
        connection: Where to read.
        namespace: The namespace.
        model: The model.
        semantic_version: The semantic version.
        but_purged: The content whose purged versions do not count.
    """
    asked = {"of_namespace": namespace, "of_model": model, "of_semantic": semantic_version}
    return connection.execute(_FIND_SEMANTIC, asked | {"but_content": but_purged}).scalar()


def was_purged(connection: Connection, namespace: str, model: str, content_digest: str) -> bool:
    """Tell whether a version of a content was purged that was not revoked: it may come back as it was."""
    asked = {"of_namespace": namespace, "of_model": model, "of_content": content_digest}
    return connection.execute(_WAS_PURGED, asked).first() is not None


def read_latest_number(connection: Connection, namespace: str, model: str) -> int:
    """Read the number of a model's newest version; 0 where there is none."""
    asked = {"of_namespace": namespace, "of_model": model}
    return connection.execute(_READ_LATEST, asked).scalar() or 0


def insert_version(connection: Connection, version: Version, files: Iterable[File]) -> None:
    """Write a version and its files; its model must be there."""
    names = Version.__slots__
    connection.execute(_INSERT_VERSION, {name: getattr(version, name) for name in names})
    rows = [
        {
            "namespace": version.namespace,
            "model": version.model,
            "version": version.version,
            "path": file.path,
            "digest": file.digest,
            "size_bytes": file.size_bytes,
            "role": file.role,
        }
        for file in files
    ]
    connection.execute(_INSERT_FILES, rows)


def write_stage(connection: Connection, version: Version, *, old: Stage) -> bool:
    """Write where a version stands, since when and by which entry.

    Args:
        connection: Where to write.
        version: The version as it is to be.
        old: Where it stood when it was read.

    Returns:
        Whether it still stood there; otherwise nothing is written.
    """
    asked = {
        "of_namespace": version.namespace,
        "of_model": version.model,
        "of_version": version.version,
        "old_stage": old,
        "new_stage": version.stage,
        "at_time": version.staged_at,
        "at_index": version.stage_log_index,
        "revoked_index": version.revoked_log_index,
    }
    return connection.execute(_STAGE_VERSION, asked).rowcount == 1


def read_blobs(connection: Connection, namespace: str, model: str, version: int) -> list[Blob]:
    """Read the blobs that a version is made of, each once."""
    asked = {"of_namespace": namespace, "of_model": model, "of_version": version}
    rows = connection.execute(_READ_FILES, asked)
    return list(dict.fromkeys(Blob(row.digest, row.size_bytes) for row in rows))


def names_blob(connection: Connection, namespace: str, digest: str) -> bool:
    """Tell whether a version in a namespace names a blob: the right to read it there, and to keep it."""
    asked = {"of_namespace": namespace, "of_digest": digest}
    return connection.execute(_NAMES_BLOB, asked).first() is not None

"""The statements of hygiene, built once: a few over sets, whatever there is.

Rows do not leave this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Integer, and_, bindparam, func, literal, or_, select

from carnet.references import ResourceName
from carnet_server.aliases.domain import MoveKind
from carnet_server.aliases.queries import ALIASES, MOVES
from carnet_server.aliases.running_queries import RUNNING
from carnet_server.blobs.queries import BEYOND_GRACE, POSSESSIONS
from carnet_server.models.queries import FILES, MODELS, VERSIONS
from carnet_server.retention.hygiene_rules import RELATED_MAX, Finding, HygieneKind, NamespaceStorage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection, Table

_LIMIT = bindparam("row_limit", type_=Integer)


def _inside(table: Table) -> ColumnElement[bool]:
    return table.c.namespace.in_(bindparam("in_namespaces", expanding=True))


_NAMED = (
    select(literal(1))
    .select_from(FILES)
    .where(FILES.c.namespace == POSSESSIONS.c.namespace, FILES.c.digest == POSSESSIONS.c.digest)
    .correlate(POSSESSIONS)
    .exists()
)
_ORPHANS = (
    select(POSSESSIONS.c.namespace, POSSESSIONS.c.digest, POSSESSIONS.c.size_bytes)
    .where(_inside(POSSESSIONS), *BEYOND_GRACE, ~_NAMED)
    .order_by(POSSESSIONS.c.digest, POSSESSIONS.c.namespace)
    .limit(_LIMIT)
)
_NEWEST_OWNER = (
    select(VERSIONS.c.owner)
    .where(VERSIONS.c.namespace == MODELS.c.namespace, VERSIONS.c.model == MODELS.c.model)
    .order_by(VERSIONS.c.version.desc())
    .limit(1)
    .correlate(MODELS)
    .scalar_subquery()
)
_UNOWNED = (
    select(MODELS.c.namespace, MODELS.c.model)
    .where(_inside(MODELS), _NEWEST_OWNER == "")
    .order_by(MODELS.c.namespace, MODELS.c.model)
    .limit(_LIMIT)
)
_MODEL_NAMES = select(MODELS.c.namespace, MODELS.c.model).where(_inside(MODELS))
_ALIAS_NAMES = (
    select(ALIASES.c.namespace, ALIASES.c.model, ALIASES.c.alias)
    .where(_inside(ALIASES), or_(ALIASES.c.alias == "latest", ALIASES.c.alias.startswith("v")))
    .order_by(ALIASES.c.namespace, ALIASES.c.model, ALIASES.c.alias)
    .limit(_LIMIT)
)


def _of_alias(table: Table) -> ColumnElement[bool]:
    return and_(*(table.c[name] == ALIASES.c[name] for name in ("namespace", "model", "alias")))


_DRILLED_AT = (
    select(func.max(MOVES.c.created_at))
    .where(_of_alias(MOVES), MOVES.c.kind == MoveKind.DRILLED)
    .correlate(ALIASES)
    .scalar_subquery()
)
_POINTED_ELSEWHERE = (
    select(literal(1))
    .where(_of_alias(MOVES), MOVES.c.new_version.not_in((0, ALIASES.c.version)))
    .correlate(ALIASES)
    .exists()
)
_IS_FOLLOWED = select(literal(1)).where(_of_alias(RUNNING)).correlate(ALIASES).exists()
_UNREHEARSED = (
    select(ALIASES.c.namespace, ALIASES.c.model, ALIASES.c.alias, _DRILLED_AT.label("drilled_at"))
    .where(
        _inside(ALIASES),
        ALIASES.c.alias.in_(bindparam("of_aliases", expanding=True)),
        _POINTED_ELSEWHERE,
        ~_IS_FOLLOWED,
        or_(_DRILLED_AT.is_(None), bindparam("since", type_=MOVES.c.created_at.type) >= _DRILLED_AT),
    )
    .order_by(ALIASES.c.namespace, ALIASES.c.model, ALIASES.c.alias)
    .limit(_LIMIT)
)
_IS_MODEL_FILE = FILES.c.role == "model"
_PLACE = FILES.c.namespace + "/" + FILES.c.model
_TWICE = (
    select(FILES.c.digest)
    .where(_IS_MODEL_FILE, _inside(FILES))
    .group_by(FILES.c.digest)
    .having(func.min(_PLACE) < func.max(_PLACE))
    .order_by(FILES.c.digest)
    .limit(_LIMIT)
    .subquery("twice")
)
_DUPLICATES = (
    select(FILES.c.digest, FILES.c.namespace, FILES.c.model, FILES.c.size_bytes)
    .join_from(FILES, _TWICE, _TWICE.c.digest == FILES.c.digest)
    .where(_IS_MODEL_FILE, _inside(FILES))
    .distinct()
    .order_by(FILES.c.digest, FILES.c.namespace, FILES.c.model)
)
_STORED = (
    select(
        POSSESSIONS.c.namespace,
        func.sum(POSSESSIONS.c.size_bytes).label("size_bytes"),
        func.count().label("blob_count"),
    )
    .where(_inside(POSSESSIONS))
    .group_by(POSSESSIONS.c.namespace)
)
_MODEL_COUNTS = (
    select(MODELS.c.namespace, func.count().label("count"))
    .where(_inside(MODELS))
    .group_by(MODELS.c.namespace)
)
_VERSION_COUNTS = (
    select(VERSIONS.c.namespace, func.count().label("count"))
    .where(_inside(VERSIONS), VERSIONS.c.purged_at.is_(None))
    .group_by(VERSIONS.c.namespace)
)
_NAMESPACES = select(POSSESSIONS.c.namespace).union(select(MODELS.c.namespace))


def list_used_namespaces(connection: Connection) -> list[str]:
    """Read the namespaces that have models or blobs, by name."""
    return sorted(connection.execute(_NAMESPACES).scalars())


def find_orphans(
    connection: Connection, namespaces: Sequence[str], *, before: datetime, now: datetime, limit: int
) -> list[Finding]:
    """Read the blobs that no version of their namespace names although their grace is over.

    Args:
        connection: Where to read.
        namespaces: Where they may be.
        before: Those that were given since then are in their grace.
        now: The time.
        limit: How many at most.
    """
    asked = {"in_namespaces": list(namespaces), "before": before, "now": now, "row_limit": limit}
    return [
        Finding(
            HygieneKind.ORPHAN,
            row.digest,
            f"namespace {row.namespace} has a blob that no version names",
            "the registry collects it within the hour; where it stays, see the registry's own log",
            related=(str(ResourceName(row.namespace)),),
            size_bytes=row.size_bytes,
        )
        for row in connection.execute(_ORPHANS, asked)
    ]


def find_unowned(connection: Connection, namespaces: Sequence[str], *, limit: int) -> list[Finding]:
    """Read the models whose newest version names no owner; the arguments are those of ``find_orphans``."""
    rows = connection.execute(_UNOWNED, {"in_namespaces": list(namespaces), "row_limit": limit})
    return [
        Finding(
            HygieneKind.UNOWNED_MODEL,
            str(ResourceName(row.namespace, row.model)),
            "its newest version names no owner",
            "write `owner` into its carnet.yaml and publish it, or let the policy demand it under `metadata`",
        )
        for row in rows
    ]


def read_model_names(connection: Connection, namespaces: Sequence[str]) -> list[tuple[str, str]]:
    """Read namespace and name of all models in some namespaces."""
    rows = connection.execute(_MODEL_NAMES, {"in_namespaces": list(namespaces)})
    return [(row.namespace, row.model) for row in rows]


def read_alias_names(connection: Connection, namespaces: Sequence[str], *, limit: int) -> list[ResourceName]:
    """Read the aliases that could have a name which MLflow keeps for itself."""
    rows = connection.execute(_ALIAS_NAMES, {"in_namespaces": list(namespaces), "row_limit": limit})
    return [ResourceName(row.namespace, row.model, alias=row.alias) for row in rows]


def find_duplicates(connection: Connection, namespaces: Sequence[str], *, limit: int) -> Iterator[Finding]:
    """Yield the model files that more than one model has; the arguments are those of ``find_orphans``."""
    rows = connection.execute(_DUPLICATES, {"in_namespaces": list(namespaces), "row_limit": limit})
    places: dict[str, list[str]] = {}
    sizes: dict[str, int] = {}
    for row in rows:
        places.setdefault(row.digest, []).append(str(ResourceName(row.namespace, row.model)))
        sizes[row.digest] = row.size_bytes
    for digest, found in places.items():
        yield Finding(
            HygieneKind.DUPLICATE,
            digest,
            f"{len(found)} models have the same model file",
            "keep it under one of them; its bytes are stored once, and counted in each namespace",
            related=tuple(found[:RELATED_MAX]),
            size_bytes=sizes[digest],
        )


def find_unrehearsed(
    connection: Connection,
    namespaces: Sequence[str],
    aliases: Sequence[str],
    *,
    since: datetime,
    now: datetime,
    limit: int,
) -> list[Finding]:
    """Read the aliases that no host follows, and whose rollback was not rehearsed since a time.

    Args:
        connection: Where to read.
        namespaces: Where they may be.
        aliases: Which names matter.
        since: The time.
        now: The time now.
        limit: How many at most.
    """
    asked = {
        "in_namespaces": list(namespaces),
        "of_aliases": list(aliases),
        "since": since,
        "row_limit": limit,
    }
    return [
        Finding(
            HygieneKind.UNREHEARSED_ROLLBACK,
            str(ResourceName(row.namespace, row.model, alias=row.alias)),
            f"a rollback of it was last rehearsed {(now - row.drilled_at).days} days ago"
            if row.drilled_at
            else "a rollback of it was never rehearsed",
            "rehearse it with `carnet rollback --drill`",
        )
        for row in connection.execute(_UNREHEARSED, asked)
    ]


def read_storage_of(
    connection: Connection, namespaces: Sequence[str], quota_of: Callable[[str], int | None]
) -> list[NamespaceStorage]:
    """Read what some namespaces store.

    Args:
        connection: Where to read.
        namespaces: The namespaces.
        quota_of: Tells a namespace's quota in bytes; None for none.
    """
    asked = {"in_namespaces": list(namespaces)}
    stored = {
        row.namespace: (int(row.size_bytes), row.blob_count) for row in connection.execute(_STORED, asked)
    }
    models, versions = (
        {row.namespace: int(row[1]) for row in connection.execute(statement, asked)}
        for statement in (_MODEL_COUNTS, _VERSION_COUNTS)
    )
    found = []
    for namespace in namespaces:
        size_bytes, blob_count = stored.get(namespace, (0, 0))
        found.append(
            NamespaceStorage(
                namespace=namespace,
                size_bytes=size_bytes,
                blob_count=blob_count,
                model_count=models.get(namespace, 0),
                version_count=versions.get(namespace, 0),
                quota_bytes=quota_of(namespace) or 0,
            )
        )
    return found

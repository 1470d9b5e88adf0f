"""Finding versions, and what lists say of them.

Rows do not leave this module: what is returned are the dataclasses of ``domain``.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from sqlalchemy import UnaryExpression, or_, select
from sqlalchemy.sql.operators import custom_op

from carnet_server.database.keys import KEYS_AT_ONCE, has_key, in_portions, parameters_of
from carnet_server.models.domain import Version
from carnet_server.models.queries import VERSIONS
from carnet_server.search.conditions import ALIASES, compile_conditions
from carnet_server.search.domain import FoundVersion
from carnet_server.search.index import TERMS
from carnet_server.search.texts import begins_with

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection, Select

    from carnet.filtering.conditions import Conditions
    from carnet_server.search.paging import Order, SortValue

_BULKY = frozenset({"manifest", "signature"})
_LISTED = tuple(VERSIONS.c[name] for name in Version.__slots__ if name in VERSIONS.c and name not in _BULKY)
# SQLite keeps no statistics: it would take any index that begins with the namespace before that of the order.
_UNINDEXED_NAMESPACE: ColumnElement[str] = UnaryExpression(
    VERSIONS.c.namespace, operator=custom_op("+"), type_=VERSIONS.c.namespace.type
)
_LABELS = "labels."
_METRICS = "metrics."
# An expression, so that the versions are looked up and not every label and metric there is.
_TERM = TERMS.c.term.concat("")


@functools.lru_cache(KEYS_AT_ONCE)
def _read_terms(count: int) -> Select[Any]:
    """Return the statement that reads the labels and metrics of so many versions."""
    return (
        select(TERMS)
        .where(
            has_key((TERMS.c.namespace, TERMS.c.model, TERMS.c.version), count),
            or_(begins_with(_TERM, _LABELS), begins_with(_TERM, _METRICS)),
        )
        .order_by(TERMS.c.term, TERMS.c.ordinal)
    )


@functools.lru_cache(KEYS_AT_ONCE)
def _read_aliases(count: int) -> Select[Any]:
    """Return the statement that reads the aliases of so many versions."""
    return (
        select(ALIASES.c.namespace, ALIASES.c.model, ALIASES.c.version, ALIASES.c.alias)
        .where(has_key((ALIASES.c.namespace, ALIASES.c.model, ALIASES.c.version), count))
        .order_by(ALIASES.c.alias)
    )


def search_statement(
    namespaces: Sequence[str],
    conditions: Conditions | None,
    order: Order,
    *,
    model: str,
    position: Sequence[SortValue] | None,
    now: datetime,
    limit: int,
    dialect: str,
) -> Select[Any]:
    """Return the statement that finds versions; see ``find_versions`` for the arguments."""
    wanted: list[ColumnElement[bool]] = []
    if model:
        wanted += [VERSIONS.c.namespace.in_(list(namespaces)), VERSIONS.c.model == model]
    else:
        column = _UNINDEXED_NAMESPACE if dialect == "sqlite" else VERSIONS.c.namespace
        wanted.append(column.in_(list(namespaces)))
    if conditions is not None:
        wanted.append(compile_conditions(conditions, dialect=dialect, now=now))
    if position is not None:
        wanted.append(order.behind(position))
    sorted_by = [column.value.label(f"sorted_by_{number}") for number, column in enumerate(order.columns)]
    return (
        select(*_LISTED, *sorted_by)
        .select_from(order.source)
        .where(*wanted)
        .order_by(*order.clauses())
        .limit(limit)
    )


def find_versions(
    connection: Connection,
    namespaces: Sequence[str],
    conditions: Conditions | None,
    order: Order,
    *,
    model: str = "",
    position: Sequence[SortValue] | None,
    now: datetime,
    limit: int,
) -> list[tuple[Version, list[SortValue]]]:
    """Read the versions that a filter is true of, without manifests and signatures.

    Args:
        connection: Where to read.
        namespaces: Where they may be.
        conditions: The filter; None for all.
        order: Their order.
        model: The one model that they may be of; empty for any.
        position: Where the page before ended; None for the first page.
        now: What ages are counted to.
        limit: How many at most.

    Returns:
        Each version, with where a page that ends at it ends.
    """
    statement = search_statement(
        namespaces,
        conditions,
        order,
        model=model,
        position=position,
        now=now,
        limit=limit,
        dialect=connection.dialect.name,
    )
    width = len(_LISTED)
    names = [column.name for column in _LISTED]
    return [
        (Version(**dict(zip(names, row[:width], strict=True))), list(row[width:]))
        for row in connection.execute(statement)
    ]


def read_summaries(connection: Connection, versions: Sequence[Version]) -> list[FoundVersion]:
    """Read the labels, metrics and aliases of some versions.

    Args:
        connection: Where to read.
        versions: The versions, which are in ``versions``.
    """
    keys = [(each.namespace, each.model, each.version) for each in versions]
    labels: dict[tuple[str, str, int], dict[str, str]] = {key: {} for key in keys}
    metrics: dict[tuple[str, str, int], dict[str, float]] = {key: {} for key in keys}
    aliases: dict[tuple[str, str, int], list[str]] = {key: [] for key in keys}
    for portion in in_portions(keys):
        asked = parameters_of(portion)
        for row in connection.execute(_read_terms(len(portion)), asked):
            key = (row.namespace, row.model, row.version)
            if row.term.startswith(_LABELS):
                labels[key][row.key] = row.text
            else:
                metrics[key].setdefault(row.key, row.number)
        for row in connection.execute(_read_aliases(len(portion)), asked):
            aliases[row.namespace, row.model, row.version].append(row.alias)
    return [
        FoundVersion(version, labels[key], metrics[key], tuple(aliases[key]))
        for version, key in zip(versions, keys, strict=True)
    ]

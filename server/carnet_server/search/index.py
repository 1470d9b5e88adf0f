"""Writing what can be searched of a version, in the transaction that registers it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from sqlalchemy import insert
from sqlmodel import SQLModel

from carnet_server.search.tables import SearchTermRow
from carnet_server.search.terms import terms_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from carnet_server.models.domain import Version

TERMS = SQLModel.metadata.tables[str(SearchTermRow.__tablename__)]

_INSERT = insert(TERMS)


def index_version(connection: Connection, version: Version) -> None:
    """Write what can be searched of a version that was just registered.

    Args:
        connection: The transaction.
        version: The version, with its manifest.
    """
    names = {"namespace": version.namespace, "model": version.model, "version": version.version}
    rows = [names | asdict(term) for term in terms_of(version.manifest)]
    if rows:
        connection.execute(_INSERT, rows)

"""The table of what can be searched in a manifest.

A row is one value of a version: a label, a metric, the commit that it was trained from. They are what
``terms`` makes of the manifest, which is what counts; they are written with the version and never change.

``term`` and ``head`` are what the indexes are of: long names and texts do not fit into one.
"""

from __future__ import annotations

from sqlalchemy import Double, ForeignKeyConstraint, Index, Text
from sqlmodel import Field, SQLModel

from carnet_server.models.queries import FILES, VERSIONS


class SearchTermRow(SQLModel, table=True):
    """One value of a version."""

    __tablename__ = "search_terms"
    __table_args__ = (
        ForeignKeyConstraint(
            ["namespace", "model", "version"], ["versions.namespace", "versions.model", "versions.version"]
        ),
        Index("ix_search_terms_text", "term", "head", "namespace", "model", "version"),
        Index("ix_search_terms_number", "term", "number", "namespace", "model", "version"),
    )

    namespace: str = Field(primary_key=True)
    model: str = Field(primary_key=True)
    version: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    term: str = Field(primary_key=True)
    ordinal: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    key: str = Field(sa_type=Text)
    text: str | None = Field(sa_type=Text)
    head: str | None
    number: float | None = Field(sa_type=Double)


# Which versions have a file, wherever they are.
Index("ix_version_files_digest", FILES.c.digest)
# Pages come in this order unless another is asked for.
Index("ix_versions_arrival", VERSIONS.c.created_at, VERSIONS.c.log_index)

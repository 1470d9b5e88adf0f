"""The tables of models, their versions, and the files that versions name.

A version's columns are the fields of ``domain.Version``; its manifest stands in its canonical bytes beside
them, since those are what its digest is of.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  SQLModel reads it at run time

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Enum,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    text,
)
from sqlmodel import Field, SQLModel

from carnet.serving.columns import UtcDateTime
from carnet_server.models.domain import Stage

_STAGE = Enum(
    Stage,
    name="stage",
    native_enum=False,
    create_constraint=True,
    length=32,
    values_callable=lambda stages: [str(stage) for stage in stages],
)


class ModelRow(SQLModel, table=True):
    """A model; it comes with its first version."""

    __tablename__ = "models"

    namespace: str = Field(primary_key=True)
    model: str = Field(primary_key=True)
    home: str
    created_at: datetime = Field(sa_type=UtcDateTime)


class VersionRow(SQLModel, table=True):
    """One version."""

    __tablename__ = "versions"
    __table_args__ = (
        ForeignKeyConstraint(["namespace", "model"], ["models.namespace", "models.model"]),
        UniqueConstraint("bundle_digest", name="uq_versions_bundle_digest"),
        Index("ix_versions_stage", "stage", "staged_at"),
        Index("ix_versions_content", "namespace", "model", "content_digest"),
        # What was purged can be published again: the same content, with the semantic version that it states.
        Index(
            "uq_versions_semantic_version",
            "namespace",
            "model",
            "semantic_version",
            unique=True,
            sqlite_where=text("purged_at IS NULL"),
            postgresql_where=text("purged_at IS NULL"),
        ),
        CheckConstraint("version >= 1", name="ck_versions_number"),
        CheckConstraint("size_bytes >= 0 AND file_count >= 1", name="ck_versions_sizes"),
    )

    namespace: str = Field(primary_key=True)
    model: str = Field(primary_key=True)
    version: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    home: str
    bundle_digest: str
    content_digest: str
    stage: Stage = Field(sa_type=_STAGE)
    size_bytes: int = Field(sa_type=BigInteger)
    file_count: int
    publisher: str = Field(index=True)
    publisher_key_id: str = Field(index=True)
    source: str
    promotion: str
    created_at: datetime = Field(sa_type=UtcDateTime)
    log_index: int = Field(sa_type=BigInteger)
    description: str = Field(sa_type=Text)
    owner: str
    staged_at: datetime = Field(sa_type=UtcDateTime)
    stage_log_index: int = Field(sa_type=BigInteger)
    revoked_log_index: int | None = Field(sa_type=BigInteger)
    semantic_version: str | None
    purged_at: datetime | None = Field(sa_type=UtcDateTime)
    purge_log_index: int | None = Field(sa_type=BigInteger)
    manifest: bytes = Field(sa_type=LargeBinary)
    signature: bytes = Field(sa_type=LargeBinary)


class VersionFileRow(SQLModel, table=True):
    """One file of a version: what gives a namespace's readers the right to a blob."""

    __tablename__ = "version_files"
    __table_args__ = (
        ForeignKeyConstraint(
            ["namespace", "model", "version"], ["versions.namespace", "versions.model", "versions.version"]
        ),
        Index("ix_version_files_blob", "namespace", "digest"),
        CheckConstraint("size_bytes >= 0", name="ck_version_files_size"),
    )

    namespace: str = Field(primary_key=True)
    model: str = Field(primary_key=True)
    version: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    path: str = Field(primary_key=True, sa_type=Text)
    digest: str
    size_bytes: int = Field(sa_type=BigInteger)
    role: str

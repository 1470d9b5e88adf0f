"""The tables of retention: holds, what purges let go, and when what is done once a day was last taken on."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  SQLModel reads it at run time

from sqlalchemy import BigInteger, Index
from sqlmodel import Field, SQLModel

from carnet.serving.columns import UtcDateTime


class HoldRow(SQLModel, table=True):
    """A hold on a version, or on a model and all of its versions (``version`` 0)."""

    __tablename__ = "holds"
    __table_args__ = (Index("ix_holds_place", "namespace", "model", "version"),)

    hold: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    namespace: str
    model: str
    version: int
    actor: str
    note_digest: str
    created_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime | None = Field(sa_type=UtcDateTime)
    released_at: datetime | None = Field(sa_type=UtcDateTime)
    releaser: str
    request_id: str | None = Field(unique=True)
    request_digest: str | None
    log_index: int = Field(sa_type=BigInteger)
    release_log_index: int | None = Field(sa_type=BigInteger)


class PurgedBlobRow(SQLModel, table=True):
    """A blob that the last version of a namespace to name it let go, and which version that was."""

    __tablename__ = "purged_blobs"

    namespace: str = Field(primary_key=True)
    digest: str = Field(primary_key=True)
    model: str
    version: int


class ScheduledRunRow(SQLModel, table=True):
    """When a process of the registry last took on a task that is done once a day."""

    __tablename__ = "scheduled_runs"

    task: str = Field(primary_key=True)
    taken_at: datetime = Field(sa_type=UtcDateTime)

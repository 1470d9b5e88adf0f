"""The tables of aliases: where each points now, and every move that it made.

``aliases`` has a row for each alias that points somewhere; ``alias_moves`` keeps every move for good. The
first is always what replaying the second gives. ``alias_marks`` keeps every change of an alias's mark for
good, of which the last is the mark. ``alias_reports`` and ``alias_resolves`` are what was observed of an
alias, not what it is: they are written over, and no log entry tells of them. ``alias_running`` is what
reports come to: a row for each version that hosts run, with the entry that tells of it.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  SQLModel reads it at run time

from sqlalchemy import BigInteger, CheckConstraint, Enum, ForeignKeyConstraint, UniqueConstraint
from sqlmodel import Field, SQLModel

from carnet.serving.columns import NAME, UtcDateTime
from carnet_server.aliases.domain import MoveKind

_KIND = Enum(
    MoveKind,
    name="kind",
    native_enum=False,
    create_constraint=True,
    length=32,
    values_callable=lambda kinds: [str(kind) for kind in kinds],
)


class AliasRow(SQLModel, table=True):
    """Where an alias points."""

    __tablename__ = "aliases"
    __table_args__ = (
        ForeignKeyConstraint(
            ["namespace", "model", "version"], ["versions.namespace", "versions.model", "versions.version"]
        ),
        CheckConstraint("revision >= 1", name="ck_aliases_revision"),
    )

    namespace: str = Field(primary_key=True)
    model: str = Field(primary_key=True)
    alias: str = Field(primary_key=True)
    version: int
    bundle_digest: str
    revision: int = Field(sa_type=BigInteger)
    updated_at: datetime = Field(sa_type=UtcDateTime)
    log_index: int = Field(sa_type=BigInteger)


class AliasMoveRow(SQLModel, table=True):
    """One move."""

    __tablename__ = "alias_moves"
    __table_args__ = (
        ForeignKeyConstraint(["namespace", "model"], ["models.namespace", "models.model"]),
        UniqueConstraint("namespace", "model", "alias", "request_id", name="uq_alias_moves_request"),
        CheckConstraint("revision >= 1", name="ck_alias_moves_revision"),
        CheckConstraint("(new_version = 0) = (bundle_digest = '')", name="ck_alias_moves_digest"),
    )

    namespace: str = Field(primary_key=True)
    model: str = Field(primary_key=True)
    alias: str = Field(primary_key=True)
    revision: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    kind: MoveKind = Field(sa_type=_KIND)
    old_version: int
    new_version: int
    bundle_digest: str
    actor: str
    reason_code: str
    note_digest: str | None
    promotion: str
    request_id: str | None
    request_digest: str | None
    created_at: datetime = Field(sa_type=UtcDateTime)
    log_index: int = Field(sa_type=BigInteger)


class AliasMarkRow(SQLModel, table=True):
    """One change of an alias's mark."""

    __tablename__ = "alias_marks"
    __table_args__ = (
        ForeignKeyConstraint(["namespace", "model"], ["models.namespace", "models.model"]),
        UniqueConstraint("namespace", "model", "alias", "request_id", name="uq_alias_marks_request"),
        CheckConstraint("revision >= 1", name="ck_alias_marks_revision"),
        CheckConstraint("(marked_version = 0) = (bundle_digest = '')", name="ck_alias_marks_digest"),
    )

    namespace: str = Field(primary_key=True, sa_type=NAME)
    model: str = Field(primary_key=True, sa_type=NAME)
    alias: str = Field(primary_key=True, sa_type=NAME)
    revision: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    old_marked_version: int
    marked_version: int
    bundle_digest: str = Field(sa_type=NAME)
    actor: str = Field(sa_type=NAME)
    note_digest: str | None = Field(sa_type=NAME)
    request_id: str | None = Field(sa_type=NAME)
    request_digest: str | None = Field(sa_type=NAME)
    created_at: datetime = Field(sa_type=UtcDateTime)
    log_index: int = Field(sa_type=BigInteger)


class AliasReportRow(SQLModel, table=True):
    """What an instance of a serving host last said that it runs."""

    __tablename__ = "alias_reports"
    __table_args__ = (ForeignKeyConstraint(["namespace", "model"], ["models.namespace", "models.model"]),)

    namespace: str = Field(primary_key=True, sa_type=NAME)
    model: str = Field(primary_key=True, sa_type=NAME)
    alias: str = Field(primary_key=True, sa_type=NAME)
    subject: str = Field(primary_key=True, sa_type=NAME)
    instance: str = Field(primary_key=True, sa_type=NAME)
    bundle_digest: str
    revision: int = Field(sa_type=BigInteger)
    reported_at: datetime = Field(sa_type=UtcDateTime)
    drift_logged_at: datetime | None = Field(sa_type=UtcDateTime)


class AliasRunningRow(SQLModel, table=True):
    """A version that serving hosts say they run, and the entry that tells since when."""

    __tablename__ = "alias_running"
    __table_args__ = (ForeignKeyConstraint(["namespace", "model"], ["models.namespace", "models.model"]),)

    namespace: str = Field(primary_key=True, sa_type=NAME)
    model: str = Field(primary_key=True, sa_type=NAME)
    alias: str = Field(primary_key=True, sa_type=NAME)
    bundle_digest: str = Field(primary_key=True, sa_type=NAME)
    version: int
    since: datetime = Field(sa_type=UtcDateTime)
    log_index: int = Field(sa_type=BigInteger)


class AliasResolvesRow(SQLModel, table=True):
    """How often an alias was resolved, and when last."""

    __tablename__ = "alias_resolves"
    __table_args__ = (ForeignKeyConstraint(["namespace", "model"], ["models.namespace", "models.model"]),)

    namespace: str = Field(primary_key=True, sa_type=NAME)
    model: str = Field(primary_key=True, sa_type=NAME)
    alias: str = Field(primary_key=True, sa_type=NAME)
    resolve_count: int = Field(sa_type=BigInteger)
    resolved_at: datetime = Field(sa_type=UtcDateTime)

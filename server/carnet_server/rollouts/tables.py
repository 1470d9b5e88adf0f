"""The tables of rollouts, and of what was measured of them.

``rollouts`` keeps every rollout for good; at most one of an alias has not ended. ``rollout_totals`` has the
sums by which a rollout is judged, for each phase; ``rollout_windows`` the same by reporting interval, for
reports; ``rollout_metrics`` which way each metric is better. ``rollout_reports`` remembers the batches that
were taken of rollouts that go on. Figures are no log entries: what was decided on them is.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  SQLModel reads it at run time
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Double,
    Enum,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    UniqueConstraint,
    text,
)
from sqlmodel import Field, SQLModel

from carnet.rollouts import RolloutKind, RolloutState
from carnet.serving.columns import NAME, TEXT, UtcDateTime

ACTIVE = "state IN ('running', 'awaiting', 'baking')"


def _enum(kind: type[RolloutKind | RolloutState], name: str) -> Enum:
    return Enum(
        kind,
        name=name,
        native_enum=False,
        create_constraint=True,
        length=32,
        values_callable=lambda values: [str(value) for value in values],
    )


def _of_rollout() -> ForeignKeyConstraint:
    key = ["namespace", "model", "alias", "rollout"]
    return ForeignKeyConstraint(key, [f"rollouts.{name}" for name in key])


def _number() -> Any:
    return Field(primary_key=True, sa_column_kwargs={"autoincrement": False})


class RolloutRow(SQLModel, table=True):
    """One rollout."""

    __tablename__ = "rollouts"
    __table_args__ = (
        ForeignKeyConstraint(["namespace", "model"], ["models.namespace", "models.model"]),
        UniqueConstraint("namespace", "model", "alias", "request_id", name="uq_rollouts_request"),
        Index(
            "uq_rollouts_active",
            "namespace",
            "model",
            "alias",
            unique=True,
            sqlite_where=text(ACTIVE),
            postgresql_where=text(ACTIVE),
        ),
        CheckConstraint("rollout >= 1 AND revision >= 1", name="ck_rollouts_numbers"),
        CheckConstraint("share >= 0 AND share <= 1", name="ck_rollouts_share"),
    )

    namespace: str = Field(primary_key=True, sa_type=NAME)
    model: str = Field(primary_key=True, sa_type=NAME)
    alias: str = Field(primary_key=True, sa_type=NAME)
    rollout: int = _number()
    kind: RolloutKind = Field(sa_type=_enum(RolloutKind, "kind"))
    state: RolloutState = Field(sa_type=_enum(RolloutState, "state"))
    champion_version: int
    champion_digest: str = Field(sa_type=NAME)
    challenger_version: int
    challenger_digest: str = Field(sa_type=NAME)
    challenger_alias: str = Field(sa_type=NAME)
    sets_alias: bool
    plan_document: bytes = Field(sa_type=LargeBinary)
    share: float = Field(sa_type=Double)
    phase_times: str = Field(sa_type=TEXT)
    actor: str = Field(sa_type=TEXT)
    note_digest: str | None = Field(sa_type=NAME)
    message: str = Field(sa_type=TEXT)
    reason_code: str = Field(sa_type=NAME)
    policy_digest: str = Field(sa_type=NAME)
    created_at: datetime = Field(sa_type=UtcDateTime)
    ended_at: datetime | None = Field(sa_type=UtcDateTime)
    revision: int = Field(sa_type=BigInteger)
    log_index: int = Field(sa_type=BigInteger)
    start_log_index: int = Field(sa_type=BigInteger)
    champion_reported_at: datetime | None = Field(sa_type=UtcDateTime)
    challenger_reported_at: datetime | None = Field(sa_type=UtcDateTime)
    request_id: str | None = Field(sa_type=NAME)
    request_digest: str | None = Field(sa_type=NAME)


class RolloutMetricRow(SQLModel, table=True):
    """Which way a metric of a rollout is better."""

    __tablename__ = "rollout_metrics"
    __table_args__ = (_of_rollout(),)

    namespace: str = Field(primary_key=True, sa_type=NAME)
    model: str = Field(primary_key=True, sa_type=NAME)
    alias: str = Field(primary_key=True, sa_type=NAME)
    rollout: int = _number()
    metric: str = Field(primary_key=True, sa_type=NAME)
    direction: str = Field(sa_type=NAME)


class RolloutTotalRow(SQLModel, table=True):
    """The sums of a metric of a version in one phase."""

    __tablename__ = "rollout_totals"
    __table_args__ = (_of_rollout(),)

    namespace: str = Field(primary_key=True, sa_type=NAME)
    model: str = Field(primary_key=True, sa_type=NAME)
    alias: str = Field(primary_key=True, sa_type=NAME)
    rollout: int = _number()
    phase: int = _number()
    version: int = _number()
    metric: str = Field(primary_key=True, sa_type=NAME)
    sample_count: float = Field(sa_type=Double)
    total: float = Field(sa_type=Double)
    total_of_squares: float = Field(sa_type=Double)


class RolloutWindowRow(SQLModel, table=True):
    """The sums of a metric of a version in one reporting interval."""

    __tablename__ = "rollout_windows"
    __table_args__ = (_of_rollout(),)

    namespace: str = Field(primary_key=True, sa_type=NAME)
    model: str = Field(primary_key=True, sa_type=NAME)
    alias: str = Field(primary_key=True, sa_type=NAME)
    rollout: int = _number()
    window_at: datetime = Field(primary_key=True, sa_type=UtcDateTime)
    version: int = _number()
    metric: str = Field(primary_key=True, sa_type=NAME)
    sample_count: float = Field(sa_type=Double)
    total: float = Field(sa_type=Double)
    total_of_squares: float = Field(sa_type=Double)


class RolloutReportRow(SQLModel, table=True):
    """A batch that was taken, by the caller's own id."""

    __tablename__ = "rollout_reports"
    __table_args__ = (_of_rollout(),)

    namespace: str = Field(primary_key=True, sa_type=NAME)
    model: str = Field(primary_key=True, sa_type=NAME)
    alias: str = Field(primary_key=True, sa_type=NAME)
    rollout: int = _number()
    subject: str = Field(primary_key=True, sa_type=NAME)
    request_id: str = Field(primary_key=True, sa_type=NAME)
    digest: str = Field(sa_type=NAME)

"""The promotion service's tables.

Responsible for the shape of what is stored; columns are named as the fields of ``promotions.domain``. The
tables have a registry of their own, so that they never mix with another service's in one process.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  SQLModel reads the annotations

from sqlalchemy import BigInteger, Index, LargeBinary, Table, Text
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from carnet.serving.columns import UtcDateTime


class _SyncTable(SQLModel, registry=registry()):
    """A table of the promotion service."""


class PromotionRow(_SyncTable, table=True):
    """A promotion; see ``promotions.domain.Promotion``."""

    __tablename__ = "promotions"
    __table_args__ = (
        Index("ix_promotions_due", "state", "wake_at"),
        Index("ix_promotions_newest", "created_at", "id"),
        Index("ix_promotions_bundle", "bundle_digest"),
    )

    id: str = Field(primary_key=True)
    state: str
    message: str = Field(sa_type=Text)
    error_reason: str
    source: str
    target: str
    namespace: str
    model: str
    version: int
    alias: str
    bundle_digest: str
    requester: str
    request: bytes = Field(sa_type=LargeBinary)
    manifest: bytes = Field(sa_type=LargeBinary)
    signature: bytes = Field(sa_type=LargeBinary)
    source_receipt: bytes = Field(sa_type=LargeBinary)
    admission: bytes = Field(sa_type=LargeBinary)
    transferred_bytes: int = Field(sa_type=BigInteger)
    total_bytes: int = Field(sa_type=BigInteger)
    transfer: str
    attempts: int
    returns: int
    retrying_since: datetime | None = Field(sa_type=UtcDateTime, nullable=True)
    wake_at: datetime = Field(sa_type=UtcDateTime)
    lease_owner: str
    lease_expires_at: datetime = Field(sa_type=UtcDateTime)
    epoch: int = Field(sa_type=BigInteger)
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)
    sequence: int = Field(sa_type=BigInteger)
    by_rollout: bool


class PromotionEventRow(_SyncTable, table=True):
    """A step of a promotion; see ``promotions.domain.Event``."""

    __tablename__ = "promotion_events"

    promotion: str = Field(primary_key=True, foreign_key="promotions.id")
    sequence: int = Field(primary_key=True, sa_type=BigInteger)
    state: str
    message: str = Field(sa_type=Text)
    created_at: datetime = Field(sa_type=UtcDateTime)


class CancellationRow(_SyncTable, table=True):
    """The signed word that ended a promotion, as the target accepted it."""

    __tablename__ = "cancellations"

    promotion: str = Field(primary_key=True, foreign_key="promotions.id")
    caller: str
    envelope: bytes = Field(sa_type=LargeBinary)
    created_at: datetime = Field(sa_type=UtcDateTime)


class CosignedLogRow(_SyncTable, table=True):
    """What was cosigned last of an environment's log; see ``carnet_sync.witnessing``."""

    __tablename__ = "cosigned_logs"

    origin: str = Field(primary_key=True)
    size: int = Field(sa_type=BigInteger)
    checkpoint: str = Field(sa_type=Text)
    updated_at: datetime = Field(sa_type=UtcDateTime)


METADATA = _SyncTable.metadata
PROMOTIONS: Table = METADATA.tables["promotions"]
EVENTS: Table = METADATA.tables["promotion_events"]
CANCELLATIONS: Table = METADATA.tables["cancellations"]
COSIGNED: Table = METADATA.tables["cosigned_logs"]

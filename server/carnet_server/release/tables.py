"""The tables of what left: which releases were signed, and which promotions other environments admitted."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  SQLModel reads it at run time

from sqlalchemy import BigInteger, Index, Text
from sqlmodel import Field, SQLModel

from carnet.serving.columns import UtcDateTime


class PromotionRecordRow(SQLModel, table=True):
    """One admission elsewhere, with the target's decision and the receipt of its entry there."""

    __tablename__ = "promotion_records"

    promotion: str = Field(primary_key=True)
    target: str
    namespace: str
    model: str
    version: int
    bundle_digest: str = Field(index=True)
    decision_digest: str
    target_receipt: str = Field(sa_type=Text)
    created_at: datetime = Field(sa_type=UtcDateTime)
    log_index: int = Field(sa_type=BigInteger)


class ReleaseRow(SQLModel, table=True):
    """A promotion for which a release statement or a read capability was signed, and when last."""

    __tablename__ = "releases"
    __table_args__ = (Index("ix_releases_version", "namespace", "model", "version"),)

    promotion: str = Field(primary_key=True)
    bundle_digest: str = Field(primary_key=True)
    target: str
    namespace: str
    model: str
    version: int
    released_at: datetime = Field(sa_type=UtcDateTime)

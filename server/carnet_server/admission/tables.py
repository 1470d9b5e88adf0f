"""The tables of promotions at the target: what was asked for, what people said of it, what ended it early.

``admissions`` has a row for each promotion whose request was verified here; ``approvals`` every statement
that an approver made, for good; ``admission_cancellations`` every signed cancellation, which may be there
before the promotion is heard of; ``alias_permits`` what each promotion by rollout permits.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  SQLModel reads it at run time

from sqlalchemy import BigInteger, Index, LargeBinary, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

from carnet.serving.columns import UtcDateTime


class AdmissionRow(SQLModel, table=True):
    """One promotion."""

    __tablename__ = "admissions"

    promotion: str = Field(primary_key=True)
    state: str
    epoch: int = Field(sa_type=BigInteger)
    home: str
    namespace: str
    model: str
    version: int
    alias: str
    source: str
    bundle_digest: str = Field(index=True)
    publisher: str
    publisher_person: str | None
    requester: str = Field(index=True)
    requester_person: str | None
    request: bytes = Field(sa_type=LargeBinary)
    request_digest: str
    manifest: bytes = Field(sa_type=LargeBinary)
    signature: bytes = Field(sa_type=LargeBinary)
    source_receipt: str = Field(sa_type=Text)
    evaluation: str | None = Field(sa_type=Text)
    dossier: bytes | None = Field(sa_type=LargeBinary)
    dossier_digest: str | None
    dossier_expires_at: datetime | None = Field(sa_type=UtcDateTime)
    decision: bytes | None = Field(sa_type=LargeBinary)
    decision_digest: str | None
    log_index: int | None = Field(sa_type=BigInteger)
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)
    requester_key_id: str = Field(index=True)
    request_log_index: int = Field(sa_type=BigInteger)
    by_rollout: bool


class ApprovalRow(SQLModel, table=True):
    """One statement of an approver."""

    __tablename__ = "approvals"
    __table_args__ = (UniqueConstraint("approver_key_id", "nonce"),)

    promotion: str = Field(primary_key=True, foreign_key="admissions.promotion")
    digest: str = Field(primary_key=True)
    approver: str = Field(index=True)
    approver_key_id: str
    person: str | None
    meaning: str
    reason: str
    dossier_digest: str
    nonce: str
    signed_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)
    created_at: datetime = Field(sa_type=UtcDateTime)
    log_index: int = Field(sa_type=BigInteger)
    envelope: bytes = Field(sa_type=LargeBinary)


class CancellationRow(SQLModel, table=True):
    """One signed cancellation: a tombstone where the promotion was not heard of before."""

    __tablename__ = "admission_cancellations"

    promotion: str = Field(primary_key=True)
    canceller: str = Field(primary_key=True)
    namespace: str
    model: str
    version: int
    bundle_digest: str
    digest: str
    created_at: datetime = Field(sa_type=UtcDateTime)
    log_index: int = Field(sa_type=BigInteger)


class AliasPermitRow(SQLModel, table=True):
    """What one promotion by rollout permits."""

    __tablename__ = "alias_permits"
    __table_args__ = (Index("ix_alias_permits_alias", "namespace", "model", "alias", "bundle_digest"),)

    promotion: str = Field(primary_key=True, foreign_key="admissions.promotion")
    namespace: str
    model: str
    alias: str
    bundle_digest: str
    version: int
    decision_digest: str
    log_index: int = Field(sa_type=BigInteger)
    created_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)
    used_at: datetime | None = Field(sa_type=UtcDateTime)

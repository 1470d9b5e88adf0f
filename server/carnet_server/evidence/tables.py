"""The table of evidence.

Evidence is held per namespace: what is added in one is neither seen nor counted in another. Who signed and
whether that was trusted stand here as they were found when it was added; decisions look at the envelope anew.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  SQLModel reads it at run time

from sqlalchemy import BigInteger, Index, LargeBinary, Text
from sqlmodel import Field, SQLModel

from carnet.serving.columns import UtcDateTime


class EvidenceRow(SQLModel, table=True):
    """One attestation that a namespace holds about a bundle."""

    __tablename__ = "evidence"
    __table_args__ = (Index("ix_evidence_in_order", "namespace", "bundle_digest", "log_index", "digest"),)

    namespace: str = Field(primary_key=True)
    bundle_digest: str = Field(primary_key=True)
    digest: str = Field(primary_key=True)
    model: str
    version: int
    predicate_type: str = Field(sa_type=Text)
    suite: str = Field(sa_type=Text)
    result: str
    signer: str = Field(index=True)
    signer_key_id: str = Field(index=True)
    trusted: bool
    created_at: datetime = Field(sa_type=UtcDateTime)
    log_index: int = Field(sa_type=BigInteger)
    envelope: bytes = Field(sa_type=LargeBinary)

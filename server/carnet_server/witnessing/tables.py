"""The tables of witnessing: what was cosigned here, who cosigned this log, and what alarmed."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  SQLModel reads it at run time

from sqlalchemy import BigInteger, LargeBinary, Text
from sqlmodel import Field, SQLModel

from carnet.serving.columns import NAME, UtcDateTime


class WitnessedLogRow(SQLModel, table=True):
    """What was cosigned here last of another log."""

    __tablename__ = "witnessed_logs"

    origin: str = Field(primary_key=True, sa_type=NAME)
    size: int = Field(sa_type=BigInteger)
    root: bytes = Field(sa_type=LargeBinary)
    checkpoint: str = Field(sa_type=Text)
    updated_at: datetime = Field(sa_type=UtcDateTime)


class CosignatureRow(SQLModel, table=True):
    """What a witness signed last of this log."""

    __tablename__ = "log_cosignatures"

    witness: str = Field(primary_key=True, sa_type=NAME)
    size: int = Field(sa_type=BigInteger)
    line: str = Field(sa_type=Text)
    cosigned_at: datetime = Field(sa_type=UtcDateTime)


class WitnessedHeadRow(SQLModel, table=True):
    """The newest checkpoint of this log that a quorum cosigned; one row."""

    __tablename__ = "log_witnessed_head"

    id: int = Field(primary_key=True)
    size: int = Field(sa_type=BigInteger)
    checkpoint: str = Field(sa_type=Text)
    updated_at: datetime = Field(sa_type=UtcDateTime)


class AlarmRow(SQLModel, table=True):
    """Two signed checkpoints that cannot both be true."""

    __tablename__ = "alarms"

    digest: str = Field(primary_key=True, sa_type=NAME)
    kind: str
    origin: str = Field(sa_type=NAME)
    message: str = Field(sa_type=Text)
    held: str = Field(sa_type=Text)
    shown: str = Field(sa_type=Text)
    raised_at: datetime = Field(sa_type=UtcDateTime)
    log_index: int = Field(sa_type=BigInteger)

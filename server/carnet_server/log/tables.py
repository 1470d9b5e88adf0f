"""The log's tables.

``log_head`` has one row, which every writer locks: log order is its order. ``log_entries`` holds the bytes
that are hashed; ``log_nodes`` the hashes of complete subtrees above the leaves, so that a proof reads
O(log n) rows; ``documents`` what entries rest on; ``revisions`` what decisions compare.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  SQLModel reads it at run time

from sqlalchemy import BigInteger, LargeBinary
from sqlmodel import Field, SQLModel

from carnet.serving.columns import UtcDateTime


class LogHeadRow(SQLModel, table=True):
    """The tree head that is committed; one row."""

    __tablename__ = "log_head"

    id: int = Field(primary_key=True)
    origin: str
    size: int = Field(sa_type=BigInteger)
    root: bytes = Field(sa_type=LargeBinary)


class LogEntryRow(SQLModel, table=True):
    """One entry's bytes and their leaf hash."""

    __tablename__ = "log_entries"

    index: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    entry: bytes = Field(sa_type=LargeBinary)
    leaf_hash: bytes = Field(sa_type=LargeBinary)


class LogNodeRow(SQLModel, table=True):
    """The hash of one complete subtree of 2**level leaves, level 1 and up."""

    __tablename__ = "log_nodes"

    level: int = Field(primary_key=True)
    index: int = Field(primary_key=True, sa_type=BigInteger)
    hash: bytes = Field(sa_type=LargeBinary)


class DocumentRow(SQLModel, table=True):
    """A document that entries rest on, by the SHA-256 of its bytes; or what says that it was erased."""

    __tablename__ = "documents"

    digest: str = Field(primary_key=True)
    media_type: str
    data: bytes = Field(sa_type=LargeBinary)
    created_at: datetime = Field(sa_type=UtcDateTime)


class RevisionRow(SQLModel, table=True):
    """How often the facts of a scope changed."""

    __tablename__ = "revisions"

    scope: str = Field(primary_key=True)
    revision: int = Field(sa_type=BigInteger)

"""The tables of who has been given which blob, and of what was taken away again."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  SQLModel reads it at run time

from sqlalchemy import BigInteger, Index
from sqlmodel import Field, SQLModel

from carnet.serving.columns import UtcDateTime


class BlobPossessionRow(SQLModel, table=True):
    """A blob that a namespace has been given, whole.

    The bytes are stored once for all namespaces; having another namespace's digest is no right to them.
    ``keep_until`` is set by the purge of the last version that named it: it is not collected before.
    """

    __tablename__ = "blob_possessions"
    # What a namespace stores is summed whenever it is given something.
    __table_args__ = (Index("ix_blob_possessions_storage", "namespace", "size_bytes"),)

    namespace: str = Field(primary_key=True)
    digest: str = Field(primary_key=True, index=True)
    size_bytes: int = Field(sa_type=BigInteger)
    created_at: datetime = Field(sa_type=UtcDateTime, index=True)
    keep_until: datetime | None = Field(sa_type=UtcDateTime)


class BlobRemovalRow(SQLModel, table=True):
    """How often a blob was taken out of the store; see ``carnet_server.blobs.removals``."""

    __tablename__ = "blob_removals"

    digest: str = Field(primary_key=True)
    generation: int = Field(sa_type=BigInteger)
    under_way: bool
    began_at: datetime = Field(sa_type=UtcDateTime)

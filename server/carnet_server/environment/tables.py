"""Which documents were in force last, so that a change of one becomes an entry."""

from __future__ import annotations

from sqlmodel import Field, SQLModel


class DocumentInForceRow(SQLModel, table=True):
    """The digest of the policy or trust document that the log says is in force."""

    __tablename__ = "documents_in_force"

    kind: str = Field(primary_key=True)
    digest: str

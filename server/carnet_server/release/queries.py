"""The statements of recorded promotions, built once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, insert, select
from sqlmodel import SQLModel

from carnet_server.release.domain import PromotionRecord
from carnet_server.release.tables import PromotionRecordRow

if TYPE_CHECKING:
    from sqlalchemy import Connection

_RECORDS = SQLModel.metadata.tables[str(PromotionRecordRow.__tablename__)]
_READ = select(_RECORDS).where(_RECORDS.c.promotion == bindparam("wanted"))
_INSERT = insert(_RECORDS)


def read_record(connection: Connection, promotion: str) -> PromotionRecord | None:
    """Read the record of a promotion; None where there is none."""
    row = connection.execute(_READ, {"wanted": promotion}).first()
    return None if row is None else PromotionRecord(**row._mapping)  # noqa: SLF001  SQLAlchemy's public name


def insert_record(connection: Connection, record: PromotionRecord) -> None:
    """Write the record of a promotion."""
    connection.execute(_INSERT, {name: getattr(record, name) for name in PromotionRecord.__slots__})

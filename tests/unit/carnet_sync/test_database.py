from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from carnet.errors import DocumentInvalidError, InvalidInputError, UnavailableError
from carnet.serving.columns import UtcDateTime
from carnet.serving.engine import open_engine
from carnet_sync.database import Database
from carnet_sync.migrations import upgrade
from carnet_sync.promotions import queries
from carnet_sync.promotions.tables import METADATA
from tests.support.simulator import make_promotion

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection


def url_in(folder: Path) -> str:
    return f"sqlite:///{folder}/data/sync.db"


def test_the_migrations_make_what_the_tables_say(tmp_path: Path) -> None:
    upgrade(url_in(tmp_path))
    upgrade(url_in(tmp_path))
    engine = open_engine(url_in(tmp_path), connections=1)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    engine.dispose()


def test_a_database_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("in the way")
    with pytest.raises(UnavailableError, match="folder cannot be made"):
        upgrade(url_in(tmp_path))


def test_an_unknown_database_is_said() -> None:
    with pytest.raises(InvalidInputError, match="cannot be used"):
        open_engine("nosuch://host/name", connections=1)


async def test_a_change_that_raises_leaves_nothing(tmp_path: Path) -> None:
    upgrade(url_in(tmp_path))
    database = Database(url_in(tmp_path))

    def change(connection: Connection) -> None:
        queries.add(connection, make_promotion())
        raise DocumentInvalidError("no")

    with pytest.raises(DocumentInvalidError):
        await database.write(change)
    assert await database.read(lambda c: queries.get(c, "0" * 32)) is None
    await database.write(lambda c: queries.add(c, make_promotion()))
    assert await database.read(lambda c: queries.get(c, "0" * 32)) == make_promotion()
    database.close()


async def test_foreign_keys_hold(tmp_path: Path) -> None:
    upgrade(url_in(tmp_path))
    database = Database(url_in(tmp_path))
    with pytest.raises(UnavailableError, match="FOREIGN KEY"):
        await database.write(
            lambda c: queries.add_cancellation(c, "1" * 32, caller="x", envelope=b"y", now=datetime.now(UTC))
        )
    database.close()


async def test_reading_cannot_write(tmp_path: Path) -> None:
    upgrade(url_in(tmp_path))
    database = Database(url_in(tmp_path))
    with pytest.raises(UnavailableError, match="readonly"):
        await database.read(lambda c: c.execute(text("DELETE FROM promotions")))
    database.close()


async def test_a_write_is_durable_before_it_is_told(tmp_path: Path) -> None:
    upgrade(url_in(tmp_path))
    database = Database(url_in(tmp_path))
    pragmas = await database.write(
        lambda c: [c.execute(text(f"PRAGMA {name}")).scalar_one() for name in ("journal_mode", "synchronous")]
    )
    assert pragmas == ["wal", 2]
    database.close()


@given(st.datetimes(timezones=st.just(UTC)))
def test_moments_survive_storage_to_the_microsecond(moment: datetime) -> None:
    column = UtcDateTime()
    stored = column.process_bind_param(moment, None)  # type: ignore[arg-type]
    assert column.process_result_value(stored, None) == moment  # type: ignore[arg-type]

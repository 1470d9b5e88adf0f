from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import make_url, text

from carnet.errors import ConflictError, DocumentInvalidError, InvalidInputError, UnavailableError
from carnet.serving.columns import UtcDateTime
from carnet.serving.engine import open_engine
from carnet_sync.database import Database
from carnet_sync.migrations import upgrade
from carnet_sync.promotions import queries
from tests.support.postgres_faults import LosingProxy, Loss
from tests.support.simulator import make_promotion
from tests.support.storage import DATABASES, Databases

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import URL, Connection


def url_in(folder: Path) -> str:
    return f"sqlite:///{folder}/data/sync.db"


@pytest.fixture(params=DATABASES)
def databases(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Databases]:
    databases = Databases(request.param, tmp_path)
    yield databases
    databases.drop()


@pytest.fixture
def database(databases: Databases) -> Iterator[Database]:
    database = Database(databases.make("sync"))
    yield database
    database.close()


def test_a_database_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("in the way")
    with pytest.raises(UnavailableError, match="folder cannot be made"):
        upgrade(url_in(tmp_path))


def test_an_unknown_database_is_said() -> None:
    with pytest.raises(InvalidInputError, match="cannot be used"):
        open_engine("nosuch://host/name", connections=1)


async def test_a_change_that_raises_leaves_nothing_and_is_not_made_again(database: Database) -> None:
    calls = []

    def change(connection: Connection) -> None:
        calls.append(1)
        queries.add(connection, make_promotion())
        raise DocumentInvalidError("no")

    with pytest.raises(DocumentInvalidError):
        await database.write(change)
    assert len(calls) == 1
    assert await database.read(lambda c: queries.get(c, "0" * 32)) is None
    await database.write(lambda c: queries.add(c, make_promotion()))
    assert await database.read(lambda c: queries.get(c, "0" * 32)) == make_promotion()


async def test_foreign_keys_hold(database: Database) -> None:
    with pytest.raises(UnavailableError, match="(?i)foreign key"):
        await database.write(
            lambda c: queries.add_cancellation(c, "1" * 32, caller="x", envelope=b"y", now=datetime.now(UTC))
        )


async def test_reading_cannot_write(database: Database) -> None:
    with pytest.raises(UnavailableError, match="readonly|read-only"):
        await database.read(lambda c: c.execute(text("DELETE FROM promotions")))


async def test_a_value_that_cannot_be_kept_is_refused_by_postgresql(postgresql: Databases) -> None:
    database = Database(postgresql.make("sync"))
    with pytest.raises(InvalidInputError, match="cannot keep"):
        await database.write(lambda c: queries.add(c, make_promotion(message="a\0b")))
    database.close()


@pytest.fixture
def proxied(postgresql: Databases) -> URL:
    return make_url(postgresql.make("sync"))


@pytest.fixture
def proxy(proxied: URL) -> Iterator[LosingProxy]:
    proxy = LosingProxy(str(proxied.host), int(proxied.port or 0))
    yield proxy
    proxy.close()


@pytest.fixture
def lossy(proxied: URL, proxy: LosingProxy) -> Iterator[Database]:
    """A database whose connections are lost when a test says so."""
    database = Database(proxied.set(port=proxy.port).render_as_string(hide_password=False))
    yield database
    database.close()


# --- others at the same time ----------------------------------------------------------------------------------


async def test_changes_of_two_processes_that_read_before_they_write_are_all_made(
    databases: Databases,
) -> None:
    """What a change read cannot move before it writes: each number is given once."""
    url = databases.make("sync")
    processes = [Database(url) for _ in range(2)]

    def number(connection: Connection) -> int:
        taken = int(connection.execute(text("SELECT COUNT(*) FROM promotions")).scalar_one())
        queries.add(connection, make_promotion(id=f"{taken:032x}"))
        return taken

    given_out = await asyncio.gather(*(each.write(number) for _ in range(15) for each in processes))
    assert sorted(given_out) == list(range(30))
    for process in processes:
        process.close()


async def test_a_change_that_is_undone_again_and_again_is_a_conflict(postgresql: Databases) -> None:
    database, calls = Database(postgresql.make("sync")), []

    def undone(connection: Connection) -> None:
        calls.append(1)
        queries.add(connection, make_promotion())
        connection.execute(text("DO $$ BEGIN RAISE 'undone' USING ERRCODE = '40001'; END $$"))

    with pytest.raises(ConflictError, match="try again"):
        await database.write(undone)
    assert len(calls) > 1
    assert await database.read(lambda c: queries.get(c, "0" * 32)) is None
    database.close()


@pytest.mark.parametrize(
    ("loss", "calls", "made", "told"),
    [
        (Loss.BEFORE_STATEMENT, 2, True, False),
        (Loss.BEFORE_COMMIT, 1, False, True),
        (Loss.AFTER_COMMIT, 1, True, True),
    ],
)
async def test_a_change_whose_connection_is_lost_is_never_made_twice(
    lossy: Database, proxy: LosingProxy, loss: Loss, calls: int, made: bool, told: bool
) -> None:
    called = []

    def change(connection: Connection) -> None:
        called.append(1)
        queries.add(connection, make_promotion())

    proxy.lose(loss, b"INSERT INTO promotions")
    with pytest.raises(UnavailableError) if told else contextlib.nullcontext():
        await lossy.write(change)
    assert (proxy.lost, len(called)) == (1, calls)
    assert (await lossy.read(lambda c: queries.get(c, "0" * 32)) is not None) == made
    await lossy.write(lambda c: queries.add(c, make_promotion(id="1" * 32)))


async def test_a_server_that_is_out_of_reach_for_a_while_is_used_again(
    lossy: Database, proxy: LosingProxy
) -> None:
    await lossy.write(lambda c: queries.add(c, make_promotion()))
    proxy.go_away()
    for call in (
        lossy.read(lambda c: queries.get(c, "0" * 32)),
        lossy.write(lambda c: queries.get(c, "0" * 32)),
    ):
        with pytest.raises(UnavailableError):
            await asyncio.wait_for(call, 10)
    proxy.come_back()
    assert await lossy.read(lambda c: queries.get(c, "0" * 32)) == make_promotion()
    await lossy.write(lambda c: queries.add(c, make_promotion(id="1" * 32)))


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

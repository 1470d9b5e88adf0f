"""A database whose log is not the one that was signed: nothing is added to it."""

from __future__ import annotations

import asyncio
import logging

import pytest
from sqlalchemy import text

from carnet.errors import CarnetError, LogTamperedError
from carnet.translog.checkpoint import parse_checkpoint
from carnet_server.log import writer as writer_module
from carnet_server.log.writer import Writer

SIZE = 5


@pytest.fixture
def unfollowed(monkeypatch):
    """Nothing is noticed but by who writes."""
    monkeypatch.setattr(writer_module, "FOLLOW_SECONDS", 3600)


@pytest.fixture
async def writer(database, key, draft):
    writer = Writer(database, environment="dev", key=key)
    for _ in range(SIZE):
        await writer.commit(lambda tx: tx.append(draft()))
    yield writer
    writer.stop()


def go_back(database, key, size):
    """Put the log back to what it was at an earlier size, as restoring a copy does."""
    from carnet.translog.tree import root_of

    with database.writer_engine.begin() as connection:
        hashes = list(
            connection.execute(
                text('SELECT leaf_hash FROM log_entries WHERE "index" < :size ORDER BY "index"'),
                {"size": size},
            ).scalars()
        )
        connection.execute(text('DELETE FROM log_entries WHERE "index" >= :size'), {"size": size})
        connection.execute(text('DELETE FROM log_nodes WHERE ("index" + 1) * 4 > :size * 2'), {"size": size})
        connection.execute(
            text("UPDATE log_head SET size = :size, root = :root"), {"size": size, "root": root_of(hashes)}
        )


def stored(database):
    return database.read_now(
        lambda connection: (
            connection.execute(text('SELECT "index", entry FROM log_entries ORDER BY "index"')).fetchall(),
            connection.execute(text("SELECT size, root FROM log_head")).one(),
        )
    )


@pytest.mark.parametrize("size", [0, 3])
async def test_a_database_that_went_back_takes_nothing_more(unfollowed, database, writer, key, draft, size):
    go_back(database, key, size)
    before = stored(database)
    for _ in range(2):
        with pytest.raises(LogTamperedError, match="nothing is added"):
            await writer.commit(lambda tx: tx.append(draft()))
    assert stored(database) == before
    assert parse_checkpoint(writer.checkpoint, key.verifier).size == SIZE


async def test_another_root_at_the_same_size_takes_nothing_more(unfollowed, database, writer, draft):
    with database.writer_engine.begin() as connection:
        connection.execute(text("UPDATE log_head SET root = :root"), {"root": bytes(32)})
    before = stored(database)
    with pytest.raises(LogTamperedError, match="nothing is added"):
        await writer.commit(lambda tx: tx.append(draft()))
    assert stored(database) == before


async def test_a_change_without_entries_is_not_made_either(unfollowed, database, writer, key):
    go_back(database, key, 3)
    with pytest.raises(LogTamperedError):
        await writer.commit(lambda tx: tx.touch("policy"))
    assert database.read_now(lambda c: c.execute(text("SELECT COUNT(*) FROM revisions")).scalar()) == 0


async def test_a_database_that_goes_back_while_nobody_writes_is_noticed_and_never_signed(
    database, writer, key, draft, caplog
):
    go_back(database, key, 3)
    with caplog.at_level(logging.ERROR):
        for _ in range(100):
            await asyncio.sleep(0.05)
            if caplog.records:
                break
    assert "LogTampered" in caplog.text
    before = stored(database)
    with pytest.raises(CarnetError):
        await writer.commit(lambda tx: tx.append(draft()))
    assert stored(database) == before
    assert parse_checkpoint(writer.checkpoint, key.verifier).size == SIZE


async def test_a_log_that_was_replaced_by_a_longer_one_is_never_signed(
    unfollowed, databases, database, writer, key, draft
):
    """Another log under the same name, longer than the one that was signed here."""
    rows = []
    other = type(database)(databases.make())
    forger = Writer(other, environment="dev", key=key)
    for _ in range(SIZE + 3):
        await forger.commit(lambda tx: tx.append(draft("forged")))
    forger.stop()
    with other.writer_engine.connect() as connection:
        for table in ("log_entries", "log_nodes"):
            rows.append((table, connection.execute(text(f"SELECT * FROM {table}")).mappings().fetchall()))
        head = connection.execute(text("SELECT size, root FROM log_head")).mappings().one()
    other.close()
    with database.writer_engine.begin() as connection:
        for table, found in rows:
            connection.execute(text(f"DELETE FROM {table}"))
            for row in found:
                names = ", ".join(f'"{name}"' for name in row)
                values = ", ".join(f":{name}" for name in row)
                connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({values})"), dict(row))
        connection.execute(text("UPDATE log_head SET size = :size, root = :root"), dict(head))
    before = stored(database)
    with pytest.raises(LogTamperedError, match="nothing is added"):
        await writer.commit(lambda tx: tx.append(draft()))
    assert stored(database) == before
    assert parse_checkpoint(writer.checkpoint, key.verifier).size == SIZE

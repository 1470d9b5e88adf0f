"""The writer: one transaction for a change and its entries, and a checkpoint only for what is committed."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import text

from carnet.errors import ConflictError, LogTamperedError, UnavailableError
from carnet.translog.checkpoint import parse_checkpoint
from carnet.translog.entry import EntryType
from carnet.translog.keys import LogKey
from carnet.translog.receipt import verify_receipt
from carnet.translog.tree import leaf_hash, root_of
from carnet_server.log import queries, service
from carnet_server.log.service import LogService
from carnet_server.log.writer import Writer


@pytest.fixture
async def log_and_writer(database, key):
    log = LogService(database)
    writer = Writer(database, environment="dev", key=key, on_commit=log.on_commit)
    log.attach(writer, asyncio.get_running_loop())
    yield log, writer
    writer.stop()


async def test_a_commit_is_covered_by_a_signed_checkpoint_and_a_receipt(log_and_writer, key, draft):
    log, writer = log_and_writer
    index = await writer.commit(lambda tx: tx.append(draft()))
    checkpoint = parse_checkpoint(log.checkpoint, key.verifier)
    assert (index, checkpoint.size) == (0, 1)
    entry = verify_receipt(await log.receipt(0), key.verifier)
    assert entry.subject["alias"] == "champion"


async def test_concurrent_commits_are_grouped_and_every_receipt_verifies(
    log_and_writer, key, database, draft
):
    log, writer = log_and_writer
    indices = await asyncio.gather(*(writer.commit(lambda tx: tx.append(draft())) for _ in range(100)))
    assert sorted(indices) == list(range(100))
    for index in (0, 1, 63, 64, 99):
        verify_receipt(await log.receipt(index), key.verifier)
    rows = await log.entries(0, 1000)
    assert (
        root_of(leaf_hash(entry) for _, entry, _ in rows)
        == parse_checkpoint(log.checkpoint, key.verifier).root
    )


async def test_a_failing_change_takes_its_rows_and_entries_with_it_and_nothing_else(
    log_and_writer, database, draft
):
    log, writer = log_and_writer

    def failing(tx):
        tx.store_document(b"lost", "text/plain")
        tx.touch("policy")
        tx.append(draft())
        raise ConflictError("moved")

    def good(tx):
        tx.store_document(b"kept", "text/plain")
        return tx.append(draft())

    results = await asyncio.gather(
        *(writer.commit(change) for change in (good, failing, good, failing, good)), return_exceptions=True
    )
    assert [type(result).__name__ for result in results] == [
        "int",
        "ConflictError",
        "int",
        "ConflictError",
        "int",
    ]
    assert [results[0], results[2], results[4]] == [0, 1, 2]
    assert log.size == 3

    def count(connection):
        documents = connection.execute(text("SELECT COUNT(*) FROM documents")).scalar()
        revisions = queries.read_revisions(connection, ["policy"])
        return documents, revisions

    assert await database.read(count) == (1, {"policy": 0})


async def test_a_rolled_back_batch_leaves_nothing(log_and_writer, database):
    """pysqlite left to itself commits at RELEASE SAVEPOINT: the batch must still be one transaction."""
    _, writer = log_and_writer
    with database.writer_engine.connect() as connection:
        transaction = connection.begin()
        connection.execute(queries.LOCK_HEAD).one()
        savepoint = connection.begin_nested()
        connection.execute(queries.INSERT_REVISION, {"scope": "policy", "revision": 7})
        savepoint.commit()
        transaction.rollback()
    assert await database.read(lambda c: queries.read_revisions(c, ["policy"])) == {"policy": 0}


async def test_readers_cannot_write(database):
    with pytest.raises(UnavailableError, match=r"readonly|read-only"):
        await database.read(lambda c: c.execute(queries.INSERT_REVISION, {"scope": "x", "revision": 1}))


async def test_a_restart_goes_on_where_the_log_stood(database, key, draft):
    for size in (1, 2, 3, 4, 5):
        writer = Writer(database, environment="dev", key=key)
        assert await writer.commit(lambda tx: tx.append(draft())) == size - 1
        assert parse_checkpoint(writer.checkpoint, key.verifier).size == size
        writer.stop()


@pytest.mark.parametrize(
    "statement",
    ["UPDATE log_head SET root = :other", "UPDATE log_entries SET leaf_hash = :other"],
)
async def test_nodes_that_do_not_lead_to_the_root_stop_the_start(database, key, statement, draft):
    writer = Writer(database, environment="dev", key=key)
    await writer.commit(lambda tx: tx.append(draft()))
    writer.stop()
    with database.writer_engine.begin() as connection:
        connection.execute(text(statement), {"other": bytes(32)})
    with pytest.raises(LogTamperedError, match="restore the database"):
        Writer(database, environment="dev", key=key)


async def test_a_database_of_another_log_is_refused(database, key):
    Writer(database, environment="dev", key=key).stop()
    with pytest.raises(LogTamperedError, match=r"carnet.test/prod"):
        Writer(database, environment="prod", key=LogKey.generate("carnet.test/prod"))


async def test_subscribers_are_told_of_every_entry_in_order(log_and_writer, draft):
    log, writer = log_and_writer
    subscription = log.subscribe()
    await asyncio.gather(*(writer.commit(lambda tx: tx.append(draft())) for _ in range(20)))
    seen = []
    async for index, entry in subscription:
        seen.append(index)
        assert entry.type is EntryType.ALIAS_MOVED
        if index == 19:
            break
    assert seen == list(range(20))
    subscription.close()


async def test_a_subscriber_is_neither_woken_nor_overrun_by_what_it_does_not_want(
    log_and_writer, draft, monkeypatch
):
    monkeypatch.setattr(service, "SUBSCRIPTION_LIMIT", 2)
    log, writer = log_and_writer
    seen = []
    subscription = log.subscribe(lambda entry: entry.new == "7")
    reading = asyncio.ensure_future(anext(subscription))
    everything = log.subscribe()
    for number in range(5):
        await writer.commit(lambda tx, number=number: tx.append(replace(draft(), new=str(number))))
        seen.append(reading.done())
    await writer.commit(lambda tx: tx.append(replace(draft(), new="7")))
    index, entry = await asyncio.wait_for(reading, 5)
    assert (seen, index, entry.new) == ([False] * 5, 5, "7")
    with pytest.raises(UnavailableError, match="fell too far behind"):
        async with asyncio.timeout(5):
            async for _ in everything:
                pass
    subscription.close()
    everything.close()


async def test_whoever_commits_while_the_writer_stops_is_answered(database, key, draft):
    """What is queued before the end is committed, what comes later is refused, and nothing waits for ever."""
    writer = Writer(database, environment="dev", key=key)
    before = [asyncio.ensure_future(writer.commit(lambda tx: tx.append(draft()))) for _ in range(20)]
    await asyncio.sleep(0)
    await asyncio.to_thread(writer.stop)
    with pytest.raises(UnavailableError, match="stopping"):
        await asyncio.wait_for(writer.commit(lambda tx: tx.append(draft())), 5)
    assert sorted(await asyncio.wait_for(asyncio.gather(*before), 5)) == list(range(20))

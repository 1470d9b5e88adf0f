"""Several processes over one database: one log, in one order, and each has the whole of it."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import pytest

from carnet.errors import LogTamperedError
from carnet.translog.checkpoint import parse_checkpoint
from carnet.translog.proof import verify_consistency
from carnet.translog.receipt import verify_receipt
from carnet.translog.tree import leaf_hash, root_of
from carnet_server.database.engine import Database
from carnet_server.log import writer as writer_module
from carnet_server.log.service import LogService
from carnet_server.log.writer import Writer

pytestmark = pytest.mark.parametrize("databases", ["postgresql"], indirect=True)


class Process:
    """What one registry process has over the database, and the entries that its subscribers were told of."""

    def __init__(self, url, key):
        self.database = Database(url)
        self.log = LogService(self.database)
        self.key = key

    async def start(self):
        self.writer = Writer(self.database, environment="dev", key=self.key, on_commit=self.log.on_commit)
        self.log.attach(self.writer, asyncio.get_running_loop())
        self.subscription = self.log.subscribe()
        return self

    def checkpoint(self):
        return parse_checkpoint(self.log.checkpoint, self.key.verifier)

    async def told(self, count):
        async with asyncio.timeout(10):
            return [await anext(self.subscription) for _ in range(count)]

    async def wait_for_size(self, size):
        async with asyncio.timeout(10):
            while self.log.size < size:
                await asyncio.sleep(0.01)

    def stop(self):
        self.writer.stop()
        self.database.close()


@pytest.fixture
def url(databases):
    return databases.make()


@pytest.fixture
async def processes(url, key):
    processes = [await Process(url, key).start() for _ in range(2)]
    yield processes
    for process in processes:
        process.stop()


async def test_two_that_append_at_once_make_one_log_without_gap_or_repetition(processes, draft):
    one, other = processes
    indices = await asyncio.gather(
        *(each.writer.commit(lambda tx: tx.append(draft())) for _ in range(60) for each in processes)
    )
    assert sorted(indices) == list(range(120))
    for process in processes:
        await process.wait_for_size(120)
        told = await process.told(120)
        assert [index for index, _ in told] == list(range(120))
        rows = await process.log.entries(0, 1000)
        assert [index for index, _, _ in rows] == list(range(120))
        assert process.checkpoint().root == root_of(leaf_hash(entry) for _, entry, _ in rows)
    assert one.checkpoint() == other.checkpoint()


async def test_each_signs_what_the_other_committed_and_proves_it(processes, draft, key):
    one, other = processes
    for process in (one, other, one, other):
        before = process.checkpoint()
        index = await process.writer.commit(lambda tx: tx.append(draft()))
        for each in processes:
            receipt = await each.log.signed_receipt(index)
            assert verify_receipt(receipt, key.verifier).subject["alias"] == "champion"
        after = process.checkpoint()
        if before.size:
            _, proof = await process.log.consistency(before.size, after.size)
            verify_consistency(before.size, after.size, proof, before.root, after.root)


async def test_what_another_committed_is_noticed_without_being_asked_for(processes, draft):
    one, other = processes
    await one.writer.commit(lambda tx: tx.append(draft()))
    async with asyncio.timeout(5):
        assert (await anext(other.subscription))[0] == 0


async def test_one_that_is_far_behind_takes_up_everything_in_its_place(processes, draft, key, monkeypatch):
    monkeypatch.setattr(writer_module, "FOLLOW_SECONDS", 3600)
    one, other = processes
    await asyncio.sleep(0.3)  # for the one that waits already
    for _ in range(3):
        await asyncio.gather(*(one.writer.commit(lambda tx: tx.append(draft())) for _ in range(250)))
    assert other.log.size == 0
    assert await other.writer.commit(lambda tx: tx.append(draft("mine"))) == 750
    told = await other.told(751)
    assert [index for index, _ in told] == list(range(751))
    assert told[750][1].subject["alias"] == "mine"
    for index in (0, 1, 512, 749, 750):
        verify_receipt(await other.log.receipt(index), key.verifier)


@contextmanager
def at_once():
    """Threads that begin together, and what each ended with."""
    with ThreadPoolExecutor(4) as threads:
        yield lambda work: [each.result(30) for each in [threads.submit(work) for _ in range(4)]]


async def test_those_that_meet_an_empty_database_at_once_begin_one_log(databases, key, draft):
    for _ in range(3):
        url = databases.make()
        opened = [Database(url) for _ in range(4)]
        with at_once() as together:
            begin = partial(lambda left: Writer(left.pop(), environment="dev", key=key), list(opened))
            writers = await asyncio.to_thread(together, begin)
        indices = await asyncio.gather(*(each.commit(lambda tx: tx.append(draft())) for each in writers))
        assert sorted(indices) == [0, 1, 2, 3]
        for writer in writers:
            writer.stop()
        for database in opened:
            database.close()


async def test_another_environment_over_the_same_database_is_refused(url, processes, databases):
    from carnet.translog.keys import LogKey

    database = Database(url)
    with pytest.raises(LogTamperedError, match=r"carnet\.test/prod"):
        Writer(database, environment="prod", key=LogKey.generate("carnet.test/prod"))
    database.close()

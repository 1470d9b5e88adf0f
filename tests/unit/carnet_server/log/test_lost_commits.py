"""Batches that the database undid, and commits whose answer was lost: no change is made twice, and none is lost."""

from __future__ import annotations

import asyncio
import threading
import time

import psycopg
import pytest
from sqlalchemy import make_url, text

from carnet.errors import ConflictError, InvalidInputError, UnavailableError
from carnet.translog.checkpoint import parse_checkpoint
from carnet_server.database.engine import Database
from carnet_server.log.writer import Writer
from tests.support.postgres_faults import LosingProxy, Loss

APPENDING = b"UPDATE log_head"
TOUCHING = b"INSERT INTO revisions"

pytestmark = pytest.mark.parametrize("databases", ["postgresql"], indirect=True)


@pytest.fixture
def url(databases):
    return databases.make()


@pytest.fixture
def proxy(url):
    parsed = make_url(url)
    proxy = LosingProxy(parsed.host, parsed.port)
    yield proxy
    proxy.close()


@pytest.fixture
def database(url, proxy):
    behind = make_url(url).set(port=proxy.port).render_as_string(hide_password=False)
    database = Database(behind)
    yield database
    database.close()


@pytest.fixture
async def writer(database, key):
    writer = Writer(database, environment="dev", key=key)
    yield writer
    writer.stop()


class Change:
    """A change that appends an entry and keeps a document, and counts how often it was called."""

    def __init__(self, draft, number=0, *, entries=True):
        self.draft, self.number, self.entries, self.calls = draft, number, entries, 0

    def __call__(self, tx):
        self.calls += 1
        tx.touch(f"change-{self.number}")
        return tx.append(self.draft(f"a{self.number}")) if self.entries else None


def kept(database):
    """How often each change was made, and how many entries there are."""

    def query(connection):
        revisions = connection.execute(text("SELECT scope, revision FROM revisions")).fetchall()
        return dict(map(tuple, revisions)), connection.execute(text("SELECT size FROM log_head")).scalar()

    return database.read_now(query)


@pytest.mark.parametrize(
    ("loss", "statement", "calls"),
    [
        (Loss.BEFORE_COMMIT, APPENDING, 2),
        (Loss.AFTER_COMMIT, APPENDING, 1),
        (Loss.BEFORE_STATEMENT, APPENDING, 2),
        (Loss.BEFORE_STATEMENT, TOUCHING, 2),
    ],
)
async def test_whatever_is_lost_on_the_way_a_change_with_entries_is_made_once(
    proxy, database, writer, key, draft, loss, statement, calls
):
    proxy.lose(loss, statement)
    change = Change(draft)
    async with asyncio.timeout(20):
        assert await writer.commit(change) == 0
    assert (proxy.lost, change.calls) == (1, calls)
    assert kept(database) == ({"change-0": 1}, 1)
    assert parse_checkpoint(writer.checkpoint, key.verifier).size == 1
    assert await writer.commit(Change(draft, 1)) == 1


@pytest.mark.parametrize(("loss", "made"), [(Loss.BEFORE_COMMIT, {}), (Loss.AFTER_COMMIT, {"change-0": 1})])
async def test_a_change_without_entries_whose_commit_got_no_answer_is_not_repeated(
    proxy, database, writer, draft, loss, made
):
    proxy.lose(loss, TOUCHING)
    change = Change(draft, entries=False)
    with pytest.raises(UnavailableError, match="may have been made"):
        await writer.commit(change)
    assert (proxy.lost, change.calls) == (1, 1)
    assert kept(database) == (made, 0)
    await writer.commit(Change(draft, 1))
    assert kept(database) == (made | {"change-1": 1}, 1)


async def test_of_many_changes_none_is_lost_and_none_is_made_twice_however_connections_break(
    proxy, database, writer, key, draft
):
    number = 0
    for loss in (Loss.BEFORE_COMMIT, Loss.AFTER_COMMIT, Loss.BEFORE_STATEMENT, Loss.AFTER_COMMIT):
        proxy.lose(loss, APPENDING)
        changes = [Change(draft, number + i) for i in range(10)]
        number += 10
        await asyncio.gather(*(writer.commit(change) for change in changes))
    assert proxy.lost == 4
    assert kept(database) == ({f"change-{i}": 1 for i in range(40)}, 40)
    assert parse_checkpoint(writer.checkpoint, key.verifier).size == 40


async def test_a_commit_that_breaks_again_and_again_is_given_up_and_the_next_one_is_made(
    proxy, database, writer, draft
):
    proxy.lose(Loss.BEFORE_COMMIT, APPENDING, times=4)
    with pytest.raises(UnavailableError):
        await writer.commit(Change(draft))
    assert kept(database) == ({}, 0)
    assert await writer.commit(Change(draft, 1)) == 0


async def test_while_the_server_is_out_of_reach_callers_are_told_soon_and_then_all_is_well(
    proxy, database, writer, key, draft
):
    await writer.commit(Change(draft))
    proxy.go_away()
    for call in (writer.commit(Change(draft, 1)), database.read(lambda c: c.execute(text("SELECT 1")).one())):
        started = time.monotonic()
        with pytest.raises(UnavailableError):
            await call
        assert time.monotonic() - started < 5
    proxy.come_back()
    assert await writer.commit(Change(draft, 2)) == 1
    assert kept(database) == ({"change-0": 1, "change-2": 1}, 2)
    assert parse_checkpoint(writer.checkpoint, key.verifier).size == 2


# --- what the database undoes ---------------------------------------------------------------------------------


async def test_a_batch_that_ends_a_deadlock_is_made_again(databases, url, database, writer, draft):
    await writer.commit(Change(draft))
    locked, change = threading.Event(), Change(draft)

    def against() -> None:
        with databases.server.connect(url) as connection:
            # It waits longer than the other, so that the other is the one that is undone.
            connection.execute("SET deadlock_timeout = '30s'")
            connection.execute("UPDATE revisions SET revision = revision WHERE scope = 'change-0'")
            locked.set()
            connection.execute("SELECT size FROM log_head FOR UPDATE")

    def touch(tx):
        if not change.calls:
            other.start()
            locked.wait(10)
            time.sleep(0.2)  # until the other waits for the head
        return change(tx)

    other = threading.Thread(target=against)
    async with asyncio.timeout(20):
        assert await writer.commit(touch) == 1
    other.join()
    assert change.calls == 2
    assert kept(database) == ({"change-0": 2}, 2)


@pytest.mark.parametrize("state", ["40001", "40P01"])
async def test_a_batch_that_is_undone_is_made_again_whole(database, writer, draft, state):
    changes = [Change(draft, number) for number in range(3)]

    def undone_once(tx):
        changes[1](tx)
        if changes[1].calls == 1:
            tx.connection.execute(text(f"DO $$ BEGIN RAISE 'undone' USING ERRCODE = '{state}'; END $$"))

    await asyncio.gather(*(writer.commit(change) for change in (changes[0], undone_once, changes[2])))
    assert changes[1].calls == 2
    assert kept(database) == ({f"change-{i}": 1 for i in range(3)}, 3)


async def test_what_is_undone_every_time_is_unavailable_or_in_conflict_and_leaves_nothing(
    database, writer, draft
):
    change = Change(draft)

    def undone(tx):
        change(tx)
        tx.connection.execute(text("DO $$ BEGIN RAISE 'undone' USING ERRCODE = '40001'; END $$"))

    with pytest.raises(ConflictError, match="try again"):
        await writer.commit(undone)
    assert change.calls == 4
    assert kept(database) == ({}, 0)


async def test_a_change_that_raises_is_not_made_again(database, writer, draft):
    change = Change(draft)

    def refuse(tx):
        change(tx)
        raise ConflictError("moved")

    with pytest.raises(ConflictError, match="moved"):
        await writer.commit(refuse)
    assert change.calls == 1
    assert kept(database) == ({}, 0)


async def test_a_change_with_a_value_that_cannot_be_kept_fails_alone(database, writer, draft):
    good = [Change(draft, 0), Change(draft, 2)]
    done = await asyncio.gather(
        writer.commit(good[0]),
        writer.commit(lambda tx: tx.touch("a\0b")),
        writer.commit(good[1]),
        return_exceptions=True,
    )
    assert [done[0], done[2]] == [0, 1]
    assert isinstance(done[1], InvalidInputError)
    assert kept(database) == ({"change-0": 1, "change-2": 1}, 2)


async def test_somebody_who_holds_the_head_too_long_does_not_hold_callers_for_ever(
    url, writer, draft, database, monkeypatch
):
    with database.writer_engine.begin() as connection:  # of the one pooled connection
        connection.execute(text("SET SESSION lock_timeout = 300"))
    with psycopg.connect(make_url(url).set(drivername="postgresql").render_as_string(False)) as holder:
        holder.execute("SELECT size FROM log_head FOR UPDATE")
        with pytest.raises(UnavailableError, match="lock"):
            await writer.commit(Change(draft))
    assert await writer.commit(Change(draft)) == 0

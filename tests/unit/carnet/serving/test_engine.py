"""URLs of databases, what is said of one that cannot be used, and how many connections there are."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import make_url, text

from carnet.errors import CarnetError, InvalidInputError, UnavailableError
from carnet.serving import engine as engine_module
from carnet.serving.engine import open_engine, require_usable, resolve_database_url, shown_url
from carnet.translog.keys import LogKey
from carnet_server.database.engine import READER_THREADS, Database
from carnet_server.log.writer import Writer
from tests.support.postgres_faults import OwnPostgres

SECRET = "hunter2-geheim"
HERE = Path("/srv/carnet")


# --- URLs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "resolved"),
    [
        ("sqlite:///data/registry.db", "sqlite:////srv/carnet/data/registry.db"),
        ("sqlite:////var/registry.db", "sqlite:////var/registry.db"),
        ("postgresql://carnet@db/carnet", "postgresql+psycopg://carnet@db/carnet"),
        ("postgres://carnet@db/carnet", "postgresql+psycopg://carnet@db/carnet"),
        ("postgresql+psycopg://carnet@db/carnet", "postgresql+psycopg://carnet@db/carnet"),
        (
            "postgresql://carnet:p%40ss@[::1]:5433/carnet?sslmode=verify-full",
            "postgresql+psycopg://carnet:p%40ss@[::1]:5433/carnet?sslmode=verify-full",
        ),
    ],
)
def test_a_url_is_resolved(url, resolved):
    assert resolve_database_url(url, HERE) == resolved
    assert resolve_database_url(resolved, HERE) == resolved


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("", "not a URL"),
        ("registry.db", "not a URL"),
        ("sqlite://", "a file is needed"),
        ("sqlite:///:memory:", "a file is needed"),
        ("sqlite://host/registry.db", "three slashes"),
        ("sqlite:///registry.db?mode=ro", "only a path"),
        (f"mysql://carnet:{SECRET}@db/carnet", "mysql is not supported"),
        (f"postgresql+asyncpg://carnet:{SECRET}@db/carnet", "write postgresql://"),
        (f"postgresql://carnet:{SECRET}@db", "name is wanting"),
        (f"postgresql://carnet:{SECRET}@db:port/carnet", "not a URL"),
        (f"://carnet:{SECRET}@db/carnet", "not a URL"),
    ],
)
def test_a_bad_url_names_the_key_and_the_remedy_and_no_password(url, remedy):
    with pytest.raises(InvalidInputError, match=remedy) as raised:
        resolve_database_url(url, HERE)
    assert raised.value.message.startswith("database: ")
    assert raised.value.metadata == {"field": "database"}
    assert SECRET not in raised.value.message


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql+psycopg://carnet:{SECRET}@db/carnet",
        f"postgresql+psycopg://db/carnet?user=carnet&password={SECRET}",
        f"postgresql+psycopg://db/carnet?sslpassword={SECRET}",
    ],
)
def test_a_url_is_shown_without_secrets(url):
    assert SECRET not in shown_url(url)
    assert shown_url(url).startswith("postgresql://")


# --- databases that cannot be used ----------------------------------------------------------------------------


def changed(url, **parts):
    return make_url(url)._replace(**parts).render_as_string(hide_password=False)


def unused_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


REFUSALS = {
    "a wrong password": (lambda url: changed(url, password=SECRET), InvalidInputError, "check its user and password"),
    "no password": (lambda url: changed(url, password=None), InvalidInputError, "give a password"),
    "an unknown user": (
        lambda url: changed(url, username="nobody", password=SECRET),
        InvalidInputError,
        "check its user and password",
    ),
    "no such database": (lambda url: changed(url, database="nosuch"), InvalidInputError, "create it, or correct"),
    "TLS that the server has not": (
        lambda url: f"{url}?sslmode=require",
        InvalidInputError,
        "turn on TLS at the server",
    ),
    "an unknown parameter": (lambda url: f"{url}?nosuch=1", InvalidInputError, "correct the URL's parameters"),
    "nobody there": (lambda url: changed(url, port=unused_port()), UnavailableError, "cannot be used"),
    "no such host": (lambda url: changed(url, host="nosuch.invalid"), UnavailableError, "cannot be used"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "error", "remedy"), REFUSALS.values(), ids=REFUSALS)
def test_a_server_that_refuses_is_said_with_the_key_and_the_remedy(
    postgresql, monkeypatch, change, error, remedy
):
    for name in ("PGPASSWORD", "PGPASSFILE"):
        monkeypatch.delenv(name, raising=False)
    url = change(postgresql.make_empty())
    engine = open_engine(url, connections=1)
    try:
        with pytest.raises(CarnetError, match=remedy) as raised:
            require_usable(engine)
    finally:
        engine.dispose()
    assert type(raised.value) is error
    assert raised.value.message.startswith("database: ")
    assert "\n" not in raised.value.message
    password = make_url(url).password
    assert password is None or str(password) not in raised.value.message


def test_a_password_may_come_from_the_environment(postgresql, monkeypatch):
    url = postgresql.make_empty()
    monkeypatch.setenv("PGPASSWORD", str(make_url(url).password))
    engine = open_engine(changed(url, password=None), connections=1)
    require_usable(engine)
    engine.dispose()


# --- connections ----------------------------------------------------------------------------------------------


async def test_more_readers_than_connections_wait_and_are_served(postgresql):
    url = postgresql.make()
    database = Database(url)
    most = 0

    def slow(connection):
        nonlocal most
        most = max(most, postgresql.server.connections(url))
        connection.execute(text("SELECT pg_sleep(0.02)"))
        return connection.execute(text("SELECT 1")).scalar_one()

    lock = threading.Lock()

    def counted(connection):
        with lock:
            return slow(connection)

    done = await asyncio.gather(*(database.read(counted) for _ in range(30)))
    assert done == [1] * 30
    assert most <= READER_THREADS + 1
    database.close()
    for _ in range(100):
        if not postgresql.server.connections(url):
            break
        await asyncio.sleep(0.02)
    assert postgresql.server.connections(url) == 0


async def test_queries_that_fail_keep_no_connection(postgresql):
    url = postgresql.make()
    database = Database(url)

    def defect(_connection):
        raise LookupError("a defect")

    for statement in ("SELECT nothing", "SELECT 1/0", "DELETE FROM log_entries") * 10:
        with pytest.raises(CarnetError):
            await database.read(lambda c, s=statement: c.execute(text(s)))
        with pytest.raises(LookupError):
            await database.read(defect)
    assert await database.read(lambda c: c.execute(text("SELECT 1")).scalar()) == 1
    assert postgresql.server.connections(url) <= READER_THREADS
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND state LIKE 'idle in%%'"
    assert postgresql.server.execute(waiting, make_url(url).database) == [(0,)]
    database.close()


async def test_who_finds_no_connection_free_is_told_in_time(postgresql, monkeypatch):
    monkeypatch.setattr(engine_module, "POOL_TIMEOUT_SECONDS", 0.2)
    database = Database(postgresql.make())
    held = [database.reader_engine.connect() for _ in range(READER_THREADS)]
    started = time.monotonic()
    with pytest.raises(UnavailableError, match="TimeoutError"):
        await database.read(lambda c: c.execute(text("SELECT 1")).scalar())
    assert time.monotonic() - started < 5
    for connection in held:
        connection.close()
    assert await database.read(lambda c: c.execute(text("SELECT 1")).scalar()) == 1
    database.close()


async def test_a_reading_sees_one_moment(postgresql):
    database = Database(postgresql.make())

    def twice(connection):
        before = connection.execute(text("SELECT COUNT(*) FROM revisions")).scalar()
        with database.writer_engine.begin() as writing:
            writing.execute(text("INSERT INTO revisions VALUES ('policy', 1)"))
        return before, connection.execute(text("SELECT COUNT(*) FROM revisions")).scalar()

    assert await database.read(twice) == (0, 0)
    assert await database.read(lambda c: c.execute(text("SELECT COUNT(*) FROM revisions")).scalar()) == 1
    database.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
async def test_a_server_that_was_away_is_noticed_soon_and_used_again_when_it_is_back(tmp_path, number):
    own = OwnPostgres(tmp_path / "own")
    server = own.start()
    database = Database(resolve_database_url(server.create_migrated("registry"), HERE))
    count = text("SELECT revision FROM revisions")

    def touch(transaction):
        transaction.touch("policy")

    writer = Writer(database, environment="dev", key=LogKey.generate("carnet.test/dev"))
    try:
        await writer.commit(touch)
        await asyncio.gather(*(database.read(lambda c: c.execute(count).scalar()) for _ in range(8)))
        server.close()
        own.stop(number)
        for call in [lambda: writer.commit(touch)] * 2 + [
            lambda: database.read(lambda c: c.execute(count))
        ] * 4:
            started = time.monotonic()
            with pytest.raises(UnavailableError):
                await call()
            assert time.monotonic() - started < 5
        own.start().close()
        found = await asyncio.gather(*(database.read(lambda c: c.execute(count).scalar()) for _ in range(8)))
        assert found == [1] * 8
        await writer.commit(touch)
        assert await database.read(lambda c: c.execute(count).scalar()) == 2
        # A server that went and came back between two calls is no trouble at all.
        own.stop(number)
        own.start().close()
        await writer.commit(touch)
        found = await asyncio.gather(*(database.read(lambda c: c.execute(count).scalar()) for _ in range(8)))
        assert found == [3] * 8
    finally:
        writer.stop()
        database.close()
        own.stop()


def test_errors_of_the_database_carry_no_secret_and_one_line(postgresql):
    url = postgresql.make()
    database = Database(url)
    with pytest.raises(UnavailableError) as raised:
        database.read_now(lambda c: c.execute(text("SELECT nosuch\n\nFROM nowhere")))
    assert not re.search(r"\n|f00dfeed", raised.value.message)
    database.close()

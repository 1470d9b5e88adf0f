"""A PostgreSQL server of one's own: private, in order when it is stopped, and its databases kept apart."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
import sys
import time

import psutil
import psycopg
import pytest

from carnet.errors import UnavailableError
from carnet_server.local.backends import databases, postgres
from carnet_server.local.backends.configuration import HOST, BackendConfig
from tests.support.backends import free_port

PASSWORDS = {"dev": "secret1", "prod-eu": "secret2", "pg_x": "secret3"}
ADMINISTRATOR_PASSWORD = "secret0"


@contextlib.contextmanager
def running(config):
    """The server, serving, as `carnet up` starts it."""
    description = config.folder.with_suffix(".yaml")
    if not description.exists():
        config.save(description, comment="A server.")
    command = [sys.executable, "-m", "carnet_server.local.backends.postgres", "--config", str(description)]
    with (
        (config.folder.with_suffix(".log")).open("ab") as log,
        subprocess.Popen(command, stderr=log) as server,
    ):
        try:
            end = time.monotonic() + 30
            while not postgres.answers(config, 1):
                assert server.poll() is None, config.folder.with_suffix(".log").read_text()
                assert time.monotonic() < end
                time.sleep(0.02)
            yield server
        finally:
            server.send_signal(signal.SIGINT)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("postgres")
    folder.chmod(0o700)
    config = BackendConfig(free_port(), folder / "server", durable=False)
    postgres.prepare(config, ADMINISTRATOR_PASSWORD, databases.database_statements(PASSWORDS))
    return config


@pytest.fixture(scope="module")
def config(prepared):
    with running(prepared):
        yield prepared


def connect(config, process, database=None, password=None):
    role = databases.database_name(process)
    return psycopg.connect(
        host=HOST,
        port=config.port,
        user=role,
        dbname=database or role,
        password=password or PASSWORDS[process],
        autocommit=True,
    )


def administrator(config):
    return {
        "PGHOST": HOST,
        "PGPORT": str(config.port),
        "PGUSER": postgres.ADMINISTRATOR,
        "PGPASSWORD": ADMINISTRATOR_PASSWORD,
    }


def test_its_folder_is_private_and_has_no_password_in_it(prepared):
    assert stat.S_IMODE(prepared.folder.stat().st_mode) == 0o700
    assert [path.name for path in prepared.folder.iterdir()] == ["data"]


def test_it_does_not_run_as_root_and_listens_only_on_loopback(config):
    with connect(config, "dev") as connection:
        ((pid,),) = connection.execute("SELECT pg_backend_pid()").fetchall()
        process = psutil.Process(pid)
        assert process.uids().real == (config.folder.stat().st_uid)
        assert process.uids().real != 0
        listening = psutil.Process(process.ppid()).net_connections(kind="all")
    assert {tuple(each.laddr) for each in listening if each.status == psutil.CONN_LISTEN} == {
        (HOST, config.port)
    }


def test_every_process_has_a_database_of_utf8_in_bytewise_order(config):
    for process in PASSWORDS:
        with connect(config, process) as connection:
            row = connection.execute(
                "SELECT current_database(), pg_encoding_to_char(encoding), datcollate FROM pg_database"
                " WHERE datname = current_database()"
            ).fetchone()
            assert row == (f"carnet_{process}", "UTF8", "C")
            connection.execute("CREATE TABLE mine (n int)")
            connection.execute("DROP TABLE mine")


@pytest.mark.parametrize("database", ["carnet_prod-eu", "postgres", "template1"])
def test_a_process_gets_into_no_database_but_its_own(config, database):
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        connect(config, "dev", database=database)


def test_a_wrong_password_is_refused(config):
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(config, "dev", password="secret2")


def test_a_processs_role_may_make_no_other(config):
    with connect(config, "dev") as connection:
        for statement in ("CREATE ROLE other", "CREATE DATABASE other", "COPY (SELECT 1) TO '/tmp/x'"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_a_database_in_use_is_copied_and_the_copy_is_apart(config):
    with connect(config, "dev") as connection:
        connection.execute("CREATE TABLE kept (b bytea, t text)")
        connection.execute("INSERT INTO kept VALUES (%s, %s)", (bytes(range(256)), "ä\n\\."))
        databases.copy_database(administrator(config), "carnet_dev", "carnet_dev_copy")
        with connect(config, "dev", database="carnet_dev_copy") as copy:
            assert copy.execute("SELECT b, t FROM kept").fetchall() == [(bytes(range(256)), "ä\n\\.")]
            copy.execute("DELETE FROM kept")
            databases.drop_database(administrator(config), "carnet_dev_copy")
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (1,)
        connection.execute("DROP TABLE kept")
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        connect(config, "dev", database="carnet_dev_copy")


def test_a_copy_that_fails_says_why(config):
    with pytest.raises(UnavailableError, match=r'pg_dump failed: .*"carnet_none" does not exist'):
        databases.copy_database(administrator(config), "carnet_none", "carnet_copy")
    with pytest.raises(UnavailableError, match=r"psql failed: .*already exists"):
        databases.copy_database(administrator(config), "carnet_dev", "carnet_dev")


def test_it_stops_at_once_with_clients_connected_and_starts_again_with_its_data(tmp_path):
    config = BackendConfig(free_port(), tmp_path / "server", durable=False)
    postgres.prepare(config, ADMINISTRATOR_PASSWORD, databases.database_statements({"dev": "secret1"}))
    with running(config) as server:
        connection = connect(config, "dev")
        connection.execute("CREATE TABLE kept (n int)")
        server.send_signal(signal.SIGINT)
        assert server.wait(10) == 0
        assert not postgres.answers(config, 1)
        with contextlib.suppress(psycopg.Error):
            connection.close()
    log = (tmp_path / "server.log").read_text()
    assert "database system is shut down" in log
    with running(config), connect(config, "dev") as connection:
        assert connection.execute("SELECT * FROM kept").fetchall() == []
    assert "recovery" not in (tmp_path / "server.log").read_text()


def test_a_folder_that_is_there_is_kept(tmp_path):
    (tmp_path / "server").mkdir()
    (tmp_path / "server" / "notes.txt").write_text("mine")
    with pytest.raises(UnavailableError, match="PostgreSQL's folder cannot be made"):
        postgres.prepare(BackendConfig(5432, tmp_path / "server"), "secret")
    assert os.listdir(tmp_path / "server") == ["notes.txt"]


def test_a_statement_that_fails_is_said(tmp_path):
    config = BackendConfig(5432, tmp_path / "server", durable=False)
    with pytest.raises(UnavailableError, match=r'PostgreSQL cannot be set up: .*"nowhere" does not exist'):
        postgres.prepare(config, "secret", ["DROP TABLE nowhere;"])


def test_one_that_is_not_described_is_not_started(tmp_path):
    command = [sys.executable, "-m", "carnet_server.local.backends.postgres", "--config", str(tmp_path / "x")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("PostgreSQL cannot be started: ")
    assert len(done.stderr.splitlines()) == 1

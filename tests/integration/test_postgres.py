"""Registry processes over a PostgreSQL server: several over one database, without the server, and refused at start."""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml

from carnet.errors import UnavailableError
from carnet.registry.v1 import aliases_pb2, log_pb2
from carnet.translog.checkpoint import unverified_checkpoint
from carnet_server.local.files import read_variables
from carnet_server.local.stores import variables_file
from tests.support.federation import LocalFederation
from tests.support.forks import run_program
from tests.support.second_process import connect_to, own_environment, second_process

SECRET = "hunter2-geheim"
SOON_SECONDS = 8


@pytest.fixture(scope="module")
def federation(tmp_path_factory):
    federation = LocalFederation(tmp_path_factory.mktemp("postgres") / "carnet", database="postgres")
    federation.start()
    yield federation
    federation.stop()


def run_to_its_end(federation, config, name):
    """Start a process that is expected to refuse."""
    program = "carnet_sync" if name == "sync" else "carnet_server"
    environment = own_environment(federation, name)
    return run_program(program, "--config", str(config), environment=environment, timeout=60)


def changed_config(federation, name, file, **fields):
    """A process's configuration with other values, in a file beside it."""
    folder = federation.folder / ("sync" if name == "sync" else f"environments/{name}")
    document = yaml.safe_load((folder / ("sync.yaml" if name == "sync" else "environment.yaml")).read_text())
    path = folder / file
    path.write_text(yaml.safe_dump(document | fields))
    return path


def eventually(call, seconds=20):
    """Call until the database is there again; nothing else may go wrong."""
    end = time.monotonic() + seconds
    while True:
        try:
            return call()
        except UnavailableError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


# --- several processes ----------------------------------------------------------------------------------------


@pytest.fixture
def second(federation):
    """Another process of dev over the same database; gives its port."""
    with second_process(federation) as port:
        yield port


def connect(federation, identity, port=None):
    """To dev, or to another process of it."""
    return federation.connection("dev", identity) if port is None else connect_to(federation, identity, port)


async def test_two_processes_over_one_database_are_one_registry(federation, second, tmp_path):
    reference = federation.publish(tmp_path, model="risk/shared")
    identity = "identities/dave"
    async with connect(federation, identity) as one, connect(federation, identity, second) as other:

        async def move(connection, number):
            request = aliases_pb2.SetAliasRequest(
                name=f"namespaces/risk/models/shared/aliases/a{number}", version=1
            )
            return await connection.call(connection.aliases.SetAlias, request)

        for number in range(12):
            await move((one, other)[number % 2], number)
        listed = []
        for connection in (one, other):
            request = aliases_pb2.ListAliasesRequest(parent="namespaces/risk/models/shared")
            answer = await connection.call(connection.aliases.ListAliases, request)
            listed.append({alias.name for alias in answer.aliases})
        assert len(listed[0]) == 12
        assert listed[0] == listed[1]
        heads = []
        for connection in (one, other):
            answer = await connection.call(connection.log.GetCheckpoint, log_pb2.GetCheckpointRequest())
            heads.append(unverified_checkpoint(answer.checkpoint))
        small, large = sorted(heads, key=lambda head: head.size)
        assert large.size - small.size <= 1
    assert str(reference) == "dev/risk/shared@1"
    with federation.client("dave") as auditor:
        report = auditor.audit_verify()
    assert report.ok, report.findings


# --- without the server ---------------------------------------------------------------------------------------


def test_without_its_database_a_registry_answers_soon_and_heals_by_itself(federation, tmp_path):
    reference = federation.publish(tmp_path, model="risk/away")
    running = {name: process.pid() for name, process in federation.processes.items()}
    with federation.client("ci") as ci:
        ci.resolve(str(reference))
        federation.processes["postgres"].stop()
        for _ in range(2):
            started = time.monotonic()
            done = federation.cli("show", str(reference), check=None)
            assert time.monotonic() - started < SOON_SECONDS + 10
            assert done.returncode != 0
            assert "Traceback" not in done.stderr
        federation.start("postgres")
        assert eventually(lambda: ci.resolve(str(reference))).reference == reference
        eventually(lambda: federation.evaluate(reference))
    promoted = eventually(lambda: federation.to_staging(reference))
    assert promoted.state == "SUCCEEDED"
    after = {name: process.pid() for name, process in federation.processes.items()}
    assert {name for name in after if after[name] != running[name]} == {"postgres"}
    with federation.client("dave") as auditor:
        report = auditor.audit_verify()
    assert report.ok, report.findings


# --- refused at start -----------------------------------------------------------------------------------------


def of_postgres(federation, name, **parts):
    from sqlalchemy import make_url

    return make_url(federation.database_url(name))._replace(**parts).render_as_string(hide_password=False)


REFUSALS = {
    "no URL": (lambda *_: "data/registry.db", "not a URL"),
    "another database": (lambda *_: f"mysql://carnet:{SECRET}@db/carnet", "mysql is not supported"),
    "a driver": (lambda *_: f"postgresql+asyncpg://carnet:{SECRET}@db/carnet", "write postgresql://"),
    "no name": (lambda *_: f"postgresql://carnet:{SECRET}@db", "its name is wanting"),
    "a wrong password": (lambda f, n: of_postgres(f, n, password=SECRET), "check its user and password"),
    "no such database": (lambda f, n: of_postgres(f, n, database="nosuch"), "create it, or correct the name"),
    "an unknown parameter": (
        lambda f, n: f"{of_postgres(f, n)}?sslmod=require",
        "correct the URL's parameters",
    ),
    "a host that is not there": (
        lambda f, n: of_postgres(f, n, host="nosuch.invalid", password=SECRET),
        "cannot be used",
    ),
    "a port that is closed": (lambda f, n: of_postgres(f, n, port=1, password=SECRET), "cannot be used"),
}


@pytest.mark.parametrize(
    ("name", "cases"),
    [("dev", list(REFUSALS)), ("sync", ["no URL", "a wrong password", "a port that is closed"])],
)
def test_a_database_that_cannot_be_used_is_refused_at_start_in_one_line(federation, name, cases):
    started = []
    with contextlib.ExitStack() as cleaning:
        for number, (url, remedy) in enumerate(REFUSALS[case] for case in cases):
            config = changed_config(
                federation,
                name,
                f"refused-{number}.yaml",
                database=url(federation, name),
                listen="127.0.0.1:0",
            )
            cleaning.callback(config.unlink)
            started.append((config, remedy))

        with ThreadPoolExecutor(3) as threads:
            ended = list(threads.map(lambda each: run_to_its_end(federation, each[0], name), started))
    password = read_variables(variables_file(federation.folder, name))["PGPASSWORD"]
    for (_, remedy), done in zip(started, ended, strict=True):
        err = done.stderr
        assert done.returncode in (1, 2), err
        assert done.stdout == ""
        assert len(err.splitlines()) == 1, err
        assert err.startswith("error: ")
        assert "database" in err
        assert remedy in err
        assert SECRET not in err
        assert password not in err


@pytest.mark.parametrize("name", ["dev", "sync"])
def test_a_schema_of_a_later_version_is_refused_at_start(federation, name):
    import psycopg

    config = changed_config(federation, name, "later.yaml", listen="127.0.0.1:0")
    with psycopg.connect(federation.database_url(name).replace("+psycopg", "")) as connection:
        ((current,),) = connection.execute("SELECT version_num FROM alembic_version").fetchall()
        connection.execute("UPDATE alembic_version SET version_num = '9999_later'")
        connection.commit()
        try:
            done = run_to_its_end(federation, config, name)
        finally:
            connection.execute("UPDATE alembic_version SET version_num = %s", [current])
            connection.commit()
            config.unlink()
    err = done.stderr
    assert (done.returncode, done.stdout, len(err.splitlines())) == (2, "", 1), err
    assert "database" in err
    assert "9999_later" in err
    assert "or name another database" in err

"""A federation that moves house: to PostgreSQL and S3 and back, killed on the way, with one log all along."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from carnet.canonical import sha256_hex
from carnet.serving.engine import resolve_database_url
from carnet.serving.schema import UNFINISHED_MOVE
from carnet_server.blobs.objects.names import PART_BYTES
from carnet_server.local.files import write_variables
from carnet_server.local.stores import variables_file
from tests.support.backends import bucket_folder, bucket_url, drop_database, postgres_url, s3_environment
from tests.support.bundles import make_bundle_directory
from tests.support.federation import CARNET, LocalFederation
from tests.support.forks import run_program

LARGE = random.Random(20).randbytes(1 << 20) * 64
DOCUMENTS = 20_000
# What a promotion to staging needs.
RUNNING = ("dev", "staging", "sync")
AUDITED = ("--environment", "dev", "--environment", "staging")


@pytest.fixture(scope="module")
def federation(tmp_path_factory):
    """A federation with a version that was promoted, stopped."""
    folder = tmp_path_factory.mktemp("moving")
    federation = LocalFederation(folder / "carnet")
    federation.start(*RUNNING)
    try:
        bundle = make_bundle_directory(folder)
        (bundle / "model.bin").write_bytes(LARGE)
        with federation.client("ci") as ci:
            reference = ci.push("dev/risk/fraud", bundle).reference
        assert federation.to_staging(reference, alias="champion").state == "SUCCEEDED"
        federation.cli("audit", "verify", *AUDITED, identity="dave")
    finally:
        federation.stop()
    with contextlib.closing(sqlite3.connect(federation.database("dev"))) as connection, connection:
        # So that there is a middle to be killed in.
        connection.executemany(
            "INSERT INTO documents (digest, media_type, data, created_at) VALUES (?, 'text/plain', ?, 0)",
            ((sha256_hex(str(number).encode()), str(number).encode() * 100) for number in range(DOCUMENTS)),
        )
    yield federation
    federation.stop()


@pytest.fixture(scope="module")
def places():
    """Fresh places on servers: a database for dev, one for the promotion service, a bucket."""
    databases = [postgres_url(), postgres_url()]
    yield *databases, bucket_url()
    for url in databases:
        drop_database(url)


def start_migrate(*arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [CARNET, "migrate", *arguments, "-o", "json"],
        env=os.environ | s3_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )


def migrate(*arguments: str) -> list[dict]:
    done = run_program(
        "carnet", "migrate", *arguments, "-o", "json", environment=os.environ | s3_environment()
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["moved"]


def kill_migrate_when(reached, *arguments: str) -> None:
    """Begin a move, and kill -9 it as soon as something is so."""
    with start_migrate(*arguments) as process:
        try:
            end = time.monotonic() + 60
            while not reached():
                assert process.poll() is None, f"it ended before: {process.communicate()}"
                assert time.monotonic() < end
                time.sleep(0.001)
        finally:
            process.kill()
    assert process.returncode == -signal.SIGKILL


def rows(url: str, statement: str) -> list[tuple]:
    """Ask a database; nothing where it has no such table."""
    engine = create_engine(resolve_database_url(url, Path("/")), poolclass=NullPool)
    with engine.connect() as connection, contextlib.suppress(OperationalError, ProgrammingError):
        return [tuple(row) for row in connection.execute(text(statement))]
    return []


def head(url: str) -> tuple[int, str]:
    ((size, root),) = rows(url, "SELECT size, root FROM log_head")
    return size, bytes(root).hex()


def configure(federation, process: str, **values: str) -> None:
    """Write other URLs into a configuration."""
    path = federation.processes[process].config
    content = path.read_text()
    for key, value in values.items():
        content, count = re.subn(rf"^{key}: .*$", f"{key}: {json.dumps(value)}", content, flags=re.MULTILINE)
        assert count == 1
    path.write_text(content)


def serve_once(federation, process: str) -> subprocess.CompletedProcess:
    """Run a service that is expected to refuse to start."""
    found = federation.processes[process]
    environment = os.environ | s3_environment()
    return run_program(found.module, "--config", str(found.config), environment=environment, timeout=60)


def insist_on_everything(federation, tmp_path, versions: int) -> None:
    """Every log verifies, from the checkpoints that were kept on; every version can be pulled; the log grows."""
    report = federation.cli_json("audit", "verify", *AUDITED, identity="dave")
    assert report["ok"], report
    for version in range(1, versions + 1):
        federation.cli("pull", f"dev/risk/fraud@{version}", "--to", str(tmp_path / f"pulled-{version}"))
    assert (tmp_path / "pulled-1" / "model.bin").read_bytes() == LARGE
    before = head(federation.database_url("dev"))
    with federation.client("ci") as ci:
        reference = ci.push("dev/risk/fraud", make_bundle_directory(tmp_path, seed=versions)).reference
    assert reference.version == versions + 1
    assert federation.to_staging(reference).state == "SUCCEEDED"
    assert head(federation.database_url("dev"))[0] > before[0]
    assert federation.cli_json("audit", "verify", *AUDITED, identity="dave")["ok"]


def test_a_federation_moves_to_servers_and_back(federation, places, tmp_path):
    dev_database, sync_database, bucket = places
    old = {name: federation.database_url(name) for name in ("dev", "sync")}
    old_blobs = f"file:{federation.folder}/environments/dev/data/blobs"
    arguments = ["--from", old["dev"], "--to", dev_database, "--from", old_blobs, "--to", bucket]
    size, root = before = head(old["dev"])
    digest = sha256_hex(LARGE)

    # killed in the middle of a large blob
    parts = bucket_folder(bucket) / "parts" / "carnet-migrate" / digest
    kill_migrate_when(lambda: len(list(parts.glob("*/*"))) >= 3, *arguments)
    assert not list((bucket_folder(bucket) / "indexes").rglob(digest[2:]))
    assert not rows(dev_database, "SELECT count(*) FROM alembic_version")
    (blobs,) = migrate("--from", old_blobs, "--to", bucket)
    assert blobs["copied_blobs"] >= 1
    assert 0 < blobs["copied_bytes"] <= blobs["size_bytes"] - PART_BYTES

    # killed in the middle of the metadata
    documents = "SELECT count(*) FROM documents"
    kill_migrate_when(lambda: sum(count for (count,) in rows(dev_database, documents)) >= 1_000, *arguments)
    ((copied,),) = rows(dev_database, documents)
    assert 1_000 <= copied < DOCUMENTS
    assert rows(dev_database, f"SELECT service FROM {UNFINISHED_MOVE}") == [("registry",)]
    configure(federation, "dev", database=dev_database, blobs=bucket)
    refused = serve_once(federation, "dev")
    assert refused.returncode == 2
    assert (
        "a move into this database was not finished: run `carnet migrate` again, or drop it" in refused.stderr
    )

    # finished
    database, blobs = migrate(*arguments)
    assert blobs["copied_blobs"] == 0
    assert database["copied_rows"] < sum(database["tables"].values()) - copied + 1
    assert (database["log"]["size"], database["log"]["root"]) == (size, root)
    assert head(dev_database) == before == head(old["dev"])
    (promotions,) = migrate("--from", old["sync"], "--to", sync_database)
    assert promotions["service"] == "promotion service"
    assert promotions["tables"]["promotions"] == 1

    # lived in
    configure(federation, "sync", database=sync_database)
    write_variables(variables_file(federation.folder, "dev"), s3_environment())
    federation.start(*RUNNING)
    try:
        insist_on_everything(federation, tmp_path, versions=1)
    finally:
        federation.stop()

    # and back again, to places of their own
    before = head(dev_database)
    home = {"database": f"sqlite:///{tmp_path}/home/registry.db", "blobs": f"file:{tmp_path}/home/blobs"}
    database, blobs, promotions = migrate(
        *("--from", dev_database, "--to", home["database"]),
        *("--from", bucket, "--to", home["blobs"]),
        *("--from", sync_database, "--to", f"sqlite:///{tmp_path}/home/sync.db"),
    )
    assert (database["log"]["size"], database["log"]["root"]) == before
    assert blobs["copied_blobs"] == blobs["blobs"] > 0
    assert promotions["tables"]["promotions"] == 2
    configure(federation, "dev", **home)
    configure(federation, "sync", database=f"sqlite:///{tmp_path}/home/sync.db")
    federation.start(*RUNNING)
    try:
        insist_on_everything(federation, tmp_path, versions=2)
    finally:
        federation.stop()

"""`carnet migrate`: what it prints, its exit codes, and that nothing is written before everything was checked."""

from __future__ import annotations

import contextlib
import json
import random
import re
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner

from carnet.canonical import sha256_hex
from carnet.cli.main import main
from carnet.serving.engine import open_engine
from carnet.serving.moving import copying
from carnet_server.blobs.domain import Blob
from carnet_server.blobs.opening import open_store
from carnet_server.database.migrate import upgrade
from carnet_server.log import queries
from carnet_server.moving import blobs as blobs_module
from carnet_server.moving.command import migrate
from carnet_server.moving.registry import SCHEMA
from carnet_sync.migrations import upgrade as upgrade_sync
from tests.support.backends import drop_database, postgres_url


@pytest.fixture
def house(tmp_path, monkeypatch):
    """A registry's database with a log that was begun, a promotion service's, and blobs; relative to here."""
    monkeypatch.chdir(tmp_path)
    upgrade(f"sqlite:///{tmp_path}/registry.db")
    upgrade_sync(f"sqlite:///{tmp_path}/sync.db")
    root = sha256_hex(b"")
    engine = open_engine(f"sqlite:///{tmp_path}/registry.db", connections=1)
    with engine.begin() as connection:
        head = {"id": 1, "origin": "test/dev", "size": 0, "root": bytes.fromhex(root)}
        connection.execute(queries.INSERT_HEAD, head)
    engine.dispose()
    put_blob(tmp_path / "blobs", b"small")
    put_blob(tmp_path / "blobs", random.Random(1).randbytes(700_000))
    return tmp_path


@pytest.fixture
def postgres():
    url = postgres_url()
    yield url
    drop_database(url)


def put_blob(folder: Path, data: bytes) -> str:
    with contextlib.closing(open_store(f"file:{folder}")) as store:
        store.write_small("risk", [(sha256_hex(data), data)])
    return sha256_hex(data)


def names(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}


REGISTRY = ["--from", "sqlite:///registry.db", "--to", "sqlite:///new/registry.db"]
SYNC = ["--from", "sqlite:///sync.db", "--to", "sqlite:///new/sync.db"]
BLOBS = ["--from", "file:blobs", "--to", "file:new/blobs"]


def test_everything_is_moved_by_one_command_and_told(house, capsys):
    assert main(["migrate", *REGISTRY, *BLOBS, *SYNC]) == 0
    said = capsys.readouterr()
    assert f"registry: sqlite:///{house}/registry.db\n  to sqlite:///{house}/new/registry.db\n" in said.out
    tables = len(SCHEMA.tables.tables)
    assert f"  1 rows in {tables} tables, equal in both; 1 copied now\n" in said.out
    assert f"  log test/dev, 0 entries, the same in both:\n  root {sha256_hex(b'')}\n" in said.out
    assert (
        f"blobs: file:{house}/blobs\n  to file:{house}/new/blobs\n  2 blobs, 683.6 KiB; 2 copied now"
        in said.out
    )
    assert f"promotion service: sqlite:///{house}/sync.db\n" in said.out
    assert "Do not start it on the old ones again" in said.out
    assert said.err.splitlines() == [
        "looking 2 blobs",
        "copying 683.6 KiB",
        "copying 1 rows",
        "verifying 1 rows",
        "verifying 0 rows",
    ]


def test_json_is_one_object(house, capsys):
    assert main(["migrate", *REGISTRY, *BLOBS, *SYNC, "-o", "json"]) == 0
    registry, blobs, sync = json.loads(capsys.readouterr().out)["moved"]
    assert registry["kind"] == sync["kind"] == "database"
    assert (registry["service"], sync["service"]) == ("registry", "promotion service")
    assert registry["log"] == {"origin": "test/dev", "size": 0, "root": sha256_hex(b"")}
    assert "log" not in sync
    assert registry["tables"]["log_head"] == registry["copied_rows"] == 1
    assert registry["from"] == f"sqlite:///{house}/registry.db"
    assert blobs == {
        "kind": "blobs",
        "from": f"file:{house}/blobs",
        "to": f"file:{house}/new/blobs",
        "blobs": 2,
        "copied_blobs": 2,
        "copied_bytes": 700_005,
        "size_bytes": 700_005,
        "damaged": [],
    }


def test_a_password_is_neither_printed_nor_left_in_the_target(house, postgres, capsys):
    password = postgres.partition("@")[0].rpartition(":")[2]
    assert main(["migrate", "--from", "sqlite:///registry.db", "--to", postgres]) == 0
    assert main(["migrate", "--from", postgres, "--to", "sqlite:///back.db", "-o", "json"]) == 0
    said = capsys.readouterr()
    assert password not in said.out + said.err
    assert ":***@" in said.out
    assert password.encode() not in (house / "back.db").read_bytes()


def test_a_damaged_blob_is_named_and_the_exit_code_says_so(house, capsys):
    digest = sha256_hex(b"small")
    path = house / "blobs" / "blobs" / "sha256" / digest[:2] / digest[2:]
    path.chmod(0o600)
    path.write_bytes(b"SMALL")
    assert main(["migrate", *REGISTRY, *BLOBS]) == 6
    said = capsys.readouterr()
    assert (
        f"  1 blobs, 683.6 KiB; 1 copied now, 683.6 KiB\n  1 damaged at the source, not moved:\n    {digest}\n"
        in said.out
    )
    assert "some blobs are damaged at the source and were not moved" in said.err
    upgrade(f"sqlite:///{house}/new/registry.db")
    assert main(["migrate", *REGISTRY, *BLOBS, "-o", "json"]) == 6
    assert json.loads(capsys.readouterr().out)["moved"][1]["damaged"] == [digest]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([*REGISTRY, "--from", "file:nowhere", "--to", "file:new/blobs"], "--from file:.*no store of blobs"),
        (
            [*BLOBS, "--from", "sqlite:///no.db", "--to", "sqlite:///new/x.db"],
            "--from sqlite:.*there is no file",
        ),
        (
            [*BLOBS, *REGISTRY, "--from", "sqlite:///sync.db", "--to", "sqlite:///other.db"],
            "--to .*something else",
        ),
        ([*REGISTRY, "--from", "file:blobs", "--to", "file:other"], "--to file:.*something else"),
        ([*REGISTRY, "--from", "sqlite:///sync.db"], "--from, --to: 2 and 1 were given"),
        ([*BLOBS, "--from", "sqlite:///old.db", "--to", "sqlite:///new/x.db"], "start its registry once"),
    ],
)
def test_nothing_is_written_before_every_move_was_checked(house, capsys, arguments, message):
    upgrade(f"sqlite:///{house}/other.db")
    upgrade(f"sqlite:///{house}/old.db")
    with contextlib.closing(sqlite3.connect(house / "old.db")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
        connection.commit()
    (house / "other").mkdir()
    (house / "other" / "notes.txt").touch()
    before = names(house)
    assert main(["migrate", *arguments]) == 2
    assert re.search(f"error: .*{message}", capsys.readouterr().err)
    assert names(house) == before
    assert names(house / "other") == {"notes.txt"}


def test_blobs_are_there_before_a_database_becomes_whole(house, monkeypatch):
    order = []
    monkeypatch.setattr(
        "carnet_server.moving.house.move_database",
        lambda *arguments, **options: (
            order.append("database") or copying.move_database(*arguments, **options)
        ),
    )
    run = blobs_module.BlobsMove.run
    monkeypatch.setattr(
        blobs_module.BlobsMove, "run", lambda self, **options: order.append("blobs") or run(self, **options)
    )
    assert main(["migrate", *REGISTRY, *SYNC, *BLOBS]) == 0
    assert order == ["blobs", "database", "database"]


def test_the_database_is_held_still_while_blobs_are_copied(house, monkeypatch):
    run = blobs_module.BlobsMove.run

    def write_meanwhile(self, **options):
        with (
            contextlib.closing(sqlite3.connect(house / "registry.db", timeout=0)) as connection,
            pytest.raises(sqlite3.OperationalError, match="locked"),
        ):
            connection.execute("DELETE FROM log_head")
        return run(self, **options)

    monkeypatch.setattr(blobs_module.BlobsMove, "run", write_meanwhile)
    assert main(["migrate", *BLOBS, *REGISTRY]) == 0


def test_ctrl_c_leaves_what_another_run_finishes(house, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(blobs_module, "_settle", interrupted)
        assert main(["migrate", *REGISTRY, *BLOBS]) == 130
    assert not (house / "new" / "registry.db").exists()
    capsys.readouterr()
    assert main(["migrate", *REGISTRY, *BLOBS, "-o", "json"]) == 0
    registry, blobs = json.loads(capsys.readouterr().out)["moved"]
    assert registry["copied_rows"] == 1
    with contextlib.closing(open_store(f"file:{house}/new/blobs")) as store:
        assert not store.find_missing([Blob(sha256_hex(b"small"), 5)])
        assert blobs["blobs"] == 2


def test_a_copy_that_is_not_its_source_is_an_integrity_error(house, monkeypatch, capsys):
    monkeypatch.setattr(copying.PlainTable, "insert", lambda *_: None)
    assert main(["migrate", *REGISTRY]) == 6
    assert "table log_head is not the source's" in capsys.readouterr().err


def test_help_has_an_example_and_says_what_to_stop():
    text = CliRunner().invoke(migrate, ["--help"]).output
    assert "Stop the service first" in text
    assert "carnet migrate --from sqlite:///data/registry.db --to postgresql://" in text


def test_every_table_of_a_registry_that_only_grows_is_one_of_its_tables():
    assert set(SCHEMA.tables.tables) >= SCHEMA.growing

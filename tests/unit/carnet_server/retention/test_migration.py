"""A database from before anything was purged: what files are for is read from the manifests, nothing else moves."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import MetaData, insert, select, update
from sqlalchemy.exc import IntegrityError

from carnet.serving.engine import open_engine
from carnet.serving.schema import _configure
from tests.support.storage import DATABASES, Databases
from tests.unit.carnet_server.models.test_stage_migration import row_of

STEPS = Path(str(resources.files("carnet_server"))) / "migrations"
FILES = [{"path": "model.bin", "role": "model"}, {"path": "a/NOTES", "role": "documentation"}]


@pytest.fixture(params=DATABASES)
def engine(request, tmp_path):
    databases = Databases(request.param, tmp_path)
    engine = open_engine(databases.make_empty(), connections=1)
    yield engine
    engine.dispose()
    databases.drop()


def step(engine, direction, revision):
    config = _configure(STEPS)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        direction(config, revision)


def tables_of(connection):
    tables = MetaData()
    tables.reflect(connection)
    return tables.tables


def fill(engine):
    with engine.begin() as connection:
        tables = tables_of(connection)
        connection.execute(insert(tables["models"]).values(row_of(tables["models"], home="dev")))
        for number in (1, 2):
            manifest = json.dumps({"files": FILES[:number]}).encode()
            versions, files = tables["versions"], tables["version_files"]
            row = row_of(
                versions,
                version=number,
                bundle_digest=f"{number}",
                stage="archived",
                semantic_version=f"1.0.{number}",
                manifest=manifest,
            )
            connection.execute(insert(versions).values(row))
            for file in FILES[:number]:
                row = row_of(files, version=number, path=file["path"])
                connection.execute(insert(files).values(row))


def test_files_are_given_the_role_that_their_manifest_states(engine):
    step(engine, command.upgrade, "0007")
    fill(engine)
    step(engine, command.upgrade, "0009")
    with engine.connect() as connection:
        tables = tables_of(connection)
        files, versions = tables["version_files"].c, tables["versions"].c
        found = connection.execute(
            select(files.version, files.path, files.role).order_by(files.version, files.path)
        ).all()
        purged = connection.execute(select(versions.purged_at, versions.purge_log_index)).all()
    assert [tuple(row) for row in found] == [
        (1, "model.bin", "model"),
        (2, "a/NOTES", "documentation"),
        (2, "model.bin", "model"),
    ]
    assert [tuple(row) for row in purged] == [(None, None)] * 2


def test_a_semantic_version_is_taken_until_its_version_is_purged(engine):
    step(engine, command.upgrade, "0007")
    fill(engine)
    step(engine, command.upgrade, "0009")
    with engine.begin() as connection:
        versions = tables_of(connection)["versions"]
        row = row_of(versions, version=3, bundle_digest="3", stage="registered", semantic_version="1.0.1")
        row |= {"file_count": 1}
        with pytest.raises(IntegrityError), connection.begin_nested():
            connection.execute(insert(versions).values(row))
        connection.execute(update(versions).where(versions.c.version == 1).values(purged_at=1))
        connection.execute(insert(versions).values(row))
    step(engine, command.downgrade, "0007")
    with engine.connect() as connection:
        tables = tables_of(connection)
        versions = tables["versions"].c
        kept = (
            connection.execute(select(versions.semantic_version).order_by(versions.version)).scalars().all()
        )
    assert kept == [None, "1.0.2", "1.0.1"]
    assert "purged_at" not in versions
    assert not {"holds", "purged_blobs", "releases", "scheduled_runs"} & set(tables)

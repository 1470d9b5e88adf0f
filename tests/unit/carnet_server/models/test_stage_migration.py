"""A database from before there were stages: what each version's is, and that nothing else changes."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import MetaData, func, insert, select
from sqlalchemy.exc import IntegrityError

from carnet.serving.engine import open_engine
from carnet.serving.schema import _configure
from carnet_server.database.migrate import upgrade
from tests.support.storage import DATABASES, Databases

STEPS = Path(str(resources.files("carnet_server"))) / "migrations"


@pytest.fixture(params=DATABASES)
def url(request, tmp_path):
    databases = Databases(request.param, tmp_path)
    yield databases.make_empty()
    databases.drop()


@pytest.fixture
def engine(url):
    engine = open_engine(url, connections=1)
    yield engine
    engine.dispose()


def row_of(table, **fields):
    """A row with something in every column."""
    row = {}
    for column in table.columns:
        kind = str(column.type)
        row[column.name] = b"" if kind in {"BLOB", "BYTEA"} else 1 if "INT" in kind else ""
        if column.nullable:
            row[column.name] = None
    return row | {"namespace": "risk", "model": "fraud"} | fields


def reflected(connection):
    tables = MetaData()
    tables.reflect(connection)
    return tables.tables


def step(engine, direction, revision):
    config = _configure(STEPS)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        direction(config, revision)


def fill(engine):
    """Version 1 untouched, 2 under two aliases, 3 revoked, 4 revoked under an alias; each with a file."""
    with engine.begin() as connection:
        tables = reflected(connection)
        connection.execute(insert(tables["models"]).values(row_of(tables["models"], home="dev")))
        for number, stage, revoked in (
            (1, "registered", None),
            (2, "registered", None),
            (3, "revoked", 31),
            (4, "revoked", 41),
        ):
            versions, files = tables["versions"], tables["version_files"]
            connection.execute(
                insert(versions).values(
                    row_of(
                        versions,
                        version=number,
                        bundle_digest=f"{number}",
                        stage=stage,
                        created_at=number,
                        log_index=number,
                        revoked_log_index=revoked,
                        manifest=b"{}",
                    )
                )
            )
            connection.execute(insert(files).values(row_of(files, version=number, path="model.bin")))
        for alias, number, at in (("champion", 2, 22), ("shadow", 2, 21), ("old", 4, 23)):
            aliases = tables["aliases"]
            row = row_of(aliases, alias=alias, version=number, updated_at=at, log_index=at)
            connection.execute(insert(aliases).values(row))


def stages(engine):
    with engine.connect() as connection:
        versions = reflected(connection)["versions"].c
        asked = (versions.version, versions.stage, versions.staged_at, versions.stage_log_index)
        return [tuple(row) for row in connection.execute(select(*asked).order_by(versions.version))]


def test_stages_follow_from_revocations_and_aliases(engine, url):
    step(engine, command.upgrade, "0006")
    fill(engine)
    engine.dispose()
    upgrade(url)

    assert stages(engine) == [
        (1, "registered", 1, 1),
        (2, "deployed", 21, 21),
        (3, "revoked", 3, 31),
        (4, "revoked", 4, 41),
    ]
    with engine.connect() as connection:
        tables = reflected(connection)
        counts = {
            name: connection.execute(select(func.count()).select_from(tables[name])).scalar()
            for name in ("versions", "version_files", "aliases")
        }
        assert counts == {"versions": 4, "version_files": 4, "aliases": 3}


def test_what_pointed_at_versions_still_does(engine):
    step(engine, command.upgrade, "0006")
    fill(engine)
    step(engine, command.upgrade, "0007")

    for name, row in (
        ("aliases", {"alias": "none", "version": 9}),
        ("version_files", {"path": "none", "version": 9}),
    ):
        with engine.connect() as connection:
            table = reflected(connection)[name]
            with pytest.raises(IntegrityError):
                connection.execute(insert(table).values(row_of(table, **row)))
    for stage, allowed in (("candidate", True), ("live", False)):
        with engine.connect() as connection:
            table = reflected(connection)["versions"]
            row = row_of(table, version=5, bundle_digest="5", stage=stage, file_count=1)
            if allowed:
                connection.execute(insert(table).values(row))
                continue
            with pytest.raises(IntegrityError):
                connection.execute(insert(table).values(row))


def test_the_step_can_be_taken_back(engine):
    step(engine, command.upgrade, "0006")
    fill(engine)
    step(engine, command.upgrade, "0007")
    step(engine, command.downgrade, "0006")

    with engine.connect() as connection:
        versions = reflected(connection)["versions"]
        found = connection.execute(select(versions.c.stage).order_by(versions.c.version)).scalars().all()
    assert found == ["registered", "registered", "revoked", "revoked"]
    assert "staged_at" not in versions.c
    step(engine, command.upgrade, "0007")
    assert [stage for _, stage, *_ in stages(engine)] == ["registered", "deployed", "revoked", "revoked"]

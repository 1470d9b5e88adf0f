"""A database from before there was a search has its versions found."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import MetaData, insert, select

from carnet.filtering.check import read_filter
from carnet.filtering.ordering import read_order
from carnet.serving.engine import open_engine
from carnet.serving.schema import _configure
from carnet_server.database.migrate import upgrade
from carnet_server.search.index import TERMS
from carnet_server.search.paging import Order
from carnet_server.search.queries import find_versions
from tests.support.registry import make_version
from tests.support.storage import DATABASES, Databases

STEPS = Path(str(resources.files("carnet_server"))) / "migrations"


@pytest.fixture(params=DATABASES)
def engine(request, tmp_path):
    databases = Databases(request.param, tmp_path)
    url = databases.make_empty()
    engine = open_engine(url, connections=1)
    engine.made_at = url
    yield engine
    engine.dispose()
    databases.drop()


def old_version(table, number, manifest):
    """A row as it was, of a version with a manifest."""
    row = {}
    for column in table.columns:
        kind = str(column.type)
        row[column.name] = b"" if kind in {"BLOB", "BYTEA"} else number if "INT" in kind else ""
        if column.nullable:
            row[column.name] = None
    return row | {
        "namespace": "risk",
        "model": "fraud",
        "version": number,
        "bundle_digest": manifest.digest,
        "stage": "registered",
        "owner": manifest.owner,
        "manifest": manifest.to_bytes(),
    }


def test_versions_that_were_there_are_found_by_their_manifests(engine):
    config = _configure(STEPS)
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0004")
        connection.commit()
        tables = MetaData()
        tables.reflect(connection)
        models, versions = tables.tables["models"], tables.tables["versions"]
        connection.execute(insert(models).values(namespace="risk", model="fraud", home="dev", created_at=1))
        for number, region in ((1, "eu"), (2, "us")):
            manifest, _ = make_version(number, labels={"region": region}, hyperparameters={"trees": number})
            connection.execute(insert(versions).values(old_version(versions, number, manifest)))
        connection.commit()
    upgrade(engine.made_at)
    with engine.connect() as connection:
        assert (
            connection.execute(select(TERMS.c.term, TERMS.c.version, TERMS.c.text, TERMS.c.number)).all()
            != []
        )
        for asked, wanted in (
            ("labels.region = us", [2]),
            ("hyperparameters.trees < 2", [1]),
            ("owner:*", [2, 1]),
        ):
            found = find_versions(
                connection,
                ["risk"],
                read_filter(asked),
                Order.of(read_order("")),
                position=None,
                now=datetime.now(UTC),
                limit=10,
            )
            assert [version.version for version, _ in found] == wanted, asked

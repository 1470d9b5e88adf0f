"""A database from before keys were looked up is given the keys that its envelopes name."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import MetaData, insert, select

from carnet.serving.engine import open_engine
from carnet.serving.schema import _configure
from carnet_server.database.migrate import upgrade
from carnet_server.identity.queries import list_uses
from tests.support.storage import DATABASES, Databases

STEPS = Path(str(resources.files("carnet_server"))) / "migrations"
KEY = "ab" * 32


def envelope(*key_ids):
    return json.dumps({"signatures": [{"keyid": each, "sig": ""} for each in key_ids]}).encode()


def fill(table, **values):
    """A row with something in each column that must have it."""
    row = {}
    for column in table.columns:
        kind = str(column.type)
        row[column.name] = b"" if kind in {"BLOB", "BYTEA"} else 1 if "INT" in kind else ""
        if column.nullable:
            row[column.name] = None
        if kind == "BOOLEAN":
            row[column.name] = False
    return row | values


@pytest.fixture(params=DATABASES)
def engine(request, tmp_path):
    databases = Databases(request.param, tmp_path)
    url = databases.make_empty()
    engine = open_engine(url, connections=1)
    engine.made_at = url
    yield engine
    engine.dispose()
    databases.drop()


def test_requests_and_evidence_of_unknown_signers_get_the_keys_that_they_name(engine):
    config = _configure(STEPS)
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        connection.commit()
        tables = MetaData()
        tables.reflect(connection)
        admissions, evidence = tables.tables["admissions"], tables.tables["evidence"]
        for promotion, named in (("1", (KEY,)), ("2", ("another tool's", KEY)), ("3", ("x",)), ("4", ())):
            row = fill(admissions, promotion=promotion, request=envelope(*named), requester="ci")
            connection.execute(insert(admissions).values(row))
        for digest, signer, named in (("1", "", KEY), ("2", "cd" * 32, KEY), ("3", "", "x")):
            row = fill(evidence, digest=digest, signer_key_id=signer, envelope=envelope(named))
            connection.execute(insert(evidence).values(row))
        connection.commit()
    upgrade(engine.made_at)
    with engine.connect() as connection:
        tables = MetaData()
        tables.reflect(connection)
        admissions, evidence = tables.tables["admissions"], tables.tables["evidence"]
        keys = connection.execute(select(admissions.c.promotion, admissions.c.requester_key_id)).all()
        assert dict(map(tuple, keys)) == {"1": KEY, "2": KEY, "3": "", "4": ""}
        signers = connection.execute(select(evidence.c.digest, evidence.c.signer_key_id)).all()
        assert dict(map(tuple, signers)) == {"1": KEY, "2": "cd" * 32, "3": ""}
        found = list_uses(connection, keys=[KEY], subjects=[], before=None, limit=10)
        assert sorted((each.kind.name, each.promotion) for each in found) == [
            ("EVIDENCE", ""),
            ("REQUEST", "1"),
            ("REQUEST", "2"),
        ]
        assert {each.log_index for each in found if each.kind.name == "REQUEST"} == {0}

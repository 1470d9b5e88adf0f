"""The step to promotions by rollout, taken and taken back, with promotions that were there before."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import MetaData, insert, select
from sqlalchemy.exc import IntegrityError

from carnet.serving.engine import open_engine
from carnet.serving.schema import _configure
from tests.support.storage import DATABASES, Databases

STEPS = Path(str(resources.files("carnet_server"))) / "migrations"
STEP = "0011"


@pytest.fixture(params=DATABASES)
def engine(request, tmp_path):
    databases = Databases(request.param, tmp_path)
    engine = open_engine(databases.make_empty(), connections=1)
    yield engine
    engine.dispose()
    databases.drop()


def go(engine, towards, step):
    config = _configure(STEPS)
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        towards(config, step)
        connection.commit()


def tables_of(connection):
    tables = MetaData()
    tables.reflect(connection)
    return tables.tables


def fill(table, **values):
    """A row with something in each column that must have it."""
    row = {}
    for column in table.columns:
        kind = str(column.type)
        row[column.name] = b"" if kind in {"BLOB", "BYTEA"} else 1 if "INT" in kind else ""
        if column.nullable:
            row[column.name] = None
    return row | values


def flags(connection):
    admissions = tables_of(connection)["admissions"].c
    rows = connection.execute(select(admissions.promotion, admissions.by_rollout))
    return {promotion: bool(flag) for promotion, flag in rows}


def test_promotions_from_before_are_not_by_rollout_and_stay_when_the_step_is_taken_back(engine):
    go(engine, command.upgrade, STEP)
    go(engine, command.downgrade, "-1")
    with engine.connect() as connection:
        admissions = tables_of(connection)["admissions"]
        assert "by_rollout" not in admissions.c
        assert "alias_permits" not in tables_of(connection)
        connection.execute(insert(admissions).values(fill(admissions, promotion="before")))
        connection.commit()

    go(engine, command.upgrade, STEP)
    with engine.connect() as connection:
        assert flags(connection) == {"before": False}
        tables = tables_of(connection)
        admissions, permits = tables["admissions"], tables["alias_permits"]
        connection.execute(insert(admissions).values(fill(admissions, promotion="after", by_rollout=True)))
        connection.execute(insert(permits).values(fill(permits, promotion="after")))
        connection.commit()
        assert flags(connection) == {"before": False, "after": True}
        with pytest.raises(IntegrityError):
            connection.execute(insert(permits).values(fill(permits, promotion="unknown")))
        connection.rollback()

    go(engine, command.downgrade, "-1")
    with engine.connect() as connection:
        admissions = tables_of(connection)["admissions"]
        found = connection.execute(select(admissions.c.promotion).order_by(admissions.c.promotion)).scalars()
        assert found.all() == ["after", "before"]

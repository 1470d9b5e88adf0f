"""A database from before there were rollouts: it gets them, and they can be taken back."""

from __future__ import annotations

import pytest
from alembic import command
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from carnet.serving.engine import open_engine
from tests.support.storage import DATABASES, Databases
from tests.unit.carnet_server.models.test_stage_migration import reflected, row_of, step


@pytest.fixture(params=DATABASES)
def engine(request, tmp_path):
    databases = Databases(request.param, tmp_path)
    engine = open_engine(databases.make_empty(), connections=1)
    yield engine
    engine.dispose()
    databases.drop()


def write(engine, name, *rows):
    with engine.begin() as connection:
        table = reflected(connection)[name]
        for row in rows:
            connection.execute(insert(table).values(row_of(table, **row)))


def move(revision, kind, version):
    digest = "1" if version else ""
    return {
        "alias": "a",
        "revision": revision,
        "kind": kind,
        "new_version": version,
        "bundle_digest": digest,
    }


def rollout(number, state, **fields):
    told = {"alias": "a", "rollout": number, "state": state, "kind": "split", "sets_alias": True}
    return told | {"share": 0.5, "phase_times": "[]"} | fields


def test_moves_and_rollouts_come_and_go_with_the_step(engine):
    step(engine, command.upgrade, "0007")
    write(engine, "models", {"home": "dev"})
    write(engine, "alias_moves", move(1, "drilled", 1))
    with pytest.raises(IntegrityError):
        write(engine, "alias_moves", move(2, "rollout", 1))

    step(engine, command.upgrade, "0008")
    write(engine, "alias_moves", move(2, "rollout", 1), move(3, "rollout", 0))
    with pytest.raises(IntegrityError):
        write(engine, "alias_moves", move(4, "guessed", 1))
    write(engine, "rollouts", rollout(1, "stopped"), rollout(2, "running"))

    step(engine, command.downgrade, "0007")
    with engine.connect() as connection:
        moves = reflected(connection)["alias_moves"]
        kinds = connection.execute(select(moves.c.kind).order_by(moves.c.revision)).scalars().all()
        assert kinds == ["drilled", "set", "removed"]
        assert "rollouts" not in reflected(connection)


def test_an_alias_has_one_rollout_that_has_not_ended_whoever_writes_it(engine):
    step(engine, command.upgrade, "0008")
    write(engine, "models", {"home": "dev"})
    write(engine, "rollouts", rollout(1, "stopped"), rollout(2, "succeeded"), rollout(3, "baking"))
    for state in ("running", "awaiting", "baking"):
        with pytest.raises(IntegrityError):
            write(engine, "rollouts", rollout(4, state))
    for wrong in ({"share": 1.5}, {"kind": "guess"}):
        with pytest.raises(IntegrityError):
            write(engine, "rollouts", rollout(4, "stopped", **wrong))
    write(engine, "rollouts", rollout(4, "rolled_back"), rollout(1, "running", alias="b"))

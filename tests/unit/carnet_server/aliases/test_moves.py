"""Moving aliases inside a transaction: what the history tells is what the table says."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError
from sqlmodel import SQLModel

from carnet.errors import (
    AlreadyExistsError,
    CarnetError,
    ConflictError,
    NotFoundError,
    PreconditionFailedError,
)
from carnet.references import ResourceName
from carnet.translog.entry import Actor
from carnet_server.aliases import queries
from carnet_server.aliases.domain import Move, MoveKind
from carnet_server.aliases.moves import move_alias
from carnet_server.database.engine import Database
from carnet_server.log.revisions import model_scope, read_revisions
from carnet_server.log.transaction import Transaction
from carnet_server.models.domain import Arrival, Model, Stage
from carnet_server.models.queries import insert_model, insert_version, write_stage
from tests.support.fuzzing import examples
from tests.support.registry import make_version

ACTOR = Actor("spiffe://carnet.test/person/dave", "spiffe://carnet.test", "mtls")
NOW = datetime(2026, 3, 1, tzinfo=UTC)
VERSIONS = (1, 2, 3)
REVOKED = 3


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('aliases') / 'registry.db'}")
    SQLModel.metadata.create_all(database.writer_engine)
    with database.writer_engine.begin() as connection:
        insert_model(connection, Model("risk", "fraud", "dev", NOW, "", 0, 0))
        for number in VERSIONS:
            manifest, _ = make_version(number)
            arrival = Arrival.of(manifest, b"signature", publisher="ci", publisher_key_id="k")
            version = arrival.as_version(created_at=NOW, log_index=number)
            insert_version(connection, version, manifest.files)
            if number == REVOKED:
                write_stage(connection, replace(version, stage=Stage.REVOKED), old=version.stage)
    yield database
    database.close()


@pytest.fixture
def tx(database):
    with database.writer_engine.connect() as connection, connection.begin() as transaction:
        yield Transaction(connection, now=NOW, environment="dev", next_index=10)
        transaction.rollback()


def move(version, *, alias="champion", **fields):
    kind = MoveKind.SET if version else MoveKind.REMOVED
    return Move("risk", "fraud", alias, version, **({"kind": kind, "actor": ACTOR} | fields))


def test_a_move_writes_alias_move_and_entry_and_touches_the_model(tx):
    made = move_alias(tx, move(2, promotion="f" * 32, envelope_digest="e" * 64, kind=MoveKind.ADMITTED))
    alias = queries.read_alias(tx.connection, ResourceName("risk", "fraud", alias="champion"))
    assert alias == made.after
    entry, staged = tx.entries
    assert (entry.old, entry.new, entry.envelope_digest) == ("", "2", "e" * 64)
    assert (staged.old, staged.new, staged.subject["version"]) == ("registered", "deployed", 2)
    assert entry.subject["promotion"] == "f" * 32
    assert made.log_index == 10
    scope = model_scope("risk", "fraud")
    assert read_revisions(tx.connection, [scope]) == {scope: 1}


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        (move(9), NotFoundError),
        (move(REVOKED), PreconditionFailedError),
        (move(0), NotFoundError),
        (move(1, expected_revision=1), ConflictError),
    ],
)
def test_a_move_that_may_not_be_writes_nothing(tx, asked, error):
    with pytest.raises(error):
        move_alias(tx, asked)
    assert tx.entries == []
    assert queries.read_last_move(tx.connection, asked.name) is None


def test_the_database_itself_refuses_a_request_id_twice(tx):
    first = move_alias(tx, move(1, request_id="once", request_digest="d" * 64))
    with pytest.raises(AlreadyExistsError):
        move_alias(tx, move(2, request_id="once", request_digest="e" * 64))
    copy = type(first)(**{name: getattr(first, name) for name in type(first).__slots__} | {"revision": 2})
    with pytest.raises(IntegrityError):
        queries.insert_move(tx.connection, copy)


_moves = st.lists(
    st.builds(
        move,
        st.sampled_from((0, *VERSIONS, 9)),
        alias=st.sampled_from(("champion", "shadow")),
        expected_revision=st.none() | st.integers(0, 4),
    ),
    max_size=12,
)


@settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(asked=_moves)
def test_replaying_the_history_gives_the_aliases_and_the_log_tells_the_same(database, asked):
    with database.writer_engine.connect() as connection, connection.begin() as transaction:
        tx = Transaction(connection, now=NOW, environment="dev", next_index=10)
        for each in asked:
            try:
                move_alias(tx, each)
            except CarnetError:
                continue
        told = {}
        for entry in tx.entries:
            if "alias" not in entry.subject:
                continue
            assert entry.old == told.get(entry.subject["alias"], "")
            told[entry.subject["alias"]] = entry.new
        held = queries.read_aliases_of(connection, [("risk", "fraud")])
        replayed = []
        for alias in ("champion", "shadow"):
            moves = queries.read_moves(connection, ResourceName("risk", "fraud", alias=alias))
            assert [each.revision for each in moves] == list(range(1, len(moves) + 1))
            assert [each.old_version for each in moves[1:]] == [each.new_version for each in moves[:-1]]
            replayed += [each.after for each in moves[-1:] if each.new_version]
        assert held == replayed
        assert {each.alias: str(each.version) for each in held} == {k: v for k, v in told.items() if v}
        transaction.rollback()

"""Reading nodes for a proof looks each of them up, whatever the size of the log."""

from __future__ import annotations

import pytest
from sqlalchemy import event

from carnet.errors import NotFoundError
from carnet.translog.tree import Frontier, inclusion_nodes, inclusion_proof, leaf_hash
from carnet_server.log import queries

SIZE = 700
LEAVES = [leaf_hash(b"%d" % index) for index in range(SIZE)]


@pytest.fixture
def nodes():
    frontier = Frontier()
    found = {(0, index): leaf for index, leaf in enumerate(LEAVES)}
    for leaf in LEAVES:
        found |= {(level, at): value for level, at, value in frontier.append(leaf)}
    return found


@pytest.fixture
def filled(database, nodes):
    """A database with the log's leaves and nodes."""
    with database.writer_engine.begin() as connection:
        rows = [{"index": index, "entry": b"", "leaf_hash": leaf} for index, leaf in enumerate(LEAVES)]
        connection.execute(queries.INSERT_ENTRIES, rows)
        above = [place for place in nodes if place[0] > 0]
        rows = [{"level": level, "index": at, "hash": nodes[level, at]} for level, at in above]
        connection.execute(queries.INSERT_NODES, rows)
    return database


@pytest.mark.parametrize("index", [0, 1, 255, 256, SIZE - 1])
def test_what_a_proof_needs_is_found(index, filled, nodes):
    places = inclusion_nodes(index, SIZE)
    found = filled.read_now(lambda connection: queries.read_nodes(connection, places))
    assert found == {place: nodes[place] for place in places}
    proof = inclusion_proof(index, SIZE, lambda *place: found[place])
    assert proof == inclusion_proof(index, SIZE, lambda *place: nodes[place])


def test_a_node_that_is_not_stored_is_named(filled):
    with pytest.raises(NotFoundError, match="level 9, index 9"):
        filled.read_now(lambda connection: queries.read_nodes(connection, [(1, 0), (9, 9)]))


def test_no_table_is_read_from_beginning_to_end(filled):
    if filled.reader_engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL chooses by the tables' statistics")
    plans = []

    def explain(connection, cursor, statement, parameters, _context, _many):
        if "FROM log_" in statement:
            plan = connection.connection.cursor().execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans.extend(step[3] for step in plan.fetchall())

    event.listen(filled.reader_engine, "before_cursor_execute", explain)
    places = inclusion_nodes(300, SIZE)
    filled.read_now(lambda connection: queries.read_nodes(connection, places))
    assert any("log_nodes" in step for step in plans)
    assert not [step for step in plans if step.startswith("SCAN")]

"""The schema that migrations make is that of the tables, on either database, however many begin at once."""

from __future__ import annotations

import subprocess
import sys

import pytest
import sqlmodel
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

import carnet_server.tables  # noqa: F401  registers every table
import carnet_sync.promotions.tables
from carnet.errors import InvalidInputError
from carnet.serving.engine import open_engine
from carnet_server.database.migrate import upgrade as upgrade_registry
from carnet_sync.migrations import upgrade as upgrade_sync
from tests.support.storage import DATABASES, Databases

SERVICES = {
    "registry": (upgrade_registry, sqlmodel.SQLModel.metadata, "carnet_server.database.migrate"),
    "sync": (upgrade_sync, carnet_sync.promotions.tables.METADATA, "carnet_sync.migrations"),
}
OF_EACH = pytest.mark.parametrize(("upgrade", "tables", "module"), SERVICES.values(), ids=SERVICES)


@pytest.fixture(params=DATABASES)
def databases(request, tmp_path):
    databases = Databases(request.param, tmp_path)
    yield databases
    databases.drop()


@pytest.fixture
def connection():
    engines = []

    def connect(url):
        engines.append(open_engine(url, connections=1))
        return engines[-1].connect()

    yield connect
    for engine in engines:
        engine.dispose()


@OF_EACH
def test_the_migrated_schema_is_that_of_the_tables(databases, connection, upgrade, tables, module):
    url = databases.make_empty()
    upgrade(url)
    upgrade(url)
    with connection(url) as found:
        context = MigrationContext.configure(found, opts={"compare_type": True})
        assert compare_metadata(context, tables) == []


@OF_EACH
def test_constraints_and_indexes_mean_the_same_on_both(
    tmp_path, postgresql, connection, upgrade, tables, module
):
    told = []
    for databases in (Databases("sqlite", tmp_path), postgresql):
        url = databases.make_empty()
        upgrade(url)
        with connection(url) as found:
            seen = inspect(found)
            told.append(
                {
                    table: (
                        seen.get_pk_constraint(table)["constrained_columns"],
                        sorted(
                            (each["constrained_columns"], each["referred_table"], each["referred_columns"])
                            for each in seen.get_foreign_keys(table)
                        ),
                        sorted(sorted(each["column_names"]) for each in seen.get_unique_constraints(table)),
                        sorted(
                            (each["name"], each["column_names"], bool(each["unique"]))
                            for each in seen.get_indexes(table)
                            if not each.get("duplicates_constraint")
                        ),
                        {each["name"]: each["nullable"] for each in seen.get_columns(table)},
                        sorted(each["name"] for each in seen.get_check_constraints(table)),
                    )
                    for table in tables.tables
                }
            )
    assert told[0] == told[1]


@OF_EACH
def test_texts_of_postgresql_are_ordered_by_their_bytes(postgresql, upgrade, tables, module):
    """Whatever language the database is in; states and kinds are compared for equality only."""
    with postgresql.server.connect(
        postgresql.make("registry" if upgrade is upgrade_registry else "sync")
    ) as found:
        rows = found.execute(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
            " AND data_type IN ('text', 'character varying', 'character')"
            " AND collation_name IS DISTINCT FROM 'C'"
        ).fetchall()
    enumerated = {
        (table.name, column.name)
        for table in tables.tables.values()
        for column in table.columns
        if hasattr(column.type, "enums")
    }
    assert set(rows) <= enumerated | {("alembic_version", "version_num")}


@OF_EACH
def test_several_that_begin_at_once_make_one_schema(postgresql, connection, upgrade, tables, module):
    url = postgresql.make_empty()
    program = (
        f"import sys; from {module} import upgrade; sys.stdin.readline(); upgrade(sys.argv[1]); print('done')"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(3)
    ]
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    told = [process.communicate(timeout=60)[0] for process in processes]
    assert told == ["done\n"] * 3
    with connection(url) as found:
        assert compare_metadata(MigrationContext.configure(found), tables) == []


@OF_EACH
def test_a_schema_that_is_not_known_is_refused_and_stays(databases, connection, upgrade, tables, module):
    url = databases.make_empty()
    upgrade(url)
    engine = open_engine(url, connections=1)
    with engine.begin() as found:
        found.execute(text("UPDATE alembic_version SET version_num = '9999_from_the_future'"))
    with pytest.raises(InvalidInputError, match="9999_from_the_future.*does not know") as raised:
        upgrade(url)
    assert raised.value.metadata == {"field": "database"}
    with engine.connect() as found:
        assert (
            found.execute(text("SELECT version_num FROM alembic_version")).scalar() == "9999_from_the_future"
        )
    engine.dispose()


@OF_EACH
def test_a_step_that_fails_leaves_the_database_as_it_was(databases, connection, upgrade, tables, module):
    """All steps are one transaction: a table that is in the way of the last one undoes them all."""
    url = databases.make_empty()
    engine = open_engine(url, connections=1)
    in_the_way = list(tables.tables)[-1]
    with engine.begin() as found:
        found.execute(text(f"CREATE TABLE {in_the_way} (id INTEGER)"))
    with pytest.raises(Exception, match="already exists"):
        upgrade(url)
    with engine.connect() as found:
        assert inspect(found).get_table_names() == [in_the_way]
    engine.dispose()

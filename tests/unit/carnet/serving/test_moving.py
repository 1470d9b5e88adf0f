"""A database moved into another: every table, in whichever direction, interrupted anywhere, and never half."""

from __future__ import annotations

import hashlib
import itertools
import sqlite3
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Enum,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    create_engine,
    delete,
    func,
    insert,
    inspect,
    select,
    text,
    update,
)

from carnet.errors import InvalidInputError, LogTamperedError, PreconditionFailedError, UnavailableError
from carnet.serving import engine as engine_module
from carnet.serving.columns import NAME, UtcDateTime
from carnet.serving.engine import open_engine, resolve_database_url
from carnet.serving.moving import rows as rows_module
from carnet.serving.moving import schemas as schemas_module
from carnet.serving.moving.copying import move_database
from carnet.serving.moving.ends import Side
from carnet.serving.moving.rows import PlainTable
from carnet.serving.moving.schemas import MovableSchema, installed_schemas, recognise
from carnet.serving.moving.source import hold_source
from carnet.serving.moving.target import inspect_target
from carnet.serving.schema import UNFINISHED_MOVE, upgrade_schema
from carnet.translog.tree import Frontier, leaf_hash
from carnet_server.moving.registry import SCHEMA as REGISTRY
from carnet_sync.migrations import SCHEMA as PROMOTIONS
from tests.support.backends import drop_database, postgres_url

KINDS = ["sqlite", "postgres"]
NOW = datetime(2026, 3, 1, 12, 30, 0, 250, tzinfo=UTC)
LOG_TABLES = {"log_entries", "log_nodes", "log_head"}
ENTRIES = 37
FILLED: dict[str, bytes] = {}


@pytest.fixture
def make_url(tmp_path):
    """Makes URLs of fresh, empty databases."""
    numbers, made = itertools.count(1), []

    def make(kind: str) -> str:
        if kind == "postgres":
            made.append(postgres_url())
            return resolve_database_url(made[-1], tmp_path)
        return resolve_database_url(f"sqlite:///{next(numbers)}.db", tmp_path)

    yield make
    for url in made:
        drop_database(url)


@contextmanager
def opened(url):
    engine = open_engine(url, connections=2)
    try:
        yield engine
    finally:
        engine.dispose()


def file_of(url: str) -> Path:
    return Path(url.partition(":///")[2])


def value_of(column, number: int):
    """A value that no other row has, and that is hard to carry where a type allows that."""
    kind = column.type
    if column.nullable and number % 2:
        return None
    if isinstance(kind, UtcDateTime):
        return NOW + timedelta(microseconds=number)
    if isinstance(kind, Boolean):
        return bool(number % 2)
    if isinstance(kind, BigInteger):
        return 2**62 + number
    if isinstance(kind, Integer):
        return number + 1
    if isinstance(kind, Double):
        return (number % 8 + 1) / 10
    if isinstance(kind, LargeBinary):
        return b"\x00\xff" + str(number).encode() * 5
    if isinstance(kind, Enum):
        return list(kind.enum_class)[number % len(kind.enum_class)]
    return f"{column.name}_-É.{number % 3}'\"%\n{number}"


def append_entries(connection, first: int, count: int) -> None:
    """Make a log longer, as its writer does."""
    tables = REGISTRY.tables.tables
    stored = connection.execute(select(tables["log_entries"]).order_by(text('"index"'))).all()
    frontier = Frontier()
    for row in stored:
        frontier.append(row.leaf_hash)
    entries, nodes = [], []
    for index in range(first, first + count):
        entry = f'{{"entry":{index}}}'.encode()
        hashed = leaf_hash(entry)
        entries.append({"index": index, "entry": entry, "leaf_hash": hashed})
        nodes += [
            dict(zip(("level", "index", "hash"), node, strict=True)) for node in frontier.append(hashed)
        ]
    connection.execute(insert(tables["log_entries"]), entries)
    if nodes:
        connection.execute(insert(tables["log_nodes"]), nodes)
    connection.execute(delete(tables["log_head"]))
    head = {"id": 1, "origin": "test/dev", "size": frontier.size, "root": frontier.root()}
    connection.execute(insert(tables["log_head"]), head)


def fill(url: str, schema: MovableSchema) -> None:
    """Make a database with rows in every table."""
    if not url.startswith("sqlite"):
        fill_anew(url, schema)
        return
    if schema.name not in FILLED:
        fill_anew(url, schema)
        FILLED[schema.name] = file_of(url).read_bytes()
    file_of(url).write_bytes(FILLED[schema.name])


def fill_anew(url: str, schema: MovableSchema, rows: int = 25) -> None:
    upgrade_schema(url, schema.steps)
    made: dict[str, list[dict]] = {}
    with opened(url) as engine, engine.begin() as connection:
        for table in schema.tables.sorted_tables:
            if table.name in LOG_TABLES:
                continue
            made[table.name] = []
            for number in range(rows):
                row = {column.name: value_of(column, number) for column in table.columns}
                for key in table.foreign_keys:
                    row[key.parent.name] = made[key.column.table.name][number][key.column.name]
                made[table.name].append(row)
            connection.execute(insert(table), made[table.name])
        if schema is REGISTRY:
            append_entries(connection, 0, ENTRIES)


def contents(url: str, schema: MovableSchema) -> dict[str, list]:
    """Every row of every table, through the types that the service uses."""
    with opened(url) as engine, engine.connect() as connection:
        return {
            table.name: [
                tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key.columns))
            ]
            for table in schema.tables.sorted_tables
        }


def tables_of(url: str) -> set[str]:
    with opened(url) as engine, engine.connect() as connection:
        return set(inspect(connection).get_table_names())


def change(url: str, *statements) -> None:
    with opened(url) as engine, engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement) if isinstance(statement, str) else statement)


def move(source: str, target: str, progress=lambda *_: None):
    with hold_source(source, [REGISTRY, PROMOTIONS], label="FROM") as held:
        return move_database(held, inspect_target(held, target, label="TO"), progress=progress)


class InterruptedMoveError(Exception):
    pass


def interrupt_at(stage: str, reached: int):
    def progress(now: str, done: int, total: int) -> None:
        assert 0 <= done <= total
        if now == stage and done >= reached:
            raise InterruptedMoveError

    return progress


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(rows_module, "CHUNK_ROWS", 5)
    monkeypatch.setattr(rows_module, "FETCH_ROWS", 3)


# --- a move from beginning to end ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "end", "schema"),
    [
        *((start, end, REGISTRY) for start in KINDS for end in KINDS),
        ("sqlite", "postgres", PROMOTIONS),
        ("postgres", "sqlite", PROMOTIONS),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_every_row_of_every_table_arrives_as_it_was(make_url, small_chunks, start, end, schema):
    source, target = make_url(start), make_url(end)
    fill(source, schema)
    before = contents(source, schema)

    moved = move(source, target)

    assert contents(target, schema) == before == contents(source, schema)
    assert moved.tables == {name: len(rows) for name, rows in before.items()}
    assert moved.copied_rows == sum(moved.tables.values())
    assert moved.service == schema.name
    assert UNFINISHED_MOVE not in tables_of(target)
    upgrade_schema(target, schema.steps)


@pytest.mark.parametrize(("start", "end"), [("sqlite", "postgres"), ("postgres", "sqlite")])
def test_the_root_is_computed_from_the_bytes_that_arrived(make_url, start, end):
    source, target = make_url(start), make_url(end)
    fill(source, REGISTRY)
    frontier = Frontier()
    for index in range(ENTRIES):
        frontier.append(leaf_hash(f'{{"entry":{index}}}'.encode()))
    assert move(source, target).facts == {
        "origin": "test/dev",
        "size": ENTRIES,
        "root": frontier.root().hex(),
    }


def test_a_registry_that_was_never_started_is_moved_too(make_url):
    source, target = make_url("sqlite"), make_url("postgres")
    upgrade_schema(source, REGISTRY.steps)
    moved = move(source, target)
    assert not moved.facts
    assert not any(moved.tables.values())


@pytest.mark.parametrize("end", KINDS)
def test_a_finished_move_made_again_copies_nothing(make_url, end):
    source, target = make_url("sqlite"), make_url(end)
    fill(source, REGISTRY)
    first = move(source, target)
    again = move(source, target)
    assert again.copied_rows == 0
    assert (again.tables, again.facts) == (first.tables, first.facts)


def test_progress_reaches_the_number_of_rows_in_both_stages(make_url, small_chunks):
    source, target = make_url("sqlite"), make_url("sqlite")
    fill(source, REGISTRY)
    told: dict[str, tuple[int, int]] = {}
    moved = move(source, target, lambda stage, done, total: told.update({stage: (done, total)}))
    rows = sum(moved.tables.values())
    assert told == {"copying": (rows, rows), "verifying": (rows, rows)}


def test_rows_are_read_in_chunks_bounded_by_number_and_by_bytes(make_url, monkeypatch):
    url = make_url("sqlite")
    fill_anew(url, REGISTRY, rows=12)
    table = PlainTable(REGISTRY.tables.tables["documents"])
    with opened(url) as engine, engine.connect() as connection:
        side = Side("it", connection)
        row = next(table.read(side))
        weight = sum(len(value) for value in row if isinstance(value, bytes | str))
        monkeypatch.setattr(rows_module, "CHUNK_ROWS", 5)
        assert [len(chunk) for chunk in table.read_chunks(side)] == [5, 5, 2]
        monkeypatch.setattr(rows_module, "CHUNK_BYTES", 2 * weight - 4)
        assert [len(chunk) for chunk in table.read_chunks(side)] == [2] * 6


@given(
    st.lists(st.text(alphabet="aAbB_-.0É", min_size=1, max_size=4), unique=True, min_size=1, max_size=20),
    st.data(),
)
def test_a_range_of_keys_is_what_python_says_by_bytes(names, data):
    names.sort(key=str.encode)
    table = Table(
        "t", MetaData(), Column("a", Integer, primary_key=True), Column("b", NAME, primary_key=True)
    )
    plain = PlainTable(table)
    rows = [(number % 2, name) for number, name in enumerate(names)]
    rows.sort(key=lambda row: (row[0], row[1].encode()))
    low = data.draw(st.integers(-1, len(rows) - 1))
    high = data.draw(st.integers(max(low, 0), len(rows) - 1))
    with opened_memory() as connection:
        table.create(connection)
        side = Side("it", connection)
        plain.insert(side, rows)
        assert list(plain.read(side)) == rows
        found = plain.read_between(side, rows[low] if low >= 0 else None, rows[high])
    assert sorted(found) == sorted(rows[low + 1 : high + 1])


@contextmanager
def opened_memory():
    engine = create_engine("sqlite://")
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


# --- interrupted --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", KINDS)
@pytest.mark.parametrize("stage", ["copying", "verifying"])
@pytest.mark.parametrize("reached", [1, 250])
def test_an_interrupted_move_is_refused_by_services_and_finished_by_another_run(
    make_url, small_chunks, end, stage, reached
):
    source, target = make_url("sqlite"), make_url(end)
    fill(source, REGISTRY)
    with pytest.raises(InterruptedMoveError):
        move(source, target, interrupt_at(stage, reached))

    with pytest.raises(
        InvalidInputError, match="a move into this database was not finished: run `carnet migrate`"
    ):
        upgrade_schema(target, REGISTRY.steps)
    with opened(target) as engine, engine.connect() as connection:
        there = sum(
            connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in REGISTRY.tables.sorted_tables
        )
    moved = move(source, target)

    assert there > 0
    assert moved.copied_rows == sum(moved.tables.values()) - there
    assert contents(target, REGISTRY) == contents(source, REGISTRY)
    upgrade_schema(target, REGISTRY.steps)


@pytest.mark.parametrize("end", KINDS)
def test_what_was_written_between_two_runs_arrives_as_well(make_url, small_chunks, end):
    source, target = make_url("sqlite"), make_url(end)
    fill(source, REGISTRY)
    with pytest.raises(InterruptedMoveError):
        move(source, target, interrupt_at("copying", 150))
    with opened(source) as engine, engine.begin() as connection:
        append_entries(connection, ENTRIES, 9)
        first = {"digest": "!", "media_type": "t", "data": b"", "created_at": NOW}
        connection.execute(insert(REGISTRY.tables.tables["documents"]), first)
        connection.execute(delete(REGISTRY.tables.tables["blob_possessions"]))
    moved = move(source, target)
    assert contents(target, REGISTRY) == contents(source, REGISTRY)
    assert moved.facts["size"] == ENTRIES + 9


@pytest.mark.parametrize(
    ("end", "table", "statement"),
    [
        ("sqlite", "log_entries", 'UPDATE log_entries SET entry = leaf_hash WHERE "index" = 3'),
        ("postgres", "log_entries", 'UPDATE log_entries SET entry = leaf_hash WHERE "index" = 3'),
        ("sqlite", "log_entries", 'DELETE FROM log_entries WHERE "index" = 36'),
        (
            "postgres",
            "documents",
            "INSERT INTO documents SELECT 'zzz', media_type, data, created_at FROM documents LIMIT 1",
        ),
        ("sqlite", "documents", "UPDATE documents SET created_at = created_at + 1"),
    ],
)
def test_a_target_that_is_no_beginning_of_the_source_is_not_gone_on_with(
    make_url, small_chunks, end, table, statement
):
    source, target = make_url("sqlite"), make_url(end)
    fill(source, REGISTRY)
    with pytest.raises(InterruptedMoveError):
        move(source, target, interrupt_at("verifying", 1))
    if statement.startswith("DELETE"):  # the source went back, which is the same
        change(source, statement)
    else:
        change(target, statement)
    with pytest.raises(LogTamperedError, match=rf"^TO: table {table} is not the source's") as caught:
        move(source, target)
    assert caught.value.metadata == {"table": table}
    assert UNFINISHED_MOVE in tables_of(target)


def test_a_move_that_another_finished_meanwhile_stops(make_url, small_chunks):
    source, target = make_url("sqlite"), make_url("sqlite")
    fill(source, REGISTRY)

    def finish_elsewhere(stage: str, done: int, total: int) -> None:
        if stage == "copying" and done >= 100 and UNFINISHED_MOVE in tables_of(target):
            change(target, f"DROP TABLE {UNFINISHED_MOVE}")

    with pytest.raises(PreconditionFailedError, match="TO: another process has finished this move"):
        move(source, target, finish_elsewhere)


def test_an_interrupted_move_is_not_gone_on_with_by_a_version_of_another_schema(make_url):
    source, target = make_url("sqlite"), make_url("sqlite")
    fill(source, REGISTRY)
    with pytest.raises(InterruptedMoveError):
        move(source, target, interrupt_at("verifying", 1))
    change(target, f"UPDATE {UNFINISHED_MOVE} SET revision = '0000'")
    with pytest.raises(InvalidInputError, match="schema 0000 was not finished.*drop it, and begin again"):
        move(source, target)


def test_an_interrupted_move_of_the_other_service_is_not_gone_on_with(make_url):
    source, other, target = make_url("sqlite"), make_url("sqlite"), make_url("sqlite")
    fill(source, REGISTRY)
    fill(other, PROMOTIONS)
    with pytest.raises(InterruptedMoveError):
        move(other, target, interrupt_at("verifying", 1))
    with pytest.raises(InvalidInputError, match=r"of a promotion service .* this is a registry"):
        move(source, target)


# --- verified -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "statement"),
    [
        ("sqlite", "UPDATE log_head SET size = size - 1"),
        ("sqlite", 'UPDATE log_head SET root = (SELECT leaf_hash FROM log_entries WHERE "index" = 0)'),
        ("postgres", "DELETE FROM log_head"),
        ("postgres", 'UPDATE log_entries SET entry = leaf_hash WHERE "index" = 5'),
        ("sqlite", 'DELETE FROM log_entries WHERE "index" = 36'),
    ],
)
def test_a_log_that_does_not_lead_to_its_root_never_becomes_whole(make_url, end, statement):
    source, target = make_url("sqlite"), make_url(end)
    fill(source, REGISTRY)
    change(source, statement)
    with pytest.raises(LogTamperedError, match="audit the source"):
        move(source, target)
    assert UNFINISHED_MOVE in tables_of(target)
    with pytest.raises(InvalidInputError, match="not finished"):
        upgrade_schema(target, REGISTRY.steps)


def test_a_value_that_the_target_cannot_keep_is_named_by_its_table(make_url):
    source, target = make_url("sqlite"), make_url("postgres")
    fill(source, PROMOTIONS)
    change(source, "UPDATE promotions SET message = 'a' || char(0) || 'b'")
    with pytest.raises(InvalidInputError, match="^TO: table promotions: .*cannot keep a value"):
        move(source, target)
    assert UNFINISHED_MOVE in tables_of(target)


# --- the source is held still -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_service_that_still_runs_reads_and_does_not_write(make_url, monkeypatch, kind):
    monkeypatch.setattr(engine_module, "BUSY_TIMEOUT_MS", 50)
    monkeypatch.setattr(engine_module, "LOCK_TIMEOUT_MS", 50)
    source = make_url(kind)
    fill(source, REGISTRY)
    head = REGISTRY.tables.tables["log_head"]
    with opened(source) as running, hold_source(source, [REGISTRY], label="FROM"):
        with running.connect() as connection:
            if kind == "postgres":
                assert connection.execute(select(head.c.size)).scalar_one() == ENTRIES
        with (
            pytest.raises(UnavailableError),
            engine_module.typed_database_errors(),
            running.begin() as connection,
        ):
            connection.execute(update(head).values(size=0))
    change(source, update(head).values(size=ENTRIES + 1))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_committed_while_the_source_is_waited_for_is_seen(make_url, kind):
    source = make_url(kind)
    fill(source, REGISTRY)
    head = REGISTRY.tables.tables["log_head"]
    seen: list[int] = []

    def hold() -> None:
        with hold_source(source, [REGISTRY], label="FROM") as held:
            seen.append(held.side.connection.execute(select(head.c.size)).scalar_one())

    waiting = threading.Thread(target=hold)
    with opened(source) as running, running.begin() as connection:
        connection.execute(update(head).values(size=99))
        waiting.start()
        waiting.join(0.5)
        assert not seen
    waiting.join()
    assert seen == [99]


@pytest.mark.parametrize("kind", KINDS)
def test_a_source_that_is_being_written_is_unavailable(make_url, monkeypatch, kind):
    monkeypatch.setattr(engine_module, "BUSY_TIMEOUT_MS", 50)
    monkeypatch.setattr(engine_module, "LOCK_TIMEOUT_MS", 50)
    source = make_url(kind)
    fill(source, REGISTRY)
    with opened(source) as running, running.begin() as connection:
        connection.execute(update(REGISTRY.tables.tables["log_head"]).values(size=5))
        with pytest.raises(UnavailableError, match="^FROM: "), hold_source(source, [REGISTRY], label="FROM"):
            pass


# --- refused before anything is written ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("statements", "message"),
    [
        (["DROP TABLE alembic_version"], "it has no Carnet schema"),
        (
            ["UPDATE alembic_version SET version_num = '0001'"],
            "start its registry once with this version, stop it",
        ),
        (
            ["UPDATE alembic_version SET version_num = '9999'"],
            "'9999', which this version of Carnet does not know",
        ),
        (["CREATE TABLE promotions (id INTEGER)"], "more than one service"),
    ],
)
def test_a_source_that_is_not_as_it_must_be_is_refused(make_url, kind, statements, message):
    source = make_url(kind)
    upgrade_schema(source, REGISTRY.steps)
    change(source, *statements)
    with (
        pytest.raises(InvalidInputError, match=f"^FROM: .*{message}"),
        hold_source(source, [REGISTRY, PROMOTIONS], label="FROM"),
    ):
        pass


@pytest.mark.parametrize("kind", KINDS)
def test_a_source_without_tables_is_refused(make_url, kind):
    url = make_url(kind)
    if kind == "sqlite":
        file_of(url).touch()
    with (
        pytest.raises(InvalidInputError, match="^FROM: it has no Carnet schema"),
        hold_source(url, [REGISTRY, PROMOTIONS], label="FROM"),
    ):
        pass


def test_a_source_that_is_not_there_is_refused_and_not_made(make_url, tmp_path):
    with pytest.raises(InvalidInputError, match="^FROM: there is no file"):
        move(make_url("sqlite"), make_url("sqlite"))
    assert not list(tmp_path.iterdir())


def test_a_half_moved_source_is_refused(make_url):
    first, second, third = (make_url("sqlite") for _ in range(3))
    fill(first, REGISTRY)
    with pytest.raises(InterruptedMoveError):
        move(first, second, interrupt_at("verifying", 1))
    with pytest.raises(InvalidInputError, match=f"^FROM: a move into it from {first} was not finished"):
        move(second, third)


@pytest.mark.parametrize("kind", KINDS)
def test_the_source_itself_is_no_target(make_url, kind):
    source = make_url(kind)
    fill(source, REGISTRY)
    with pytest.raises(InvalidInputError, match="^TO: it is the database that is to be moved"):
        move(source, source)


@pytest.mark.parametrize("kind", KINDS)
def test_a_target_with_anything_else_in_it_is_refused_and_left_alone(make_url, kind):
    source, target = make_url("sqlite"), make_url(kind)
    fill(source, REGISTRY)
    change(target, "CREATE TABLE theirs (id INTEGER)")
    with pytest.raises(InvalidInputError, match=r"^TO: it has something else in it \(tables theirs\)"):
        move(source, target)
    assert tables_of(target) == {"theirs"}


@pytest.mark.parametrize("schema", [REGISTRY, PROMOTIONS], ids=["registry", "promotions"])
def test_a_target_on_which_a_service_was_started_is_refused(make_url, schema):
    source, target = make_url("sqlite"), make_url("sqlite")
    fill(source, REGISTRY)
    fill_anew(target, schema, rows=2)
    before = contents(target, schema)
    with pytest.raises(InvalidInputError, match="^TO: it has something else in it"):
        move(source, target)
    assert contents(target, schema) == before


@pytest.mark.parametrize("data", [b"not a database", b"SQLite format 3\x00 but damaged"])
def test_a_file_that_is_no_database_stays_as_it_is(make_url, tmp_path, data):
    source, target = make_url("sqlite"), make_url("sqlite")
    fill(source, REGISTRY)
    path = file_of(target)
    path.write_bytes(data)
    with pytest.raises(
        (InvalidInputError, UnavailableError), match="^TO: .*not an SQLite database|not a database"
    ):
        move(source, target)
    assert path.read_bytes() == data


def test_a_foreign_database_is_not_even_given_our_settings(make_url):
    source, target = make_url("sqlite"), make_url("sqlite")
    fill(source, REGISTRY)
    path = file_of(target)
    foreign = sqlite3.connect(path)
    foreign.execute("CREATE TABLE theirs (id INTEGER)")
    foreign.close()
    before = hashlib.sha256(path.read_bytes()).digest()
    with pytest.raises(InvalidInputError, match="something else"):
        move(source, target)
    assert hashlib.sha256(path.read_bytes()).digest() == before
    assert {each.name for each in path.parent.iterdir() if each.name.startswith(path.name)} == {path.name}


def test_a_refusal_has_no_password_in_it(make_url):
    source = make_url("sqlite")
    fill(source, REGISTRY)
    wrong = "postgresql+psycopg://nobody:geheim@" + make_url("postgres").partition("@")[2]
    with pytest.raises(InvalidInputError, match="^TO: password authentication failed") as caught:
        move(source, wrong)
    assert "geheim" not in str(caught.value)


# --- whose database it is -----------------------------------------------------------------------------------


def test_both_services_are_found_by_their_entry_points():
    assert {schema.name for schema in installed_schemas()} == {"registry", "promotion service"}


def test_a_service_whose_package_is_wanting_says_what_to_install(monkeypatch):
    def load():
        raise ModuleNotFoundError(name="sqlmodel")

    monkeypatch.setattr(schemas_module, "entry_points", lambda group: [SimpleNamespace(load=load)])
    with pytest.raises(InvalidInputError, match=r"'sqlmodel' is not installed: pip install 'carnet\["):
        installed_schemas()


def test_services_are_told_apart_by_their_tables():
    for schema in (REGISTRY, PROMOTIONS):
        tables = {"alembic_version", *schema.tables.tables}
        assert recognise([REGISTRY, PROMOTIONS], tables) is schema


def test_a_table_grows_only_if_what_it_refers_to_grows():
    for schema in (REGISTRY, PROMOTIONS):
        for table in schema.tables.sorted_tables:
            if schema.grows(table):
                assert table.name in schema.growing
                assert all(schema.grows(key.column.table) for key in table.foreign_keys)
    changing = MovableSchema(
        "registry", REGISTRY.steps, REGISTRY.tables, growing=frozenset({"version_files"})
    )
    assert not changing.grows(REGISTRY.tables.tables["version_files"])
    assert {
        name for name in REGISTRY.growing if REGISTRY.grows(REGISTRY.tables.tables[name])
    } == REGISTRY.growing

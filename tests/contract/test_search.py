"""Searching: what SQL finds is what the filter says, on every database, in pages, by indexes."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, insert, select, text

from carnet.bundle.manifest import Manifest
from carnet.errors import InvalidInputError
from carnet.filtering.check import read_filter
from carnet.filtering.conditions import Comparator, Mention, Pattern
from carnet.filtering.fields import FIELDS, Kind, Shape
from carnet.filtering.ordering import read_order
from carnet.filtering.syntax import And, Not, Or
from carnet.references import ResourceName
from carnet_server.aliases.queries import read_alias
from carnet_server.models.queries import FILES, MODELS, VERSIONS
from carnet_server.search.index import TERMS
from carnet_server.search.paging import Order
from carnet_server.search.queries import find_versions, read_summaries, search_statement
from carnet_server.search.service import SearchService
from carnet_server.search.terms import Term
from tests.support.fuzzing import examples
from tests.support.registry import EVALUATOR, OPERATOR, READER, Registry, make_test_result, make_version
from tests.support.storage import COMBINATIONS

PAGE = Path(__file__).parents[2] / "docs" / "search.md"
LATER = timedelta(days=3)


@pytest.fixture
async def registry(tmp_path, storage):
    registry = Registry(tmp_path, storage=storage)
    await registry.start()
    yield registry
    registry.stop()


def metric(name, value, **slice_):
    return {"name": name, "value": value, "direction": "higher_is_better", "slice": slice_}


CODE = {"repository": "https://example.org/risk", "commit": "4f2a9c1d"}
SAID = (
    {
        "labels": {"region": "eu", "tier": "high"},
        "metrics": (metric("roc_auc", 0.98), metric("roc_auc", 0.91, region="eu", age="young")),
        "hyperparameters": {"trees": 400, "kind": "forest", "deep": {"er": 1.5, "list": [1]}, "on": True},
        "lineage": {
            "code": CODE,
            "datasets": [
                {"name": "payments", "uri": "s3://payments", "digest": "ab" * 32},
                {
                    "name": "people",
                    "uri": "s3://people",
                    "window": {"start": "2026-01-01", "end": "2026-02-28T12:00:00Z"},
                },
            ],
        },
    },
    {
        "description": "100% of [cards]\nand more_",
        "labels": {"region": "EU", "a.b": "x*y"},
        "metrics": (metric("roc_auc", 0.95), metric("loss", -1e-7)),
        "environment": {
            "python": "3.11.9",
            "framework": {"name": "scikit-learn", "version": "1.6.1"},
            "trained_at": "2026-03-01",
            "training_seconds": 184.2,
        },
        "hyperparameters": {"trees": "many", "nothing": None, "nul": "a\0b", "": ""},
    },
    {
        "labels": {"region": "eu-west", "große": "Straße 😀"},
        "metrics": (metric("roc_auc", 0),),
        "lineage": {
            "code": CODE | {"commit": "ffff9c1d"},
            "training_run": {"id": "run-1"},
            "parents": [
                {"home": "dev", "namespace": "risk", "model": "fraud", "version": 1, "digest": "cd" * 32}
            ],
        },
        "feature_schema": {
            "inputs": [{"name": "amount", "type": "float64"}, {"name": "country", "type": "string"}]
        },
    },
    {},
)


async def publish(registry, number, said, **names):
    said = {name: value for name, value in said.items() if value is not None}
    hyperparameters = {key: value for key, value in said.get("hyperparameters", {}).items() if key}
    manifest, contents = make_version(number, **(said | {"hyperparameters": hyperparameters}), **names)
    manifest = Manifest.model_validate(manifest.model_dump(by_alias=True))
    await registry.give_blobs(manifest, contents)
    await registry.publish(manifest)
    return manifest


@pytest.fixture
async def filled(registry):
    """A registry with versions of every sort; and what is known of each, for the naive evaluation."""
    for number, said in enumerate(SAID, 1):
        manifest = await publish(registry, number, said)
        suite, result = (("fairness", "PASSED"), ("fairness", "FAILED"), ("load", "WARNED"), ("", ""))[
            number - 1
        ]
        if suite:
            envelope = make_test_result(manifest, registry.evaluator, suite=suite, result=result)
            await registry.evidence.add(
                registry.caller(EVALUATOR),
                ResourceName(manifest.namespace, manifest.model, manifest.version),
                envelope.to_bytes(),
            )
    for number, said in enumerate(SAID[1:3], 1):
        await publish(registry, number, said, namespace="growth", model="churn")
    for number, alias in ((1, "champion"), (2, "challenger"), (2, "shadow")):
        await registry.aliases.set_alias(
            registry.caller(OPERATOR),
            ResourceName("risk", "fraud", alias=alias),
            number,
            expected_revision=None,
            note="",
            request_id="",
        )
    await registry.models.revoke(registry.caller(OPERATOR), ResourceName("risk", "fraud", 3), "broken")
    return registry, registry.database.read_now(known_versions)


# --- the naive evaluation ---------------------------------------------------------------------------------


def known_versions(connection):
    known = []
    for row in connection.execute(select(VERSIONS)).mappings():
        manifest = json.loads(row["manifest"])
        facts = {name: [row[name]] for name in FIELDS if name in VERSIONS.c and row[name] not in ("", None)}
        facts |= {
            "stage": [str(row["stage"].value)],
            "revoked": [row["stage"].value == "revoked"],
            "create_time": [row["created_at"]],
            "files.path": [each["path"] for each in manifest["files"]],
            "files.digest": [each["digest"] for each in manifest["files"]],
            "aliases": [
                name
                for name in ("champion", "challenger", "shadow")
                if (held := read_alias(connection, ResourceName(row["namespace"], row["model"], alias=name)))
                and held.version == row["version"]
            ],
        }
        maps = defaultdict(lambda: defaultdict(list))
        for name, value in manifest.get("labels", {}).items():
            maps["labels"][name].append(value)
        for each in manifest.get("metrics", ()):
            inner = ",".join(f"{key}={value}" for key, value in sorted(each.get("slice", {}).items()))
            maps["metrics"][each["name"] + (f"{{{inner}}}" if inner else "")].append(each["value"])
        flatten(manifest.get("hyperparameters", {}), "", maps["hyperparameters"])
        for name in FIELDS:
            if name.startswith(("lineage.", "environment.", "feature_schema.")):
                facts[name] = list(walk([manifest], name.split(".")))
        held = connection.execute(
            text(
                "SELECT suite, result, signer, predicate_type FROM evidence WHERE bundle_digest = :d AND namespace = :n"
            ),
            {"d": row["bundle_digest"], "n": row["namespace"]},
        ).all()
        for field in ("suite", "result", "signer", "predicate_type"):
            facts[f"evidence.{field}"] = [value for each in held if (value := getattr(each, field))]
        for each in held:
            if each.result:
                maps["results"][each.suite].append(each.result)
        known.append((row, facts, maps))
    return known


def flatten(value, prefix, found):
    for key, each in value.items():
        if isinstance(each, dict):
            flatten(each, f"{prefix}{key}.", found)
        elif isinstance(each, bool):
            found[prefix + key].append(str(each).lower())
        elif isinstance(each, int | float) or (isinstance(each, str) and each and "\0" not in each):
            found[prefix + key].append(each)


def walk(values, path):
    for value in values:
        if isinstance(value, list):
            yield from walk(value, path)
        elif not path:
            yield value
        elif path[0] in value:
            yield from walk([value[path[0]]], path[1:])


def holds(tree, version, now):
    row, facts, maps = version
    if isinstance(tree, And):
        return all(holds(each, version, now) for each in tree.operands)
    if isinstance(tree, Or):
        return any(holds(each, version, now) for each in tree.operands)
    if isinstance(tree, Not):
        return not holds(tree.operand, version, now)
    if isinstance(tree, Mention):
        names = ("namespace", "model", "owner", "description")
        return any(matches(Pattern(("", *tree.pattern.pieces, "")), row[name]) for name in names)
    field = tree.field
    if field.name == "age":
        return compares(tree.comparator, now - row["created_at"], tree.value)
    if field.shape is Shape.MAP:
        values = maps[field.name][tree.key] if tree.key else [1 for each in maps[field.name].values() if each]
    else:
        values = facts.get(field.name, [])
    if tree.value is None:
        return bool(values)
    return any(satisfies(tree, value) for value in values)


def satisfies(asked, value):
    wanted = asked.value
    if isinstance(wanted, datetime) and isinstance(value, str):
        value = datetime.fromisoformat(value)
        value = value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(wanted, Pattern):
        if not isinstance(value, str):
            return False
        if (
            asked.comparator is Comparator.HAS
            and asked.field.shape is Shape.ONE
            and asked.field.kind is Kind.TEXT
        ):
            return matches(Pattern(("", *wanted.pieces, "")), value)
        if wanted.exact is None:
            return matches(wanted, value) is (asked.comparator is not Comparator.UNEQUAL)
        return compares(asked.comparator, value.encode(), wanted.exact.encode())
    return not isinstance(value, str) and compares(asked.comparator, value, wanted)


def matches(pattern, value):
    return re.fullmatch(".*".join(map(re.escape, pattern.pieces)), value, re.DOTALL) is not None


def compares(comparator, value, wanted):
    return {
        "=": value == wanted,
        ":": value == wanted,
        "!=": value != wanted,
        "<": value < wanted,
        "<=": value <= wanted,
        ">": value > wanted,
        ">=": value >= wanted,
    }[str(comparator)]


# --- what is asked ----------------------------------------------------------------------------------------

KEYS = {
    "labels": ["region", "tier", "a.b", '"große"', "none"],
    "metrics": ["roc_auc", '"roc_auc{region=eu,age=young}"', "loss", "none"],
    "hyperparameters": ["trees", "kind", "deep.er", "on", "nul", "none"],
    "results": ["fairness", "load", "none"],
}
TEXTS = [
    *("eu", "EU", "eu-west", "high", "e", "x*y", "champion", "shadow", "risk", "growth", "dev", "fairness"),
    *("4f2a9c1d", "4f2a", "payments", "s3://p", "run-1", "3.11.9", "[cards]", "100%", "more_", "model.bin"),
    *("many", "forest", "true", "ab" * 32, "Straße", "😀", "\\", "?", "%", "_", "\n", "float64", "é"),
]


def quoted(pieces):
    escaped = (
        piece.replace("\\", "\\\\").replace('"', '\\"').replace("*", "\\*").replace("\n", "\\n")
        for piece in pieces
    )
    return f'"{"*".join(escaped)}"'


patterns = st.one_of(
    st.sampled_from(TEXTS).map(lambda each: [each]),
    st.lists(st.sampled_from(["", *TEXTS]), min_size=2, max_size=3),
    st.tuples(st.sampled_from(TEXTS), st.integers(0, 4)).map(lambda each: [each[0][: each[1]], ""]),
)
NUMBERS = ["0", "0.95", "1", "1.5", "2", "-1e-7", "0.91", "400", "1e300", "-3.25", "184.2"]
WORDS = {
    "stage": ["registered", "revoked"],
    "evidence.result": ["PASSED", "FAILED"],
    "results": ["PASSED", "WARNED"],
}
TIMES = [
    "2026-01-01",
    "2026-02-28T12:00:00Z",
    "2026-02-28T13:00:00+01:00",
    "2026-03-01",
    "1970-01-01",
    "2999-01-01",
]


@st.composite
def comparisons(draw):
    field = draw(st.sampled_from(list(FIELDS.values())))
    name = field.name
    if field.shape is Shape.MAP:
        key = draw(st.sampled_from(KEYS[name]))
        if draw(st.booleans()) and draw(st.booleans()):
            return f"{name}:{draw(st.sampled_from(['*', key]))}"
        name = f"{name}.{key}"
    kind = field.kind
    if kind is Kind.SETTING:
        kind = draw(st.sampled_from([Kind.NUMBER, Kind.TEXT]))
    if kind is not Kind.AGE and draw(st.integers(0, 9)) == 0:
        return f"{name}:*"
    many = field.shape is Shape.MANY or field.repeats
    signs = ["=", ":"] if many else ["=", "!=", ":"]
    order = ["<", "<=", ">", ">="]
    if kind is Kind.TEXT:
        pieces = draw(patterns)
        if len(pieces) == 1 and not many and field.ordered:
            signs = signs + order
        return f"{name} {draw(st.sampled_from(signs))} {quoted(pieces)}"
    if kind is Kind.AGE:
        return f"age {draw(st.sampled_from(order))} {draw(st.sampled_from(['1s', '2d', '3d', '4d', '1w']))}"
    sign = draw(st.sampled_from(signs if kind in {Kind.WORD, Kind.FLAG} else signs + order))
    if kind is Kind.WORD:
        value = draw(st.sampled_from(WORDS[field.name]))
    elif kind is Kind.FLAG:
        value = draw(st.sampled_from(["true", "false"]))
    else:
        value = draw(st.sampled_from(NUMBERS if kind is Kind.NUMBER else TIMES))
    return f"{name} {sign} {value}"


filters = st.recursive(
    comparisons() | patterns.filter(lambda pieces: len(pieces) > 1 or pieces[0]).map(quoted),
    lambda inner: st.one_of(
        inner.map(lambda each: f"NOT ({each})"),
        inner.map(lambda each: f"-({each})"),
        st.lists(inner, min_size=2, max_size=3).map(lambda each: "(" + " AND ".join(each) + ")"),
        st.lists(inner, min_size=2, max_size=3).map(lambda each: "(" + " OR ".join(each) + ")"),
        st.lists(inner, min_size=2, max_size=2).map(lambda each: "(" + " ".join(each) + ")"),
    ),
    max_leaves=5,
).filter(lambda each: len(each.encode()) <= 2000)


def run(registry, tree, order="", *, now, limit=1000, position=None, namespaces=("risk", "growth")):
    return registry.database.read_now(
        lambda connection: find_versions(
            connection,
            list(namespaces),
            tree,
            Order.of(read_order(order)),
            position=position,
            now=now,
            limit=limit,
        )
    )


@pytest.mark.parametrize("storage", COMBINATIONS[::2], indirect=True)
async def test_sql_finds_what_the_filter_says(filled):
    registry, known = filled
    now = datetime.now(UTC) + LATER

    @settings(max_examples=examples(300), deadline=None, suppress_health_check=list(HealthCheck))
    @given(filters)
    def check(asked):
        tree = read_filter(asked)
        found = {(each.namespace, each.model, each.version) for each, _ in run(registry, tree, now=now)}
        wanted = {
            (row["namespace"], row["model"], row["version"])
            for row, facts, maps in known
            if holds(tree, (row, facts, maps), now)
        }
        assert found == wanted, asked

    check()


# Each finds something and leaves something out, so that the property above is about more than nothing.
TELLING = {
    'labels.region = "eu"': [("fraud", 1)],
    'labels.region = "eu*"': [("churn", 2), ("fraud", 1), ("fraud", 3)],
    'labels.region != "eu"': [("churn", 1), ("churn", 2), ("fraud", 2), ("fraud", 3)],
    "labels:tier": [("fraud", 1)],
    "NOT labels:*": [("fraud", 4)],
    "metrics.roc_auc > 0.95": [("fraud", 1)],
    'metrics."roc_auc{region=eu, age=young}" < 0.95': [("fraud", 1)],
    "metrics.roc_auc <= 0.95 AND model = fraud": [("fraud", 2), ("fraud", 3)],
    "aliases:champion OR aliases:shadow": [("fraud", 1), ("fraud", 2)],
    "stage = revoked": [("fraud", 3)],
    "revoked != true AND model = fraud": [("fraud", 1), ("fraud", 2), ("fraud", 4)],
    "lineage.datasets.name = people": [("fraud", 1)],
    "lineage.datasets.window.end >= 2026-02-28": [("fraud", 1)],
    "lineage.code.commit = 4f2a*": [("fraud", 1)],
    "lineage.parents.version = 1": [("churn", 2), ("fraud", 3)],
    "environment.trained_at < 2026-03-02T00:00:00+01:00": [("churn", 1), ("fraud", 2)],
    "environment.framework.version = 1.6.1": [("churn", 1), ("fraud", 2)],
    "hyperparameters.trees > 100": [("fraud", 1)],
    "hyperparameters.trees = many": [("churn", 1), ("fraud", 2)],
    "hyperparameters.deep.er = 1.5": [("fraud", 1)],
    "results.fairness = FAILED": [("fraud", 2)],
    "evidence.suite:load": [("fraud", 3)],
    'description:"100% of [cards]"': [("churn", 1), ("fraud", 2)],
    "version > 2.5": [("fraud", 3), ("fraud", 4)],
    "version < 1e300 namespace:owt": [("churn", 1), ("churn", 2)],
    "hyperparameters:nul": [],
    "age < 1h": [],
}


async def test_filters_tell_versions_apart(filled):
    registry, _ = filled
    now = datetime.now(UTC) + LATER
    for asked, wanted in TELLING.items():
        found = sorted((each.model, each.version) for each, _ in run(registry, read_filter(asked), now=now))
        assert found == wanted, asked


async def test_each_example_of_the_page_finds_something_and_leaves_something_out(filled):
    registry, _ = filled
    (examples,) = re.findall(r"```filter\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    for example in examples.splitlines():
        found = run(registry, read_filter(example), now=datetime.now(UTC) + LATER)
        assert 0 < len(found) < 6, example


# --- order and pages --------------------------------------------------------------------------------------

ORDERS = (
    "",
    "metrics.roc_auc desc, create_time",
    "metrics.roc_auc, labels.region desc",
    "labels.region",
    "description desc, owner, version desc",
    "hyperparameters.trees desc",
    "environment.trained_at, age",
    "stage, model desc, log_index",
    "lineage.code.commit desc, size_bytes",
)


def search(registry, subject=OPERATOR, filter_text="", order_by="", page_size=0, page_token="", parent=None):
    return SearchService(registry.database).search_versions(
        registry.caller(subject),
        parent,
        filter_text=filter_text,
        order_by=order_by,
        page_size=page_size,
        page_token=page_token,
    )


async def test_pages_of_one_give_every_version_once_and_in_the_order_of_one_page(filled):
    registry, _ = filled
    for order in ORDERS:
        whole, rest = await search(registry, order_by=order)
        assert (len(whole), rest) == (6, "")
        pages, token = [], ""
        while len(pages) < 7:
            page, token = await search(registry, order_by=order, page_size=1, page_token=token)
            pages += page
            if not token:
                break
        assert pages == whole, order


async def test_versions_without_a_value_come_last_both_ways(filled):
    registry, _ = filled
    for order in ("metrics.loss", "metrics.loss desc", "labels.tier desc"):
        found, _ = await search(registry, filter_text="model = fraud", order_by=f"{order}, version")
        name = order.split()[0].partition(".")
        values = [
            (each.metrics if name[0] == "metrics" else each.labels).get(name[2]) is None for each in found
        ]
        assert values == [False, True, True, True], order


async def test_equal_values_are_ordered_by_the_next_field_and_at_last_by_arrival(filled):
    registry, _ = filled
    found, _ = await search(registry, order_by="metrics.roc_auc desc")
    arrived = [(each.version.model, each.version.version) for each in found]
    assert arrived == [("fraud", 1), ("churn", 1), ("fraud", 2), ("churn", 2), ("fraud", 3), ("fraud", 4)]
    found, _ = await search(registry, order_by="metrics.roc_auc desc, model desc")
    assert [each.version.model for each in found] == ["fraud", "fraud", "churn", "fraud", "churn", "fraud"]


async def test_what_is_found_says_labels_metrics_and_aliases(filled):
    registry, _ = filled
    (found,), _ = await search(registry, filter_text="aliases:challenger")
    assert found.labels == {"region": "EU", "a.b": "x*y"}
    assert found.metrics == {"roc_auc": 0.95, "loss": -1e-7}
    assert found.aliases == ("challenger", "shadow")
    assert found.version.manifest == b""
    (sliced,), _ = await search(registry, filter_text="aliases:champion")
    assert sliced.metrics == {"roc_auc": 0.98, "roc_auc{age=young,region=eu}": 0.91}


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "W10=",
        "not of this query",
    ],
)
async def test_a_token_that_is_not_the_querys_is_refused(filled, token):
    registry, _ = filled
    if token == "not of this query":
        _, token = await search(registry, order_by="version", page_size=1)
    with pytest.raises(InvalidInputError, match="page_token"):
        await search(registry, order_by="model", page_size=1, page_token=token)


# --- who may read -----------------------------------------------------------------------------------------


async def test_only_what_the_caller_may_read_is_found(filled):
    registry, _ = filled
    found, _ = await search(registry, READER, filter_text="model:*")
    assert {each.version.namespace for each in found} == {"risk"}
    assert (await search(registry, READER, parent=ResourceName("growth")))[0] == []
    assert (await search(registry, "spiffe://carnet.test/nobody"))[0] == []
    everything, _ = await search(registry, OPERATOR)
    assert {each.version.namespace for each in everything} == {"risk", "growth"}


async def test_a_search_may_be_limited_to_a_namespace_or_a_model(filled):
    registry, _ = filled
    found, _ = await search(registry, parent=ResourceName("risk", "fraud"))
    assert {each.version.model for each in found} == {"fraud"}
    assert (await search(registry, parent=ResourceName("risk", "churn")))[0] == []
    assert len((await search(registry, parent=ResourceName("growth")))[0]) == 2


# --- indexes ----------------------------------------------------------------------------------------------

MANY = 5_000


async def fill_many(registry):
    """Thousands of versions of 20 models beside one that was published, with a label and a metric each."""
    manifest = await registry.add_version(1, model="base")

    def change(tx):
        row = dict(
            tx.connection.execute(select(VERSIONS).where(VERSIONS.c.bundle_digest == manifest.digest))
            .mappings()
            .one()
        )
        model = dict(tx.connection.execute(select(MODELS)).mappings().one())
        tx.connection.execute(insert(MODELS), [model | {"model": f"m{number}"} for number in range(20)])
        versions, terms, files = [], [], []
        for number in range(MANY):
            key = {"namespace": "risk", "model": f"m{number % 20}", "version": number // 20 + 1}
            changed = {
                "bundle_digest": f"{number:064x}",
                "log_index": 1000 + number,
                "created_at": row["created_at"] + timedelta(seconds=number),
                "manifest": b"{}",
                "signature": b"",
            }
            versions.append(row | key | changed)
            files.append(
                key | {"path": "model.bin", "digest": f"{number:064x}", "size_bytes": 1, "role": "model"}
            )
            label = Term("labels.run", 0, "run", text=f"run-{number}", head=f"run-{number}")
            score = Term("metrics.roc_auc", 0, "roc_auc", number=number / MANY)
            terms += [key | {name: getattr(each, name) for name in Term.__slots__} for each in (label, score)]
        tx.connection.execute(insert(VERSIONS), versions)
        tx.connection.execute(insert(TERMS), terms)
        tx.connection.execute(insert(FILES), files)
        if tx.connection.dialect.name == "postgresql":
            tx.connection.execute(text("ANALYZE"))

    await registry.writer.commit(change)


def plan_of(registry, asked, order="", position=None):
    def explain(connection):
        dialect = connection.dialect
        statement = search_statement(
            ["risk"],
            read_filter(asked),
            Order.of(read_order(order)),
            model="",
            position=position,
            now=datetime.now(UTC),
            limit=101,
            dialect=dialect.name,
        )
        literal = str(statement.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
        prefix = "EXPLAIN QUERY PLAN " if dialect.name == "sqlite" else "EXPLAIN "
        rows = connection.exec_driver_sql(
            prefix + literal.replace("%", "%%") if "%" in literal else prefix + literal
        )
        return "\n".join(str(row[-1]) for row in rows)

    return registry.database.read_now(explain)


def plans_of_a_page(registry):
    """How SQLite reads the labels, metrics and aliases of what a page lists."""
    plans = []

    def explain(connection, cursor, statement, parameters, _context, _many):
        if statement.startswith("SELECT"):
            plan = connection.connection.cursor().execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans.extend(step[3] for step in plan.fetchall())

    def read(connection):
        order = Order.of(read_order(""))
        found = find_versions(
            connection, ["risk"], None, order, position=None, now=datetime.now(UTC), limit=1000
        )
        event.listen(connection, "before_cursor_execute", explain)
        summaries = read_summaries(connection, [version for version, _ in found])
        event.remove(connection, "before_cursor_execute", explain)
        return summaries

    summaries = registry.database.read_now(read)
    assert len(summaries) == 1000
    assert all(each.labels["run"] and "roc_auc" in each.metrics for each in summaries)
    assert {name for name in ("search_terms", "aliases") if any(name in step for step in plans)} == {
        "search_terms",
        "aliases",
    }
    return plans


async def test_thousands_of_versions_are_searched_by_indexes_and_their_pages_are_whole(registry):
    registry.follows_log = False
    await fill_many(registry)
    for asked, index in (
        ('labels.run = "run-17"', "ix_search_terms_text"),
        ('labels.run = "run-1999*"', "ix_search_terms_text"),
        ("metrics.roc_auc > 0.9995", "ix_search_terms_number"),
        # Both begin with what is asked for, and which one PostgreSQL takes is up to its statistics.
        (f"files.digest = {'ab' * 32}", "ix_version_files_(digest|blob)"),
    ):
        plan = plan_of(registry, asked)
        assert re.search(index, plan), plan
        assert not re.search("(?m)Seq Scan|^SCAN", plan), plan
    position = (datetime.now(UTC) + timedelta(seconds=MANY // 2), MANY // 2)
    for behind in (None, position):
        plan = plan_of(registry, "", position=behind)
        assert "ix_versions_arrival" in plan, plan
        assert not re.search("TEMP B-TREE|Sort|Seq Scan", plan), plan

    if registry.database.reader_engine.dialect.name == "sqlite":
        assert not [step for step in plans_of_a_page(registry) if step.startswith("SCAN")]

    seen, token = [], ""
    while True:
        page, token = await search(
            registry,
            filter_text="metrics.roc_auc >= 0.5",
            order_by="metrics.roc_auc",
            page_size=1000,
            page_token=token,
        )
        seen += [each.metrics["roc_auc"] for each in page]
        if not token:
            break
    assert seen == [number / MANY for number in range(MANY // 2, MANY)]

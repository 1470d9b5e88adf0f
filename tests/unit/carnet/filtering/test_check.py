"""Filters and orders against the fields that there are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from carnet.errors import InvalidInputError
from carnet.filtering.check import read_filter
from carnet.filtering.conditions import Comparator, Mention, Pattern
from carnet.filtering.fields import FIELDS, metric_key
from carnet.filtering.ordering import MAX_KEYS, NEWEST_FIRST, read_order


@pytest.mark.parametrize(
    ("text", "field", "key", "comparator", "value"),
    [
        ('labels.region = "eu"', "labels", "region", "=", Pattern(("eu",))),
        ("labels.region:eu", "labels", "region", ":", Pattern(("eu",))),
        ("labels.a.b = 1", "labels", "a.b", "=", Pattern(("1",))),
        ('labels."a b" != x*', "labels", "a b", "!=", Pattern(("x", ""))),
        ("labels:region", "labels", "region", ":", None),
        ("labels:*", "labels", "", ":", None),
        ("labels.region:*", "labels", "region", ":", None),
        ("metrics.roc_auc > 0.95", "metrics", "roc_auc", ">", 0.95),
        ("metrics.loss<=-1e-3", "metrics", "loss", "<=", -0.001),
        ('metrics."auc{b=2, a=1}" = 1', "metrics", "auc{a=1,b=2}", "=", 1.0),
        ('metrics:"auc{b=2,a=1}"', "metrics", "auc{a=1,b=2}", ":", None),
        ("hyperparameters.trees > 100", "hyperparameters", "trees", ">", 100.0),
        ('hyperparameters.trees = "100"', "hyperparameters", "trees", "=", Pattern(("100",))),
        ("hyperparameters.kind = forest", "hyperparameters", "kind", "=", Pattern(("forest",))),
        ("stage = revoked", "stage", "", "=", Pattern(("revoked",))),
        ("revoked != true", "revoked", "", "!=", True),
        ("aliases:champion", "aliases", "", ":", Pattern(("champion",))),
        ("results.fairness = PASSED", "results", "fairness", "=", Pattern(("PASSED",))),
        ("age < 7d", "age", "", "<", timedelta(days=7)),
        ("age >= 1h30m", "age", "", ">=", timedelta(minutes=90)),
        ("create_time > 2026-03-01", "create_time", "", ">", datetime(2026, 3, 1, tzinfo=UTC)),
        (
            'create_time > "2026-03-01T01:00:00+01:00"',
            "create_time",
            "",
            ">",
            datetime(2026, 3, 1, tzinfo=UTC),
        ),
        ("lineage.code.commit = 4f*", "lineage.code.commit", "", "=", Pattern(("4f", ""))),
        ("owner:*", "owner", "", ":", None),
        (r'owner = "\*"', "owner", "", "=", Pattern(("*",))),
    ],
)
def test_a_comparison_has_its_field_key_and_value(text, field, key, comparator, value):
    found = read_filter(text)
    assert (found.field, found.key, found.comparator, found.value) == (
        FIELDS[field],
        key,
        Comparator(comparator),
        value,
    )


def test_a_text_alone_is_a_mention():
    assert read_filter("fraud") == Mention(Pattern(("fraud",)))
    assert read_filter('"stage"') == Mention(Pattern(("stage",)))
    assert read_filter("v1.2*.3") == Mention(Pattern(("v1.2", ".3")))


BAD = [
    ("mtrics.x = 1", 0, "there is no field 'mtrics.x'"),
    ("stge = registered", 0, "did you mean 'stage'"),
    ("lineage.code = x", 0, "lineage.code.commit, lineage.code.repository"),
    ("lineage", 0, "is compared with nothing"),
    ("stage", 0, "is compared with nothing"),
    ("labels.region", 0, "labels.region:*"),
    ('""', 0, "empty text"),
    ("a and b", 2, "write AND in capital letters"),
    ("labels = x", 0, "name one, as in"),
    ("labels:r*", 7, "a key is wanted"),
    ('labels:""', 7, "a key is wanted"),
    ("labels.r* = x", 7, "a wildcard has no place in a name"),
    ("stage = aproved", 8, "did you mean 'approved'"),
    ("stage < archived", 6, "stage takes =, !=, :, and not <"),
    ("semantic_version > 1.2.0", 17, "semantic_version takes"),
    ("aliases != champion", 8, "NOT aliases:VALUE"),
    ("revoked = yes", 10, "true or false"),
    ('revoked = "true"', 10, "without quotes"),
    ('metrics.x > "3"', 12, "a number, without quotes"),
    ("metrics.x > NaN", 12, "a number"),
    ("metrics.x > inf", 12, "a number"),
    ("metrics.x > 1e999", 12, "a number"),
    ("metrics.x > 1_000", 12, "a number"),
    ("version > ٣", 10, "a number"),
    ("age = 7d", 4, "age takes <, <=, >, >="),
    ("age:*", 3, "age takes"),
    ("age < 7", 6, "a duration"),
    ("age < 101000w", 6, "100 years at most"),
    ("create_time > yesterday", 14, "a date or an RFC 3339 time"),
    ("create_time > 2026-02-30", 14, "a date or an RFC 3339 time"),
    ("create_time > 2026-03-01T12:30:00", 14, "a date or an RFC 3339 time"),
    ("owner > a*", 8, "no wildcard"),
    ('owner = ""', 8, "empty text"),
]


@pytest.mark.parametrize(("text", "offset", "message"), BAD)
def test_a_filter_that_asks_for_what_there_is_not_is_refused_with_its_place(text, offset, message):
    with pytest.raises(InvalidInputError) as caught:
        read_filter(text)
    assert message in caught.value.message
    assert int(caught.value.metadata["offset"]) == offset


def test_an_unknown_field_is_answered_with_all_that_there_are():
    with pytest.raises(InvalidInputError) as caught:
        read_filter("nothing = 1")
    assert all(name in caught.value.message for name in FIELDS)


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("metrics.roc_auc desc, create_time", [("metrics", "roc_auc", True), ("create_time", "", False)]),
        ('metrics."auc{b=2,a=1}"asc', [("metrics", "auc{a=1,b=2}", False)]),
        ("labels.desc desc", [("labels", "desc", True)]),
        (" age ", [("age", "", False)]),
    ],
)
def test_an_order_has_its_fields(text, keys):
    assert [(each.field.name, each.key, each.descending) for each in read_order(text)] == keys


def test_no_order_is_the_newest_first():
    assert read_order(" ") == NEWEST_FIRST


@pytest.mark.parametrize(
    ("text", "offset", "message"),
    [
        ("nothing", 0, "there is no field"),
        ("aliases", 0, "gives no order"),
        ("labels", 0, "gives no order"),
        ("results.fairness", 0, "gives no order"),
        ("revoked", 0, "gives no order"),
        ("semantic_version", 0, "gives no order"),
        ("age DESC", 4, "asc, desc, a comma"),
        ("age desc asc", 9, "asc, desc, a comma"),
        ("age,", 4, "a field such as"),
        (",age", 0, "a field such as"),
        ("age, age desc", 5, "stands twice"),
        ("labels.a*", 7, "a wildcard has no place"),
        (", ".join(f"labels.l{number}" for number in range(MAX_KEYS + 1)), 88, "more than 8 fields"),
    ],
)
def test_an_order_that_is_none_is_refused_with_its_place(text, offset, message):
    with pytest.raises(InvalidInputError) as caught:
        read_order(text)
    assert message in caught.value.message
    assert caught.value.metadata["field"] == "order_by"
    assert int(caught.value.metadata["offset"]) == offset


@pytest.mark.parametrize(
    ("text", "key"),
    [("a", "a"), ("a{c=1,b=2}", "a{b=2,c=1}"), ("a{ b=1 , a=2 }", "a{a=2,b=1}"), ("a{b", "a{b")],
)
def test_the_parts_of_a_slice_come_in_order(text, key):
    assert metric_key(text) == key

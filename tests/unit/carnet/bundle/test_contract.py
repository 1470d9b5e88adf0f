from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.bundle.contract import (
    EarlierVersion,
    base_of,
    contract_changes,
    find_violation,
    newest_of_line,
)
from carnet.bundle.semantic_version import parse_semantic_version
from tests.support.bundles import make_manifest

AMOUNT = {"name": "amount", "type": "float64", "minimum": 0}
COUNTRY = {"name": "country", "type": "categorical", "categories": ["CH", "NO"]}
SCORE = {"name": "score", "type": "float64", "minimum": 0, "maximum": 1}
AUC = {"name": "roc_auc", "value": 0.9, "direction": "higher_is_better"}


def manifest(semantic_version="", *, inputs=(AMOUNT, COUNTRY), outputs=(SCORE,), metrics=(AUC,), **fields):
    return make_manifest(
        semantic_version=semantic_version,
        feature_schema={"inputs": list(inputs), "outputs": list(outputs)},
        metrics=list(metrics),
        **fields,
    )


BEFORE = manifest(labels={"task": "scoring", "claim.explainable": "yes", "team": "risk"})
# What changes: the manifest's fields, what the change asks for, and the field that it is of.
CHANGES = {
    "nothing": ({}, "", ""),
    "a metric's value": ({"metrics": (AUC | {"value": 0.1},)}, "", ""),
    "a label that is no claim": (
        {"labels": {"task": "scoring", "claim.explainable": "yes", "team": "other"}},
        "",
        "",
    ),
    "a slice of a metric": ({"metrics": (AUC, AUC | {"slice": {"region": "eu"}})}, "", ""),
    "the order of the inputs": ({"inputs": (COUNTRY, AMOUNT)}, "", ""),
    "an optional input": (
        {"inputs": (AMOUNT, COUNTRY, {"name": "age", "type": "int32", "nullable": True})},
        "minor",
        "feature_schema.inputs.age",
    ),
    "an input that may be missing": (
        {"inputs": (AMOUNT | {"nullable": True}, COUNTRY)},
        "minor",
        "feature_schema.inputs.amount",
    ),
    "a wider range of an input": (
        {"inputs": ({"name": "amount", "type": "float64", "minimum": -5}, COUNTRY)},
        "minor",
        "feature_schema.inputs.amount",
    ),
    "more categories of an input": (
        {"inputs": (AMOUNT, COUNTRY | {"categories": ["CH", "NO", "SE"]})},
        "minor",
        "feature_schema.inputs.country",
    ),
    "a narrower output": ({"outputs": (SCORE | {"minimum": 0.5},)}, "minor", "feature_schema.outputs.score"),
    "a further output": (
        {"outputs": (SCORE, {"name": "reason", "type": "string"})},
        "minor",
        "feature_schema.outputs.reason",
    ),
    "a further metric": (
        {"metrics": (AUC, {"name": "recall", "value": 0.5, "direction": "higher_is_better"})},
        "minor",
        "metrics.recall",
    ),
    "a further claim": (
        {"labels": {"task": "scoring", "claim.explainable": "yes", "claim.monotone": "amount"}},
        "minor",
        "labels.claim.monotone",
    ),
    "an input less": ({"inputs": (COUNTRY,)}, "major", "feature_schema.inputs.amount"),
    "a required input more": (
        {"inputs": (AMOUNT, COUNTRY, {"name": "age", "type": "int32"})},
        "major",
        "feature_schema.inputs.age",
    ),
    "a narrower input": (
        {"inputs": (AMOUNT | {"minimum": 1}, COUNTRY)},
        "major",
        "feature_schema.inputs.amount",
    ),
    "another type": (
        {"inputs": (AMOUNT | {"type": "float32"}, COUNTRY)},
        "major",
        "feature_schema.inputs.amount",
    ),
    "a wider output": ({"outputs": (SCORE | {"maximum": 2},)}, "major", "feature_schema.outputs.score"),
    "an output less": ({"outputs": ()}, "major", "feature_schema.outputs.score"),
    "a metric less": ({"metrics": ()}, "major", "metrics.roc_auc"),
    "a metric's direction": (
        {"metrics": (AUC | {"direction": "lower_is_better"},)},
        "major",
        "metrics.roc_auc",
    ),
    "a metric's unit": ({"metrics": (AUC | {"unit": "%"},)}, "major", "metrics.roc_auc"),
    "the task": (
        {"labels": {"task": "ranking", "claim.explainable": "yes"}},
        "major",
        "labels.task",
    ),
    "a claim less": ({"labels": {"task": "scoring"}}, "major", "labels.claim.explainable"),
}


def after(fields, semantic_version=""):
    return manifest(semantic_version, **({"labels": BEFORE.labels} | fields))


@pytest.mark.parametrize(("fields", "level", "field"), CHANGES.values(), ids=CHANGES)
def test_each_change_of_a_claim_asks_for_a_number_to_be_raised(fields, level, field):
    found = contract_changes(BEFORE, after(fields))

    assert [(change.field, change.level) for change in found] == ([(field, level)] if level else [])


def earlier_versions(*texts, revoked=()):
    return [
        EarlierVersion(number, parse_semantic_version(text), text in revoked)
        for number, text in enumerate(texts, start=1)
    ]


def check(stated, fields, earlier, held=None):
    return find_violation(after(fields, stated), earlier, lambda number: (held or {}).get(number, BEFORE))


@pytest.mark.parametrize(("fields", "level", "field"), CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize(("stated", "raised"), [("1.2.4", "patch"), ("1.3.0", "minor"), ("2.0.0", "major")])
def test_a_number_allows_its_own_changes_and_names_the_one_that_is_right(
    fields, level, field, stated, raised
):
    found = check(stated, fields, earlier_versions("1.2.3"))

    order = ["", "patch", "minor", "major"]
    if order.index(level) <= order.index(raised):
        assert found is None
    else:
        assert found is not None
        assert (found.field, found.taken) == (field, False)
        assert str(found.suggestion) == {"minor": "1.3.0", "major": "2.0.0"}[level]
        assert stated in found.message
        assert "1.2.3 (version 1)" in found.message


NUMBERS = {
    "the first": ("0.1.0", (), None),
    "a version without one": ("", ("1.0.0",), None),
    "taken": ("1.0.0", ("1.0.0", "1.1.0"), "1.0.1"),
    "taken by another build": ("1.0.0+b", ("1.0.0+a",), "1.0.1"),
    "below its line": ("1.1.0", ("1.2.0",), "1.3.0"),
    "below its line of patches": ("1.2.1", ("1.2.5",), "1.2.6"),
    "a major below": ("1.0.0", ("2.0.0",), "3.0.0"),
    "a patch of an older minor": ("1.1.1", ("1.1.0", "1.2.0"), None),
    "a minor of an older major": ("1.3.0", ("1.2.0", "2.0.0"), None),
    "a pre-release of the next": ("2.0.0-rc.1", ("1.0.0",), None),
    "a release after its pre-release": ("2.0.0", ("1.0.0", "2.0.0-rc.1"), None),
    "a pre-release after its release": ("2.0.0-rc.2", ("2.0.0",), "2.0.1"),
    "a pre-release before another": ("2.0.0-rc.1", ("1.0.0", "2.0.0-rc.2"), "2.0.0"),
}


@pytest.mark.parametrize(("stated", "there", "suggestion"), NUMBERS.values(), ids=NUMBERS)
def test_a_number_is_above_its_line_and_taken_once(stated, there, suggestion):
    found = check(stated, {}, earlier_versions(*there))

    assert (found and str(found.suggestion)) == suggestion
    if found is not None:
        assert found.field == "semantic_version"
        assert found.taken == stated.startswith("1.0.0") * ("1.0.0" in there[0])


def test_the_version_that_is_compared_with_is_the_highest_below_that_is_not_revoked_nor_a_prerelease():
    there = earlier_versions("1.0.0", "1.1.0", "1.2.0-rc.1", "2.0.0", revoked=["1.1.0"])

    def base(text):
        found = base_of(parse_semantic_version(text), there)
        return found and str(found.semantic_version)

    assert base("1.2.0") == "1.0.0"
    assert base("2.0.1") == "2.0.0"
    assert base("0.9.0") is None
    assert str(newest_of_line(parse_semantic_version("1.1.1"), there).semantic_version) == "1.1.0"


def test_what_a_revoked_version_broke_counts_for_nothing_and_its_number_stays_taken():
    broken = {"inputs": (COUNTRY,)}
    there = earlier_versions("1.0.0", "2.0.0", revoked=["2.0.0"])

    assert check("2.0.1", broken, there, {2: after(broken)}) is None
    found = check("2.0.0", {}, there)
    assert found is not None
    assert found.taken
    assert str(found.suggestion) == "2.0.1"


def test_a_suggestion_keeps_the_contract_of_the_version_that_it_would_come_after():
    there = earlier_versions("1.0.0", "2.0.0")
    held = {1: BEFORE, 2: after({"inputs": (COUNTRY,)})}

    found = check("1.0.1", {"inputs": (AMOUNT | {"minimum": 1}, COUNTRY)}, there, held)

    assert found is not None
    assert str(found.suggestion) == "3.0.0"


def test_many_breaks_are_counted():
    inputs = [{"name": f"f{number}", "type": "float64"} for number in range(8)]
    held = manifest(inputs=inputs)

    found = find_violation(manifest("1.0.1", inputs=()), earlier_versions("1.0.0"), lambda _: held)

    assert found is not None
    assert "and 3 more" in found.message


semver = st.builds(
    lambda *parts: ".".join(map(str, parts)), st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)
)


@given(st.lists(semver, unique=True, min_size=1, max_size=8), semver, st.sampled_from(list(CHANGES)))
def test_whatever_is_suggested_is_right(there, stated, change):
    fields = CHANGES[change][0]
    earlier = earlier_versions(*there)

    found = check(stated, fields, earlier)

    if found is not None:
        assert check(str(found.suggestion), fields, earlier) is None

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.bundle.compare import compare_manifests
from carnet.bundle.compare_gate import findings_of, parse_condition
from carnet.errors import InvalidInputError
from tests.support.bundles import make_manifest


def version(*metrics, feature="float64"):
    return make_manifest(
        metrics=[
            {"name": name, "value": value, "direction": f"{direction}_is_better", "slice": slice_}
            for name, value, direction, slice_ in metrics
        ],
        feature_schema={"inputs": [{"name": "amount", "type": feature}]},
    )


BEFORE = version(
    ("auc", 0.97, "higher", {}),
    ("auc", 0.90, "higher", {"region": "eu", "tier": "a"}),
    ("latency", 10.0, "lower", {}),
    ("gone", 1.0, "higher", {}),
)
AFTER = version(
    ("auc", 0.96, "higher", {}),
    ("auc", 0.70, "higher", {"region": "eu", "tier": "a"}),
    ("latency", 12.0, "lower", {}),
    ("new", 1.0, "higher", {}),
    feature="int64",
)
COMPARISON = compare_manifests(BEFORE, AFTER)
SAME = compare_manifests(BEFORE, BEFORE)
SLICE = "auc{region=eu,tier=a}"


@pytest.mark.parametrize(
    ("conditions", "names"),
    [
        ((), []),
        (("regression",), ["auc", SLICE, "gone", "latency"]),
        (("regression:latency=1",), ["latency"]),
        (("regression:latency=2",), []),
        # 0.97 less 0.96 is more than 0.01 in doubles, and not to a person.
        (("regression:auc=0.01",), [SLICE]),
        ((f"regression:auc=0.01,{SLICE}=0.25",), []),
        ((f"regression:{SLICE}=0.1, latency=0.5",), [SLICE, "latency"]),
        (("regression:gone=100",), ["gone"]),
        (("regression:new=0",), []),
        (("schema-breaking",), ["inputs.amount"]),
        (("any",), ["auc", SLICE, "gone", "latency", "inputs.amount"]),
        (("regression:latency=1", "regression", "schema-breaking", "any"), None),
    ],
)
def test_the_conditions_that_hold_are_told_once_with_every_reason(conditions, names) -> None:
    found = findings_of(COMPARISON, map(parse_condition, conditions))
    if names is None:
        assert len(found) == len(set(found)) >= 5
    else:
        assert [each.name for each in found] == names
    assert findings_of(SAME, [parse_condition(each) for each in conditions if ":" not in each]) == ()


def test_a_finding_says_what_was_and_what_is_and_where_it_is_from() -> None:
    (found,) = findings_of(COMPARISON, [parse_condition("regression:latency=1")])
    assert found.message == "latency (manifest) is 12, and was 10: worse by 2, and 1 is allowed"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "regresion",
        "any:auc=1",
        "schema-breaking:",
        "regression:",
        "regression:auc",
        "regression:=1",
        "regression:auc=",
        "regression:auc=x",
        "regression:auc=nan",
        "regression:auc=inf",
        "regression:auc=-1",
        "regression:auc=1,",
        "regression:auc{region=eu}",
    ],
)
def test_a_condition_that_cannot_be_read_is_refused(text) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_condition(text)
    assert caught.value.metadata == {"field": "fail_on"}


def test_a_metric_that_neither_version_has_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(InvalidInputError, match="did you mean 'latency'"):
        findings_of(COMPARISON, [parse_condition("regression:latenzy=1")])


@given(st.text(max_size=60) | st.text(max_size=60).map("regression:".__add__))
def test_no_text_raises_anything_else(text) -> None:
    with contextlib.suppress(InvalidInputError):
        parse_condition(text)

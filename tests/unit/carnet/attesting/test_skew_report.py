"""Skew reports: which figures a policy reads, and when everything counts as compared."""

from __future__ import annotations

import json

import pytest

from carnet.attesting.report import Report
from carnet.attesting.skew_report import MAX_FEATURES, skew_to_test_result
from carnet.errors import DocumentInvalidError

SIDE = {
    "null_share": 0.0,
    "out_of_range_share": 0.0,
    "mean": None,
    "standard_deviation": None,
    "value_count": 100,
}


def feature(name, psi=0.0, **fields):
    return {
        "name": name,
        "comparable": True,
        "reference": SIDE,
        "data": SIDE,
        "mean_shift": None,
        "deviation_ratio": None,
        "psi": psi,
        "verdict": "stable",
    } | fields


def document(*features, **fields):
    return {"reference_rows": 100, "data_rows": 100, "features": list(features)} | fields


def read(value, suite="skew"):
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return skew_to_test_result(Report(data, "s.json"), suite=suite)


def figures(result, name):
    return {
        each.slice.get("feature", ""): (each.value, each.sample_count)
        for each in result.metrics
        if each.name == name
    }


def test_each_feature_is_a_slice_and_the_worst_of_them_stands_for_all():
    found = read(
        document(
            feature("a", 0.1),
            feature("b", 0.4, data=SIDE | {"null_share": 0.7, "out_of_range_share": 0.2, "value_count": 30}),
            feature("c", None, comparable=False, data=SIDE | {"out_of_range_share": None}),
        )
    )
    assert found.result == "PASSED"
    assert figures(found, "psi") == {"": (0.4, 30), "a": (0.1, 100), "b": (0.4, 30)}
    assert figures(found, "null_share") == {"": (0.7, 100), "a": (0, 100), "b": (0.7, 100), "c": (0, 100)}
    assert figures(found, "out_of_range_share") == {"": (0.2, 30), "a": (0, 100), "b": (0.2, 30)}
    assert {each.direction for each in found.metrics} == {"lower_is_better"}
    assert found.passed_tests == ("a", "b", "c")


@pytest.mark.parametrize(
    "fields",
    [
        {"psi": None, "verdict": "unknown"},
        {"psi": None, "data": None},
        {"psi": None, "comparable": False, "data": None},
    ],
)
def test_what_could_not_be_compared_is_a_warning_that_names_it(fields):
    found = read(document(feature("a", 0.1), feature("b", **fields)))
    assert (found.result, found.passed_tests, found.warned_tests) == ("WARNED", ("a",), ("b",))
    missing = 1.0 if fields.get("data", SIDE) is None else 0.0
    assert figures(found, "null_share")["b"][0] == missing


def test_without_any_index_there_is_no_figure_of_it():
    found = read(document(feature("note", None, comparable=False)))
    assert found.result == "PASSED"
    assert figures(found, "psi") == {}


def test_of_very_many_features_the_figures_of_those_that_moved_most_are_kept():
    many = [feature(f"f{number}", number / 10_000) for number in range(MAX_FEATURES + 5)]
    many[3] = feature("lost", None, verdict="unknown")
    found = read(document(*many))
    kept = figures(found, "psi").keys()
    assert len(kept) == MAX_FEATURES
    assert {"", f"f{MAX_FEATURES + 4}", "f6"} <= kept
    assert "f5" not in kept
    assert figures(found, "null_share").keys() >= {"lost"}
    assert len(found.passed_tests) == MAX_FEATURES + 4


BAD = [
    (document(), "features", "features"),
    (
        document(feature("a"), feature("b"), feature("a")),
        r"features\[2\].name 'a' is there twice",
        "features[2].name",
    ),
    (document(feature("a", -0.1)), r"features\[0\].psi", "features[0].psi"),
    (document(feature("a", "0.1")), r"features\[0\].psi", "features[0].psi"),
    (document(feature("a", 0.1, data=None)), r"features\[0\].psi is told", "features[0].psi"),
    (document(feature("a", 0.1, reference=None)), r"features\[0\].psi is told", "features[0].psi"),
    (document(feature("a", 0.1, comparable=False)), r"features\[0\].psi is told", "features[0].psi"),
    (
        document(feature("a", data=SIDE | {"null_share": 1.5})),
        r"features\[0\].data.null_share",
        "features[0].data.null_share",
    ),
    (
        document(feature("a", data=SIDE | {"value_count": -1})),
        r"features\[0\].data.value_count",
        "features[0].data.value_count",
    ),
    (document(feature("a", verdict="fine")), r"features\[0\].verdict", "features[0].verdict"),
    (document(feature("a"), data_rows=0), "data_rows", "data_rows"),
    (document(feature("a"), result="PASSED"), "result is not a known field", "result"),
    (document(feature("a"), finished_at="today"), "finished_at", "finished_at"),
    ({"reference_rows": 1, "features": [feature("a")]}, "data_rows is missing", "data_rows"),
]


@pytest.mark.parametrize(("value", "message", "field"), BAD)
def test_what_breaks_the_form_is_refused_with_the_path(value, message, field):
    with pytest.raises(DocumentInvalidError, match=message) as caught:
        read(value)
    assert caught.value.message.startswith("s.json")
    assert caught.value.metadata["field"] == field


@pytest.mark.parametrize("figure", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize("name", ["psi", "mean_shift"])
def test_a_figure_that_is_no_finite_number_is_refused(figure, name):
    data = json.dumps(document(feature("a", **{name: 0.125}))).replace("0.125", figure).encode()
    assert figure.encode() in data
    with pytest.raises(DocumentInvalidError, match="should be a finite number") as caught:
        read(data)
    assert caught.value.metadata["field"] == f"features[0].{name}"

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.bundle.compare import Change, compare_manifests
from carnet.bundle.manifest import File
from tests.support.bundles import make_manifest

A, B = "a" * 64, "b" * 64


def metric(name="auc", value=0.5, direction="higher_is_better", **fields):
    return {"name": name, "value": value, "direction": direction} | fields


def test_equal_manifests_differ_in_nothing() -> None:
    manifest = make_manifest(metrics=[metric()], hyperparameters={"x": [1, {"y": None}]})

    comparison = compare_manifests(manifest, manifest)

    assert [change.verdict for change in comparison.metrics] == ["unchanged"]
    assert comparison.metrics[0].delta == 0
    assert not any(
        [
            comparison.hyperparameters,
            comparison.feature_schema,
            comparison.environment,
            comparison.lineage,
            comparison.files,
        ]
    )


@pytest.mark.parametrize(
    ("direction", "before", "after", "verdict"),
    [
        ("higher_is_better", 0.5, 0.75, "improved"),
        ("higher_is_better", 0.75, 0.5, "regressed"),
        ("lower_is_better", 0.5, 0.75, "regressed"),
        ("lower_is_better", 0.75, 0.5, "improved"),
        ("lower_is_better", 0.5, 0.5, "unchanged"),
        ("higher_is_better", -2.0, -1.0, "improved"),
    ],
)
def test_the_direction_tells_better_from_worse(direction, before, after, verdict) -> None:
    (change,) = compare_manifests(
        make_manifest(metrics=[metric(value=before, direction=direction)]),
        make_manifest(metrics=[metric(value=after, direction=direction)]),
    ).metrics

    assert (change.verdict, change.before, change.after) == (verdict, before, after)
    assert change.delta == after - before


def test_slices_are_compared_with_the_same_slice_only() -> None:
    before = make_manifest(metrics=[metric(value=0.5), metric(value=0.25, slice={"a": "1", "b": "2"})])
    after = make_manifest(metrics=[metric(value=0.75, slice={"b": "2", "a": "1"}), metric(value=0.125)])

    changes = compare_manifests(before, after).metrics

    assert [(dict(change.slice), change.verdict) for change in changes] == [
        ({}, "regressed"),
        ({"a": "1", "b": "2"}, "improved"),
    ]


@pytest.mark.parametrize("field", [{"direction": "lower_is_better"}, {"unit": "ms"}])
def test_a_metric_that_means_something_else_is_another(field) -> None:
    changes = compare_manifests(
        make_manifest(metrics=[metric()]), make_manifest(metrics=[metric(**field)])
    ).metrics

    assert sorted(change.verdict for change in changes) == ["added", "removed"]
    assert all(change.delta is None for change in changes)


def test_a_difference_that_json_cannot_hold_is_left_out() -> None:
    (change,) = compare_manifests(
        make_manifest(metrics=[metric(value=-1.7e308)]), make_manifest(metrics=[metric(value=1.7e308)])
    ).metrics

    assert (change.delta, change.verdict) == (None, "improved")


def test_settings_are_compared_as_json() -> None:
    before = make_manifest(
        hyperparameters={"gone": 1, "same": 1, "flag": True, "list": [1, False], "map": {"a": 1}}
    )
    after = make_manifest(
        hyperparameters={"same": 1.0, "flag": 1, "list": [1, 0], "map": {"a": 1}, "new": None}
    )

    assert compare_manifests(before, after).hyperparameters == (
        Change("flag", "changed", True, 1),
        Change("gone", "removed", 1, None),
        Change("list", "changed", [1, False], [1, 0]),
        Change("new", "added", None, None),
    )


def test_features_are_compared_by_side_and_name() -> None:
    def with_inputs(*features):
        return make_manifest(
            feature_schema={"inputs": list(features), "outputs": [{"name": "y", "type": "bool"}]}
        )

    changes = compare_manifests(
        with_inputs({"name": "a", "type": "int8"}, {"name": "y", "type": "int8"}),
        with_inputs({"name": "a", "type": "int16"}, {"name": "b", "type": "bool"}),
    ).feature_schema

    assert [(change.name, change.kind) for change in changes] == [
        ("inputs.a", "changed"),
        ("inputs.b", "added"),
        ("inputs.y", "removed"),
    ]
    assert changes[0].before == {"type": "int8"}


def test_environment_and_lineage_are_compared_field_by_field() -> None:
    def made(python, commit):
        return make_manifest(
            environment={"python": python, "framework": {"name": "sklearn", "version": "1"}},
            lineage={"code": {"repository": "r", "commit": commit}},
        )

    comparison = compare_manifests(made("3.11", "a" * 7), made("3.12", "b" * 7))

    assert comparison.environment == (Change("python", "changed", "3.11", "3.12"),)
    assert comparison.lineage == (Change("code.commit", "changed", "a" * 7, "b" * 7),)


def test_files_are_compared_by_path() -> None:
    def with_files(*files):
        return make_manifest(
            files=tuple(File(path=path, role="model", size_bytes=1, digest=digest) for path, digest in files)
        )

    changes = compare_manifests(with_files(("a", A), ("b", A)), with_files(("b", B), ("c", A))).files

    assert [(change.name, change.kind) for change in changes] == [
        ("a", "removed"),
        ("b", "changed"),
        ("c", "added"),
    ]
    assert changes[1].after == {"role": "model", "size_bytes": 1, "digest": B}


def test_the_comparison_names_both_and_is_json() -> None:
    comparison = compare_manifests(
        make_manifest(metrics=[metric()]), make_manifest(version=2, hyperparameters={"x": 1})
    )

    value = json.loads(json.dumps(comparison.to_json(), allow_nan=False))

    assert (value["before"], value["after"]) == ("dev/risk/fraud@1", "dev/risk/fraud@2")
    assert value["metrics"][0]["verdict"] == "removed"
    assert value["hyperparameters"] == [{"name": "x", "kind": "added", "before": None, "after": 1}]


values = st.floats(allow_nan=False, allow_infinity=False)
OPPOSITE = {
    "improved": "regressed",
    "regressed": "improved",
    "added": "removed",
    "removed": "added",
    "unchanged": "unchanged",
}


@given(
    st.lists(values | st.none(), min_size=3, max_size=3), st.lists(values | st.none(), min_size=3, max_size=3)
)
def test_the_other_way_round_is_the_opposite(first, second) -> None:
    def made(figures):
        directions = ("higher_is_better", "lower_is_better", "higher_is_better")
        return make_manifest(
            metrics=[
                metric(name=f"m{number}", value=value, direction=directions[number])
                for number, value in enumerate(figures)
                if value is not None
            ]
        )

    forth = compare_manifests(made(first), made(second)).metrics
    back = compare_manifests(made(second), made(first)).metrics

    assert [OPPOSITE[change.verdict] for change in forth] == [change.verdict for change in back]

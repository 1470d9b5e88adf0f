"""Every change of a feature schema that breaks a caller is named; those that break nobody are not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.bundle.compatibility import breaking_changes
from carnet.bundle.feature_schema import Feature, FeatureSchema

AMOUNT = {"name": "amount", "type": "float64"}
GRADE = {"name": "grade", "type": "categorical", "categories": ["a", "b"]}


def schema(inputs=(), outputs=()):
    return FeatureSchema.model_validate({"inputs": list(inputs), "outputs": list(outputs)})


def changes(before, after):
    return [(each.name, each.kind) for each in breaking_changes(before, after)]


# What changes in a feature, and whether that breaks an input and an output.
FEATURES = [
    (AMOUNT, AMOUNT, None, None),
    (AMOUNT, {"type": "float32"}, "type", "type"),
    (AMOUNT, {"nullable": True}, None, "nullable"),
    (AMOUNT | {"nullable": True}, {"nullable": False}, "required", None),
    (AMOUNT, {"minimum": 0.0}, "range", None),
    (AMOUNT | {"minimum": 0.0}, {"minimum": None}, None, "range"),
    (AMOUNT | {"minimum": 0.0, "maximum": 9.0}, {"minimum": 1.0, "maximum": 9.0}, "range", None),
    (AMOUNT | {"minimum": 0.0, "maximum": 9.0}, {"minimum": 0.0, "maximum": 10.0}, None, "range"),
    (AMOUNT | {"minimum": 0.0, "maximum": 9.0}, {"minimum": -1.0, "maximum": 8.0}, "range", "range"),
    (AMOUNT, {"shape": [3]}, "shape", "shape"),
    (AMOUNT | {"shape": [3]}, {"shape": [-1]}, None, "shape"),
    (AMOUNT | {"shape": [-1]}, {"shape": [3]}, "shape", None),
    (AMOUNT | {"shape": [3]}, {"shape": [4]}, "shape", "shape"),
    (GRADE, {"categories": ["b", "a"]}, None, None),
    (GRADE, {"categories": ["a"]}, "categories", None),
    (GRADE, {"categories": ["a", "b", "c"]}, None, "categories"),
    (GRADE, {"categories": []}, None, "categories"),
    (GRADE | {"categories": []}, {"categories": ["a"]}, "categories", None),
]


@pytest.mark.parametrize(("before", "changed", "as_input", "as_output"), FEATURES)
def test_a_changed_feature(before, changed, as_input, as_output):
    name, after = before["name"], before | changed
    found = changes(schema([before]), schema([after]))
    assert found == ([(f"inputs.{name}", as_input)] if as_input else [])
    found = changes(schema((), [before]), schema((), [after]))
    assert found == ([(f"outputs.{name}", as_output)] if as_output else [])


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (schema([AMOUNT]), schema(), [("inputs.amount", "removed")]),
        (schema((), [AMOUNT]), schema(), [("outputs.amount", "removed")]),
        (schema(), schema([AMOUNT]), [("inputs.amount", "added_required")]),
        (schema(), schema([AMOUNT | {"nullable": True}]), []),
        (schema(), schema((), [AMOUNT]), []),
        (schema([AMOUNT, GRADE]), schema([GRADE, AMOUNT]), []),
        (
            schema([AMOUNT]),
            schema([AMOUNT | {"name": "value"}]),
            [("inputs.amount", "removed"), ("inputs.value", "added_required")],
        ),
        (
            schema([AMOUNT, GRADE], [AMOUNT]),
            schema([AMOUNT | {"type": "int64"}, GRADE | {"categories": ["a"]}]),
            [("inputs.amount", "type"), ("inputs.grade", "categories"), ("outputs.amount", "removed")],
        ),
    ],
)
def test_features_that_come_and_go(before, after, expected):
    assert changes(before, after) == expected


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (schema([AMOUNT]), schema([AMOUNT | {"type": "int8"}]), "the input amount is int8, and was float64"),
        (
            schema([AMOUNT]),
            schema([AMOUNT | {"minimum": 1.5}]),
            "the input amount is narrower: 1.5 to unbounded, and was unbounded to unbounded",
        ),
        (schema([GRADE]), schema([GRADE | {"categories": ["a"]}]), "the input grade takes no longer b"),
        (
            schema((), [GRADE]),
            schema((), [GRADE | {"categories": ["a", "b", "c"]}]),
            "the output grade can be c now",
        ),
        (
            schema((), [AMOUNT]),
            schema((), [AMOUNT | {"shape": [2, -1]}]),
            "the output amount has the shape [2, -1], and had of a scalar",
        ),
    ],
)
def test_a_change_is_told_in_words(before, after, message):
    (change,) = breaking_changes(before, after)
    assert change.message == message


FEATURE = st.builds(
    lambda type_, nullable, bounds, shape, categories: Feature(
        name="x",
        type=type_,
        nullable=nullable,
        minimum=bounds[0] if type_ == "float64" else None,
        maximum=bounds[1] if type_ == "float64" else None,
        categories=tuple(categories) if type_ == "categorical" else (),
        shape=tuple(shape),
    ),
    st.sampled_from(["float64", "categorical", "bool"]),
    st.booleans(),
    st.tuples(st.none() | st.integers(-3, 0).map(float), st.none() | st.integers(0, 3).map(float)),
    st.lists(st.sampled_from([-1, 1, 2]), max_size=2),
    st.lists(st.sampled_from("abc"), unique=True),
)


@given(FEATURE)
def test_nothing_breaks_where_nothing_changes(feature):
    both = FeatureSchema(inputs=(feature,), outputs=(feature,))
    assert breaking_changes(both, both) == ()


@given(FEATURE, FEATURE)
def test_what_breaks_an_input_one_way_breaks_an_output_the_other_way(one, other):
    def kinds(before, after):
        return {
            each.kind if each.kind != "required" else "nullable" for each in breaking_changes(before, after)
        }

    as_input = kinds(FeatureSchema(inputs=(one,)), FeatureSchema(inputs=(other,)))
    as_output = kinds(FeatureSchema(outputs=(other,)), FeatureSchema(outputs=(one,)))
    assert as_input == as_output

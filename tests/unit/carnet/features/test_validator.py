"""Data of every form against a schema."""

from __future__ import annotations

import datetime as dt
import math
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.bundle.feature_schema import Feature, FeatureSchema
from carnet.errors import InvalidInputError
from carnet.features import Validator, require_valid, validate
from carnet.features.arrow_columns import missing_of
from carnet.features.report import MAX_EXAMPLES, MAX_VIOLATIONS

UTC = dt.UTC
NOW = dt.datetime(2026, 3, 1, 12, tzinfo=UTC)

AMOUNT = Feature(name="amount", type="float64", minimum=0, maximum=100)
COUNT = Feature(name="count", type="int8", minimum=-5)
COUNTRY = Feature(name="country", type="categorical", categories=("CH", "NO"), nullable=True)
KNOWN = Feature(name="known", type="bool")
NOTE = Feature(name="note", type="string")
SEEN = Feature(name="seen", type="timestamp")
RAW = Feature(name="raw", type="bytes")
PAIR = Feature(name="pair", type="float32", shape=(2,), maximum=9)

SCHEMA = FeatureSchema(inputs=(AMOUNT, COUNT, COUNTRY, KNOWN, NOTE, SEEN, RAW, PAIR))
ROW = {
    "amount": 12.5,
    "count": 3,
    "country": "CH",
    "known": True,
    "note": "x",
    "seen": NOW,
    "raw": b"1",
    "pair": [1.0, 2.0],
}
# What is wrong with a value of a feature, in the order of the rules.
WRONG = [
    (AMOUNT, "12", "wrong_type"),
    (AMOUNT, True, "wrong_type"),
    (AMOUNT, None, "null"),
    (AMOUNT, math.nan, "null"),
    (AMOUNT, math.inf, "not_finite"),
    (AMOUNT, -0.5, "below_minimum"),
    (AMOUNT, 100.5, "above_maximum"),
    (COUNT, "1", "wrong_type"),
    (COUNT, None, "null"),
    (COUNT, math.nan, "null"),
    (COUNT, -math.inf, "not_finite"),
    (COUNT, 1.5, "not_whole"),
    (COUNT, 128, "does_not_fit"),
    (COUNT, 2**70, "does_not_fit"),
    (COUNT, 128.0, "does_not_fit"),
    (COUNT, -6, "below_minimum"),
    (COUNTRY, "DE", "unknown_category"),
    (COUNTRY, 1, "wrong_type"),
    (KNOWN, 1, "wrong_type"),
    (KNOWN, None, "null"),
    (NOTE, 1, "wrong_type"),
    (NOTE, None, "null"),
    (SEEN, dt.datetime(2026, 3, 1), "without_zone"),
    (SEEN, "2026-03-01T12:00:00", "without_zone"),
    (SEEN, "yesterday", "wrong_type"),
    (SEEN, 1.0, "wrong_type"),
    (RAW, "1", "wrong_type"),
    (PAIR, [1.0], "wrong_shape"),
    (PAIR, 1.0, "wrong_shape"),
    (PAIR, [[1.0], [2.0]], "wrong_shape"),
    (PAIR, "ab", "wrong_type"),
    (PAIR, [1.0, None], "null"),
    (PAIR, [1.0, 10.0], "above_maximum"),
    (PAIR, None, "null"),
]
FORMS = {
    "row": lambda feature, value: {feature.name: value},
    "rows": lambda feature, value: [{feature.name: ROW[feature.name]}, {feature.name: value}],
    "objects": lambda feature, value: pd.DataFrame(
        {feature.name: pd.Series([ROW[feature.name], value], dtype=object)}
    ),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("feature", "value", "kind"), WRONG)
def test_each_rule_is_found_in_each_form(form, feature, value, kind):
    report = validate(FORMS[form](feature, value), FeatureSchema(inputs=(feature,)))
    assert [(each.feature, each.kind, each.count) for each in report.violations] == [(feature.name, kind, 1)]
    assert report.violations[0].rows == ((0,) if form == "row" else (1,))
    assert not report.valid
    assert report.violations[0].message


@pytest.mark.parametrize(
    ("feature", "values", "kinds"),
    [
        (AMOUNT, pa.array([1.0, None, math.nan, 101.0]), {"null": (1, 2), "above_maximum": (3,)}),
        (AMOUNT, pa.array(["1", "2"]), {"wrong_type": (0, 1)}),
        (AMOUNT, pa.array([True, False]), {"wrong_type": (0, 1)}),
        (AMOUNT, pa.array([1, 2], pa.decimal128(5, 2)), {"wrong_type": (0, 1)}),
        (AMOUNT, pa.array([None, None]), {"null": (0, 1)}),
        (COUNT, pa.array([1, None, 300], pa.int64()), {"null": (1,), "does_not_fit": (2,)}),
        (COUNT, pa.array([1, 2**63], pa.uint64()), {"does_not_fit": (1,)}),
        (COUNTRY, pa.array(["CH", None, "DE"]), {"unknown_category": (2,)}),
        (COUNTRY, pa.array(["CH", None, "DE"], pa.string_view()), {"unknown_category": (2,)}),
        (COUNTRY, pa.array(["CH", "DE"]).dictionary_encode(), {"unknown_category": (1,)}),
        (COUNTRY, pa.array([1, 2]), {"wrong_type": (0, 1)}),
        (KNOWN, pa.array([True, None]), {"null": (1,)}),
        (NOTE, pa.array(["a", None]), {"null": (1,)}),
        (NOTE, pa.array([b"a"]), {"wrong_type": (0,)}),
        (SEEN, pa.array([NOW, None]), {"null": (1,)}),
        (SEEN, pa.array([NOW.replace(tzinfo=None)]), {"without_zone": (0,)}),
        (SEEN, pa.array(["2026-03-01T00:00:00Z", "2026-03-01"]), {"without_zone": (1,)}),
        (RAW, pa.array([b"a", None]), {"null": (1,)}),
        (PAIR, pa.array([[1.0, 2.0], [1.0], None, [3.0, 4.0]]), {"null": (2,), "wrong_shape": (1,)}),
        (PAIR, pa.array([[1.0, 2.0], [1.0, 11.0]]), {"above_maximum": (1,)}),
        (PAIR, pa.array([[1.0, 2.0], [1.0, None]]), {"null": (1,)}),
        (PAIR, pa.array([[1.0, 2.0], [11.0, 12.0]], pa.list_(pa.float64(), 2)), {"above_maximum": (1,)}),
        (PAIR, pa.array([[[1.0], [2.0]]]), {"wrong_shape": (0,)}),
        (PAIR, pa.array([1.0]), {"wrong_shape": (0,)}),
        (AMOUNT, pa.array([[1.0]]), {"wrong_shape": (0,)}),
    ],
)
@pytest.mark.parametrize("chunks", [1, 2])
def test_arrow_columns(feature, values, kinds, chunks):
    parts = [values] if chunks == 1 else [values.slice(0, 1), values.slice(1)]
    table = pa.table({feature.name: pa.chunked_array(parts)})
    report = validate(table, FeatureSchema(inputs=(feature,)))
    assert {each.kind: each.rows for each in report.violations} == kinds
    assert report.total_rows == len(values)


@pytest.mark.parametrize(
    ("feature", "values", "kinds"),
    [
        (AMOUNT, pd.Series([1.0, math.nan, -1.0]), {"null": (1,), "below_minimum": (2,)}),
        (AMOUNT, pd.Series([1, 200], dtype="int64"), {"above_maximum": (1,)}),
        (AMOUNT, pd.Series([1.5, None], dtype="Float64"), {"null": (1,)}),
        (AMOUNT, pd.Series([1.5, 200.0], dtype="float16"), {"above_maximum": (1,)}),
        (
            COUNT,
            pd.Series([1.0, math.nan, 1.5, math.inf]),
            {"null": (1,), "not_whole": (2,), "not_finite": (3,)},
        ),
        (COUNT, pd.Series([1, None, 500], dtype="Int64"), {"null": (1,), "does_not_fit": (2,)}),
        (COUNT, pd.Series([1, 200], dtype="uint8"), {"does_not_fit": (1,)}),
        (COUNTRY, pd.Series(["CH", None, "DE"]), {"unknown_category": (2,)}),
        (COUNTRY, pd.Series(["CH", None, "DE"], dtype=object), {"unknown_category": (2,)}),
        (COUNTRY, pd.Series(["CH", None, "DE"], dtype="category"), {"unknown_category": (2,)}),
        (NOTE, pd.Series(["a", None]), {"null": (1,)}),
        (NOTE, pd.Series(["a", 1], dtype=object), {"wrong_type": (1,)}),
        (NOTE, pd.Series(["a", "b"], dtype="category"), {}),
        (KNOWN, pd.Series([True, None], dtype="boolean"), {"null": (1,)}),
        (KNOWN, pd.Series([True, False]), {}),
        (SEEN, pd.Series(pd.to_datetime(["2026-03-01", None], utc=True)), {"null": (1,)}),
        (SEEN, pd.Series(pd.to_datetime(["2026-03-01"])), {"without_zone": (0,)}),
        (AMOUNT, pd.Series(pd.to_timedelta([1], unit="s")), {"wrong_type": (0,)}),
        (AMOUNT, pd.Series([1 + 2j]), {"wrong_type": (0,)}),
        (AMOUNT, pd.Series([1, "2", None, 3.0, [4]], dtype=object), {"wrong_type": (1, 4), "null": (2,)}),
        (PAIR, pd.Series([np.array([1.0, 2.0]), np.array([1.0]), [3, 4]]), {"wrong_shape": (1,)}),
        (PAIR, pd.Series([np.array([1.0, 2.0]), np.array([1.0, 10.0])]), {"above_maximum": (1,)}),
    ],
)
def test_pandas_columns(feature, values, kinds):
    report = validate(values.to_frame(feature.name), FeatureSchema(inputs=(feature,)))
    assert {each.kind: each.rows for each in report.violations} == kinds


@pytest.mark.parametrize("begin", [0, 1, 7, 8, 9, 16])
def test_what_is_missing_in_a_part_of_an_arrow_column(begin):
    values = [None if place % 3 == 0 else True for place in range(40)]
    for kind in (pa.bool_(), pa.int8(), pa.float64(), pa.string(), pa.timestamp("s", "UTC")):
        given = [None if each is None else "x" if kind == pa.string() else 1 for each in values]
        part = (
            pa.array(given).cast(kind).slice(begin, 20)
            if kind != pa.bool_()
            else pa.array(values)[begin:][:20]
        )
        wanted = [place % 3 == 0 for place in range(begin, begin + 20)]
        assert missing_of(part).tolist() == wanted
    assert missing_of(pa.nulls(2)).tolist() == [True, True]


def test_labels_of_a_frame_that_are_no_names():
    odd = pd.DataFrame({0: [1.0], None: [2.0], "amount": [101.0]})
    report = validate(odd, FeatureSchema(inputs=(AMOUNT,)))
    assert [(each.feature, each.kind) for each in report.violations] == [
        ("amount", "above_maximum"),
        ("0", "extra_column"),
        ("None", "extra_column"),
    ]
    levels = pd.DataFrame([[1.0, 200.0]], columns=pd.MultiIndex.from_tuples([("a", "b"), ("a", "c")]))
    report = validate(
        levels, FeatureSchema(inputs=(Feature(name="('a', 'c')", type="int8"),)), allow_extra=True
    )
    assert [each.kind for each in report.violations] == ["does_not_fit"]


def test_a_right_row_of_every_type_is_valid_in_every_form():
    validator = Validator(SCHEMA)
    for data in (ROW, [ROW, ROW], pd.DataFrame([ROW, ROW]), pa.Table.from_pylist([ROW, ROW])):
        assert validator.validate(data).violations == ()
    assert validator.validate(pa.RecordBatch.from_pylist([ROW])).valid
    validator.require_valid(ROW)


def test_numpy_arrays_structured_and_with_two_dimensions():
    structured = np.array(
        [(1.0, [1.0, 2.0]), (-1.0, [1.0, 10.0])], dtype=[("amount", "f8"), ("pair", "f4", (2,))]
    )
    report = validate(structured, FeatureSchema(inputs=(AMOUNT, PAIR)))
    assert [(each.feature, each.kind, each.rows) for each in report.violations] == [
        ("amount", "below_minimum", (1,)),
        ("pair", "above_maximum", (1,)),
    ]
    three = np.zeros(1, dtype=[("amount", "f8"), ("pair", "f4", (3,))])
    assert validate(three, FeatureSchema(inputs=(AMOUNT, PAIR))).violations[0].kind == "wrong_shape"
    schema = FeatureSchema(inputs=(AMOUNT, COUNT))
    plain = np.array([[1.0, 2.0], [101.0, 2.5]])
    assert [each.kind for each in validate(plain, schema).violations] == ["above_maximum", "not_whole"]
    assert validate(plain[:, ::-1], schema, names=["count", "amount"]).violation_count == 2
    assert validate(plain[:1, ::-1], schema, names=["count", "amount"]).valid


def test_another_librarys_table_comes_by_the_arrow_stream():
    class Foreign:
        def __arrow_c_stream__(self, requested_schema=None):
            return pa.table({"amount": [1.0, 200.0]}).__arrow_c_stream__(requested_schema)

    assert validate(Foreign(), FeatureSchema(inputs=(AMOUNT,))).violations[0].rows == (1,)


def test_columns_that_are_missing_extra_and_there_twice():
    schema = FeatureSchema(inputs=(AMOUNT, COUNTRY))
    frame = pd.DataFrame([[1.0, 2.0, 3.0]], columns=["x", "y", "y"])
    found = [(each.feature, each.kind) for each in validate(frame, schema).violations]
    assert found == [("amount", "missing_column"), ("x", "extra_column"), ("y", "extra_column")]
    twice = pd.DataFrame([[1.0, 2.0]], columns=["amount", "amount"])
    assert [(each.feature, each.kind) for each in validate(twice, schema).violations] == [
        ("amount", "duplicate_column")
    ]
    rows = [{"amount": 1.0}, {"amount": 1.0, "x": 1}, {"country": "CH"}]
    report = validate(rows, schema)
    assert [(each.feature, each.kind, each.rows) for each in report.violations] == [
        ("amount", "missing_column", (2,)),
        ("x", "extra_column", ()),
    ]
    assert [each.kind for each in validate({"x": 1}, schema).violations] == ["missing_column", "extra_column"]
    assert validate({"amount": 1.0, "x": 1}, schema, allow_extra=True).valid
    assert validate({"amount": 1.0}, schema).valid, "what is nullable may be missing"


def test_an_infinity_passes_no_range_and_a_float_is_as_its_type_has_it():
    tenth = Feature(name="x", type="float32", minimum=0.1, maximum=0.1)
    schema = FeatureSchema(inputs=(tenth,))
    for value in (0.1, np.float32(0.1)):
        assert validate({"x": value}, schema).valid
        assert validate(pd.DataFrame({"x": [value]}), schema).valid
    free = FeatureSchema(inputs=(Feature(name="x", type="float32"),))
    assert validate({"x": 1e39}, free).violations[0].kind == "does_not_fit"
    assert validate(np.array([[1e39], [np.inf]]), free).violation_count == 2


def test_limits_beyond_what_a_float_holds_exactly():
    schema = FeatureSchema(inputs=(Feature(name="x", type="int64"),))
    for data in ({"x": 2.0**63}, [{"x": 2.0**63}], pd.DataFrame({"x": [2.0**63]})):
        assert validate(data, schema).violations[0].kind == "does_not_fit"
    assert validate({"x": 2**63 - 1}, schema).valid
    assert validate(pd.DataFrame({"x": [2**63 - 1]}), schema).valid


def test_outputs_are_a_side_of_their_own():
    schema = FeatureSchema(inputs=(AMOUNT,), outputs=(COUNT,))
    assert validate({"count": 1}, schema, side="outputs").valid
    assert not validate({"count": 1}, schema).valid


def test_what_is_required_raises_with_the_field_named():
    with pytest.raises(InvalidInputError, match="amount is below the minimum.*-1.0.*at least 0") as caught:
        require_valid({"amount": -1.0}, FeatureSchema(inputs=(AMOUNT,)))
    assert caught.value.metadata == {"field": "amount", "kind": "below_minimum", "violations": "1"}


@pytest.mark.parametrize(
    "data",
    [
        None,
        7,
        "text",
        {1, 2},
        [1, 2],
        [{"amount": 1.0}, None],
        np.zeros(3),
        np.zeros((2, 2, 2)),
        np.zeros((2, 5)),
    ],
)
def test_what_is_no_data_is_a_typed_error(data):
    with pytest.raises(InvalidInputError) as caught:
        validate(data, FeatureSchema(inputs=(AMOUNT,)))
    assert caught.value.metadata["field"]


def test_no_rows_break_nothing():
    schema = FeatureSchema(inputs=(AMOUNT,))
    assert validate([], schema).valid
    assert validate(pd.DataFrame({"amount": pd.Series([], dtype="float64")}), schema).valid
    assert validate(pd.DataFrame({"amount": pd.Series([], dtype=object)}), schema).valid


def test_a_million_violations_make_a_small_report():
    frame = pd.DataFrame({"amount": np.full(1_000_000, -1.0), "note": ["y" * 1000] * 1_000_000})
    report = validate(frame, FeatureSchema(inputs=(AMOUNT,)))
    assert report.violations[0].count == 1_000_000
    assert len(report.violations[0].rows) == MAX_EXAMPLES
    assert len(str(report.to_json())) < 1000
    long = validate({"amount": "y" * 10_000_000}, FeatureSchema(inputs=(AMOUNT,)))
    assert len(long.to_json()["violations"][0]["values"][0]) < 100


@pytest.mark.parametrize("cores", [1, 2, 8])
def test_several_threads_tell_what_one_does(cores, monkeypatch):
    features = [
        Feature(name=f"c{number}", type="categorical", categories=("CH", "NO"))
        if number % 3
        else Feature(name=f"c{number}", type="int8", maximum=number)
        for number in range(40)
    ]
    columns = {each.name: ["CH", "DE"] if each.categories else [0, 7] for each in features[:-1]}
    schema, frame = FeatureSchema(inputs=tuple(features)), pd.DataFrame(columns)
    alone = validate(frame, schema)
    assert alone.violation_count == 30
    monkeypatch.setattr("carnet.features.validator._MANY_ROWS", 0)
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    assert validate(frame, schema) == alone


def test_ten_thousand_columns():
    names = [f"c{number}" for number in range(10_000)]
    frame = pd.DataFrame(np.zeros((3, 10_000)), columns=names)
    schema = FeatureSchema(inputs=tuple(Feature(name=name, type="float64") for name in names))
    assert validate(frame, schema).valid
    report = validate(frame, FeatureSchema(inputs=(AMOUNT,)))
    assert report.violation_count == 10_001
    assert len(report.violations) == MAX_VIOLATIONS
    with pytest.raises(InvalidInputError, match="and 9991 more"):
        report.require()


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**65), 2**65),
    st.integers(-130, 130),
    st.floats(),
    st.sampled_from(["CH", "DE", "", "2026-03-01T00:00:00Z"]),
    st.sampled_from([NOW, NOW.replace(tzinfo=None), b"x", [1.0, 2.0], [1.0], [math.nan, 1.0]]),
)


@given(st.sampled_from(SCHEMA.inputs), st.lists(VALUES, min_size=1, max_size=6))
def test_one_row_and_many_are_judged_alike(feature, values):
    validator = Validator(FeatureSchema(inputs=(feature,)))
    single = [validator.validate({feature.name: value}).violations for value in values]
    expected = sorted((found[0].kind, row) for row, found in enumerate(single) if found)
    for data in (
        [{feature.name: value} for value in values],
        pd.DataFrame({feature.name: pd.Series(values, dtype=object)}),
    ):
        report = validator.validate(data)
        assert sum(each.count for each in report.violations) == len(expected)
        assert sorted((each.kind, row) for each in report.violations for row in each.rows) == [
            each for each in expected if each[1] in {row for found in report.violations for row in found.rows}
        ]


@given(
    st.sampled_from(["int8", "uint16", "int64", "uint64", "float16", "float32", "float64"]),
    st.lists(st.floats(), min_size=1, max_size=5),
    st.sampled_from([np.float16, np.float32, np.float64]),
)
def test_columns_of_numbers_are_judged_as_single_values(kind, values, dtype):
    validator = Validator(FeatureSchema(inputs=(Feature(name="x", type=kind, minimum=-0.1, maximum=1000.1),)))
    with np.errstate(over="ignore"):
        column = np.array(values).astype(dtype)
    report = validator.validate(column[:, None])
    many = sorted((each.kind, row) for each in report.violations for row in each.rows)
    singles = [validator.validate({"x": value}).violations for value in column.tolist()]
    assert many == sorted((found[0].kind, row) for row, found in enumerate(singles) if found)


def test_one_row_needs_no_further_package():
    code = (
        "import sys; sys.modules.update(numpy=None, pandas=None, pyarrow=None)\n"
        "from carnet.bundle.feature_schema import Feature, FeatureSchema\n"
        "from carnet.features import Validator\n"
        "from carnet.errors import PreconditionFailedError\n"
        "v = Validator(FeatureSchema(inputs=(Feature(name='x', type='int8'),)))\n"
        "assert v.validate({'x': 1}).valid and not v.validate({'x': 300}).valid\n"
        "try: v.validate([{'x': 1}])\n"
        "except PreconditionFailedError as error: assert 'carnet[features]' in error.message\n"
        "else: raise SystemExit('no error')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

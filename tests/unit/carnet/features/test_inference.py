"""Schemas from samples, estimators, signatures and graphs."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import math

import numpy as np
import onnx
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from carnet.bundle.feature_schema import Feature, FeatureSchema, Preprocessing
from carnet.documents import YamlSource
from carnet.errors import CarnetError, DocumentInvalidError, FileUnreadableError, InvalidInputError
from carnet.features import validate
from carnet.features.building import build_schema, read_schema
from carnet.features.estimators import infer_from_estimator
from carnet.features.inference import infer_schema
from carnet.features.mlflow_signature import infer_from_mlflow, infer_from_signature
from carnet.features.onnx_graph import infer_from_onnx
from carnet.features.protobuf_wire import integer
from carnet.features.yaml_form import to_yaml

NOW = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)


def fields(schema, side="inputs"):
    return [each.model_dump(exclude_defaults=True) for each in getattr(schema, side)]


# --- samples ----------------------------------------------------------------------------------------------

FRAME = pd.DataFrame(
    {
        "amount": [1.5, 2.5, math.nan, -3.0],
        "count": np.array([1, 2, 3, 250], dtype="uint8"),
        "country": ["CH", "NO", "CH", "NO"],
        "id": ["a", "b", "c", "d"],
        "tier": pd.Categorical(["low", None, "low", "low"], categories=["high", "low"]),
        "known": [True, False, True, True],
        "seen": pd.to_datetime(["2026-03-01"] * 4, utc=True),
        "whole": pd.Series([1, None, 3, 4], dtype="Int32"),
        "embedding": [[1.0, 2.0]] * 3 + [[3.0, 4.0]],
        "words": [["a"], ["b", "c"], ["a"], ["a"]],
    }
)
EXPECTED = [
    {"name": "amount", "type": "float64", "nullable": True, "minimum": -3.0, "maximum": 2.5},
    {"name": "count", "type": "uint8", "minimum": 1.0, "maximum": 250.0},
    {"name": "country", "type": "categorical", "categories": ("CH", "NO")},
    {"name": "id", "type": "string"},
    {"name": "tier", "type": "categorical", "nullable": True, "categories": ("high", "low")},
    {"name": "known", "type": "bool"},
    {"name": "seen", "type": "timestamp"},
    {"name": "whole", "type": "int32", "nullable": True, "minimum": 1.0, "maximum": 4.0},
    {"name": "embedding", "type": "float64", "shape": (2,), "minimum": 1.0, "maximum": 4.0},
    {"name": "words", "type": "categorical", "shape": (-1,), "categories": ("a", "b", "c")},
]


@pytest.mark.parametrize("form", [lambda frame: frame, pa.Table.from_pandas], ids=["pandas", "arrow"])
def test_a_sample_says_types_ranges_categories_and_nullability(form):
    wanted = [
        each if each["name"] != "words" else {"name": "words", "type": "string", "shape": (-1,)}
        for each in EXPECTED
    ]
    schema = infer_schema(form(FRAME))
    assert fields(schema) == wanted
    assert validate(form(FRAME), schema).violations == ()


def test_rows_say_the_same():
    rows = [
        {"amount": 1, "count": 2, "note": "a", "seen": NOW, "raw": b"x", "flag": True},
        {"amount": 2.5, "count": 2**40, "note": None, "seen": NOW, "raw": b"y", "flag": False, "more": 1},
    ]
    schema = infer_schema(rows, outputs=["flag"], ranges=False)
    assert fields(schema) == [
        {"name": "amount", "type": "float64"},
        {"name": "count", "type": "int64"},
        {"name": "note", "type": "string", "nullable": True},
        {"name": "seen", "type": "timestamp"},
        {"name": "raw", "type": "bytes"},
        {"name": "more", "type": "int64", "nullable": True},
    ]
    assert fields(schema, "outputs") == [{"name": "flag", "type": "bool"}]


def test_options_of_a_sample():
    frame = FRAME[["country", "amount"]]
    assert fields(infer_schema(frame, ranges=False, max_categories=0)) == [
        {"name": "country", "type": "string"},
        {"name": "amount", "type": "float64", "nullable": True},
    ]
    assert fields(infer_schema(np.array([[1.0, 2.0]]), names=["a", "b"], ranges=False)) == [
        {"name": "a", "type": "float64"},
        {"name": "b", "type": "float64"},
    ]


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ([1, "a"], "int, str"),
        ([None, None], "no values"),
        ([1.0, math.inf], "infinite"),
        ([dt.datetime(2026, 3, 1)], "datetime"),
        ([2**70], "64 bits"),
        ([[1.0], [[1.0]]], "dimensions"),
        ([[]], "empty"),
        ([[None]], "missing elements"),
        ([object()], "object"),
    ],
)
def test_a_column_that_is_unclear_is_named(column, said):
    with pytest.raises(InvalidInputError, match=said) as caught:
        infer_schema([{"x": value} for value in column])
    assert caught.value.metadata["field"] == "x"


@pytest.mark.parametrize(
    "frame", [pd.DataFrame({"x": pd.to_datetime(["2026-01-01"])}), pa.table({"x": [None]})]
)
def test_a_type_that_no_feature_has_is_named(frame):
    with pytest.raises(InvalidInputError, match="'x'"):
        infer_schema(frame)


def test_names_that_no_schema_takes_are_typed_errors():
    with pytest.raises(InvalidInputError, match="given twice"):
        infer_schema(pd.DataFrame([[1.0, 2.0]], columns=["x", "x"]))
    with pytest.raises(InvalidInputError):
        infer_schema(pd.DataFrame({"": [1.0]}))
    with pytest.raises(InvalidInputError, match="no column 'y'"):
        infer_schema(pd.DataFrame({"x": [1.0]}), outputs=["y"])


BAD_FEATURES = [
    ([{"name": "x", "type": "complex"}], "int8", "inputs[0].type"),
    ([{"name": "x", "type": "float64", "minimum": math.nan}], "finite", "inputs[0].minimum"),
    ([{"name": "x", "type": "float64", "maximum": math.inf}], "finite", "inputs[0].maximum"),
    ([{"name": "x", "type": "float64", "minimum": 2, "maximum": 1}], "greater", "inputs[0]"),
    ([{"name": "x", "type": "string", "categories": ["a"]}], "categories", "inputs[0]"),
    ([{"name": each, "type": "bool"} for each in "xyx"], "given twice.*'x'", "inputs[2].name"),
]


@pytest.mark.parametrize(("features", "said", "field"), BAD_FEATURES)
def test_a_feature_that_breaks_a_rule_is_a_typed_error_that_names_the_field(tmp_path, features, said, field):
    with pytest.raises(InvalidInputError, match=said) as caught:
        build_schema(features)
    assert caught.value.metadata["field"] == field
    path = tmp_path / "schema.yaml"
    path.write_text(f"inputs: {features}".replace("nan", ".nan").replace("inf}", ".inf}"))
    with pytest.raises(DocumentInvalidError, match=f"schema.yaml:1:.*{said}") as caught:
        read_schema(path)
    assert caught.value.metadata["field"] == field


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "a": st.one_of(st.none(), st.floats(allow_infinity=False)),
                "b": st.integers(-(2**63), 2**63 - 1),
                "c": st.text(max_size=3),
                "d": st.booleans(),
            }
        ),
        min_size=1,
        max_size=8,
    )
)
def test_a_sample_satisfies_what_is_inferred_from_it(rows):
    rows.append({**rows[0], "a": 1.0})
    assert validate(rows, infer_schema(rows)).violations == ()


# --- the form for carnet.yaml -----------------------------------------------------------------------------

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=8).filter(
    str.strip
)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


@given(
    st.dictionaries(NAMES, st.tuples(NUMBERS, NUMBERS), max_size=4), st.lists(NAMES, unique=True, max_size=4)
)
def test_what_is_written_reads_back(numbers, categories):
    schema = FeatureSchema(
        inputs=tuple(
            Feature(
                name=name, type="float64", minimum=min(bounds), maximum=max(bounds), nullable=bounds[0] > 0
            )
            for name, bounds in numbers.items()
        ),
        outputs=(Feature(name="no", type="categorical", categories=tuple(categories), shape=(3, -1)),),
        preprocessing=Preprocessing(name="scaler: v1", version="1e3"),
    )
    value = YamlSource(to_yaml(schema).encode(), name="carnet.yaml").value
    assert FeatureSchema.model_validate(value["feature_schema"]) == schema


def test_the_form_is_as_people_write_it():
    assert to_yaml(infer_schema(FRAME[["count", "tier"]])) == (
        "feature_schema:\n"
        "  inputs:\n"
        "    - {name: count, type: uint8, minimum: 1, maximum: 250}\n"
        "    - {name: tier, type: categorical, nullable: true, categories: [high, low]}\n"
    )
    assert to_yaml(FeatureSchema()) == "feature_schema: {}\n"


def test_a_schema_is_read_from_every_file_that_has_one(tmp_path):
    schema = infer_schema(FRAME)
    (tmp_path / "carnet.yaml").write_text("owner: a\n" + to_yaml(schema))
    bare = tmp_path / "bare.yaml"
    bare.write_text(json.dumps(schema.model_dump(mode="json")))
    assert read_schema(tmp_path) == read_schema(tmp_path / "carnet.yaml") == read_schema(bare) == schema
    (tmp_path / "manifest.json").write_text('{"feature_schema":{"inputs":[]}}')
    assert read_schema(tmp_path) == FeatureSchema(), "a pulled folder's manifest counts"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "a: 1",
        "feature_schema: 3",
        "inputs: [{name: x, type: nonsense}]",
        "inputs: [",
        "\x00",
        "inputs: [{name: x, type: bool}, {name: x, type: bool}]",
        "inputs: [{name: x, type: float64, minimum: .nan}]",
    ],
)
def test_a_file_without_a_right_schema_is_a_typed_error(tmp_path, text):
    path = tmp_path / "schema.yaml"
    path.write_text(text)
    with pytest.raises(DocumentInvalidError, match="schema.yaml"):
        read_schema(path)
    with pytest.raises(FileUnreadableError):
        read_schema(tmp_path / "nothing.yaml")


# --- estimators -------------------------------------------------------------------------------------------

# scikit-learn is imported by these tests alone: with it comes a second's worth of SciPy.


def test_a_fitted_pipeline_says_its_inputs_categories_and_outputs():
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    frame = pd.DataFrame({"amount": [1.0, 2.0, 3.0, 4.0], "country": ["CH", "NO", "CH", "NO"]})
    encoder = ColumnTransformer(
        [("one_hot", OneHotEncoder(), ["country"]), ("scale", StandardScaler(), ["amount"])]
    )
    pipeline = make_pipeline(encoder, RandomForestClassifier(n_estimators=2, random_state=0))
    schema = infer_from_estimator(pipeline.fit(frame, ["fraud", "fine", "fraud", "fine"]))
    assert fields(schema) == [
        {"name": "amount", "type": "float64"},
        {"name": "country", "type": "categorical", "categories": ("CH", "NO")},
    ]
    assert fields(schema, "outputs") == [
        {"name": "label", "type": "categorical", "categories": ("fine", "fraud")},
        {"name": "probability", "type": "float64", "minimum": 0.0, "maximum": 1.0, "shape": (2,)},
    ]
    assert validate(frame, schema).valid
    outputs = [
        {"label": label, "probability": probability}
        for label, probability in zip(pipeline.predict(frame), pipeline.predict_proba(frame), strict=True)
    ]
    assert validate(outputs, schema, side="outputs").violations == ()


def test_regressors_scalers_and_numbered_inputs():
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    data, target = np.array([[1.0, 2.0], [2.0, 1.0]]), np.array([1.0, 2.0])
    assert fields(infer_from_estimator(LinearRegression().fit(data, target)), "outputs") == [
        {"name": "prediction", "type": "float64"}
    ]
    scaler = infer_from_estimator(StandardScaler().fit(data))
    assert [each["name"] for each in fields(scaler)] == ["x0", "x1"]
    assert scaler.outputs == ()
    labels = infer_from_estimator(
        make_pipeline(StandardScaler(), RandomForestClassifier(2)).fit(data, [0, 1])
    )
    assert fields(labels, "outputs")[0] == {"name": "label", "type": "int64", "minimum": 0.0, "maximum": 1.0}


def test_what_is_not_fitted_is_a_typed_error():
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    for estimator in (LinearRegression(), make_pipeline(StandardScaler(), LinearRegression()), object()):
        with pytest.raises(InvalidInputError, match="fit it first"):
            infer_from_estimator(estimator)


# --- MLflow -----------------------------------------------------------------------------------------------

COLUMNS = [
    {"type": "double", "name": "amount", "required": True},
    {"type": "long", "name": "count", "required": False},
    {"type": "string", "name": "country"},
    {"type": "array", "items": {"type": "float"}, "name": "embedding", "required": True},
    {"type": "datetime", "name": "seen"},
    {"type": "binary", "name": "raw"},
    {"type": "boolean", "name": "known"},
    {"type": "integer", "name": "small"},
]
TENSORS = [{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 3, 224]}}]


def test_a_signature_of_columns_and_of_tensors(tmp_path):
    path = tmp_path / "MLmodel"
    document = {
        "flavors": {"python_function": {"loader_module": "mlflow.sklearn"}},
        "utc_time_created": "2026-03-01 12:00:00.1",
        "signature": {"inputs": json.dumps(COLUMNS), "outputs": json.dumps(TENSORS), "params": None},
    }
    path.write_text(yaml.safe_dump(document))
    schema = infer_from_mlflow(path)
    assert fields(schema) == [
        {"name": "amount", "type": "float64"},
        {"name": "count", "type": "int64", "nullable": True},
        {"name": "country", "type": "string"},
        {"name": "embedding", "type": "float32", "shape": (-1,)},
        {"name": "seen", "type": "timestamp"},
        {"name": "raw", "type": "bytes"},
        {"name": "known", "type": "bool"},
        {"name": "small", "type": "int32"},
    ]
    assert fields(schema, "outputs") == [{"name": "output", "type": "float32", "shape": (3, 224)}]
    assert infer_from_mlflow(tmp_path) == schema


@pytest.mark.parametrize(
    "inputs",
    [
        "not json",
        "{}",
        "[1]",
        '[{"type": "object", "name": "x"}]',
        '[{"type": "array", "name": "x"}]',
        '[{"type": ["double"], "name": "x"}]',
        '[{"name": "x"}]',
        '[{"type": "tensor"}]',
        '[{"type": "tensor", "tensor-spec": {"dtype": "complex64", "shape": [-1]}}]',
        '[{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": ["a"]}}]',
        '[{"type": "double", "name": "x"}, {"type": "double", "name": "x"}]',
        '[{"type": "double", "name": 7}]',
        "[" * 100_000,
    ],
)
def test_a_wrong_signature_is_a_typed_error(inputs):
    with pytest.raises(InvalidInputError) as caught:
        infer_from_signature(inputs)
    assert caught.value.metadata["field"].startswith("inputs")


@pytest.mark.parametrize("text", ["", "[]", "signature: null", "signature: [", "flavors: {}"])
def test_an_mlmodel_without_a_signature_is_a_typed_error(tmp_path, text):
    (tmp_path / "MLmodel").write_text(text)
    with pytest.raises(DocumentInvalidError):
        infer_from_mlflow(tmp_path)


# --- ONNX -------------------------------------------------------------------------------------------------


def onnx_file(path, inputs, outputs, initializers=()):
    graph = helper.make_graph([], "graph", inputs, outputs, list(initializers))
    path.write_bytes(helper.make_model(graph).SerializeToString())
    return path


def tensor(name, element, shape):
    return helper.make_tensor_value_info(name, element, shape)


def test_a_graph_says_its_inputs_and_outputs_and_not_its_weights(tmp_path):
    weights = helper.make_tensor("weights", TensorProto.FLOAT, [2], [1.0, 2.0])
    path = onnx_file(
        tmp_path / "model.onnx",
        [
            tensor("amount", TensorProto.DOUBLE, ["N", 1]),
            tensor("country", TensorProto.STRING, [None, 1]),
            tensor("image", TensorProto.FLOAT16, ["N", 3, None, 224]),
            tensor("fixed", TensorProto.INT64, [1, 4]),
            tensor("scalar", TensorProto.BOOL, []),
            tensor("weights", TensorProto.FLOAT, [2]),
        ],
        [tensor("label", TensorProto.INT64, ["N"])],
        [weights],
    )
    schema = infer_from_onnx(path)
    assert fields(schema) == [
        {"name": "amount", "type": "float64"},
        {"name": "country", "type": "string"},
        {"name": "image", "type": "float16", "shape": (3, -1, 224)},
        {"name": "fixed", "type": "int64", "shape": (1, 4)},
        {"name": "scalar", "type": "bool"},
    ]
    assert fields(schema, "outputs") == [{"name": "label", "type": "int64"}]


def test_a_graph_with_what_no_feature_is_names_it(tmp_path):
    label = tensor("label", TensorProto.INT64, ["N"])
    for strange in (
        helper.make_tensor_sequence_value_info("maps", TensorProto.FLOAT, None),
        tensor("maps", TensorProto.COMPLEX64, ["N"]),
    ):
        with pytest.raises(InvalidInputError) as caught:
            infer_from_onnx(onnx_file(tmp_path / "model.onnx", [label], [strange]))
        assert caught.value.metadata["field"] == "maps"


@pytest.mark.parametrize(
    "data", [b"", b"not a model", b"\x3a\x00", b"\x3a\x05ab", b"\xff" * 40, b"\x07", b"\x39\x01"]
)
def test_what_is_no_graph_is_a_typed_error(tmp_path, data):
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    with pytest.raises(InvalidInputError):
        infer_from_onnx(path)
    with pytest.raises(FileUnreadableError):
        infer_from_onnx(tmp_path / "nothing.onnx")
    with pytest.raises(FileUnreadableError):
        infer_from_onnx(tmp_path)


@given(st.binary(max_size=60), st.integers(0, 400), st.integers(0, 255))
def test_damaged_graphs_are_typed_errors(tmp_path_factory, junk, place, byte):
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    data = bytearray(onnx_file(path, [tensor("x", TensorProto.FLOAT, ["N", 3])], []).read_bytes())
    data[place % len(data)] = byte
    for each in (bytes(data), junk):
        path.write_bytes(each)
        with contextlib.suppress(CarnetError):
            infer_from_onnx(path)


def test_negative_integers_of_the_wire_are_signed():
    message = onnx.TensorShapeProto.Dimension(dim_value=-1).SerializeToString()
    assert integer(memoryview(message), 1) == -1

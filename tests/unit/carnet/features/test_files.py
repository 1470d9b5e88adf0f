"""Data files, skew and contracts."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from carnet.bundle.feature_schema import Feature, FeatureSchema, Preprocessing
from carnet.errors import FileUnreadableError, InvalidInputError
from carnet.features import Validator
from carnet.features.contract import compare_contracts
from carnet.features.files import read_data

AMOUNT = Feature(name="amount", type="float64", minimum=0)
COUNTRY = Feature(name="country", type="categorical", categories=("CH", "NO"), nullable=True)
SCHEMA = FeatureSchema(inputs=(AMOUNT, COUNTRY))
ROWS = [{"amount": 1.5, "country": "CH"}, {"amount": -2.0, "country": None}, {"amount": 3.0, "country": "DE"}]


def write(tmp_path, kind):
    path = tmp_path / f"data.{kind}"
    table = pa.Table.from_pylist(ROWS)
    if kind == "csv":
        path.write_text("amount,country\n1.5,CH\n-2.0,\n3.0,DE\n")
    elif kind == "json":
        path.write_text(json.dumps(ROWS))
    elif kind in ("jsonl", "ndjson"):
        path.write_text("\n".join(map(json.dumps, ROWS)) + "\n\n")
    elif kind == "parquet":
        pq.write_table(table, path)
    elif kind == "ipc":
        with pa.ipc.new_stream(path, table.schema) as stream:
            stream.write_table(table)
    else:
        with pa.ipc.new_file(path, table.schema) as file:
            file.write_table(table)
    return path


@pytest.mark.parametrize("kind", ["csv", "json", "jsonl", "ndjson", "parquet", "arrow", "feather", "ipc"])
def test_every_format_says_the_same(tmp_path, kind):
    table = read_data(write(tmp_path, kind), features=SCHEMA.inputs)
    report = Validator(SCHEMA).validate(table)
    assert [(each.feature, each.kind, each.rows) for each in report.violations] == [
        ("amount", "below_minimum", (1,)),
        ("country", "unknown_category", (2,)),
    ]


def test_a_format_can_be_named_and_one_json_object_is_one_row(tmp_path):
    path = tmp_path / "row"
    path.write_text('{"amount": 1}')
    assert Validator(SCHEMA).validate(read_data(path, kind="json")).valid
    with pytest.raises(InvalidInputError, match="suffix"):
        read_data(path)


def test_csv_texts_are_read_by_the_schema_value_by_value(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text('amount,country,code,raw\n1,"",001,a\nx,NA,002,b\n,CH,003,c\n2.5,,004,d\n')
    features = (
        AMOUNT,
        Feature(name="country", type="categorical", categories=("", "NA", "CH")),
        Feature(name="code", type="string"),
        Feature(name="raw", type="bytes"),
    )
    report = Validator(FeatureSchema(inputs=features)).validate(read_data(path, features=features))
    assert [(each.feature, each.kind, each.rows) for each in report.violations] == [
        ("amount", "wrong_type", (1,)),
        ("amount", "null", (2,)),
        ("country", "null", (3,)),
    ]
    seen = (Feature(name="seen", type="timestamp"),)
    path.write_text("seen\n2026-03-01T00:00:00Z\n2026-03-01T00:00:00\n")
    report = Validator(FeatureSchema(inputs=seen)).validate(read_data(path, features=seen))
    assert [(each.kind, each.rows) for each in report.violations] == [("without_zone", (1,))]


@pytest.mark.parametrize("kind", ["csv", "json", "jsonl", "parquet", "arrow"])
@pytest.mark.parametrize("data", [b"", b"\x00\xff\xfe\x01" * 10, b"PAR1junkjunkPAR1", b"ARROW1\x00\x00junk"])
def test_a_file_of_another_format_is_a_typed_error(tmp_path, kind, data):
    path = tmp_path / f"data.{kind}"
    path.write_bytes(data)
    try:
        Validator(SCHEMA).validate(read_data(path)).require()
    except InvalidInputError:
        return
    assert kind == "jsonl"
    assert data == b"", "an empty file of lines has no rows"


@pytest.mark.parametrize("text", ["7", '"a"', "[1]", "[[]]", "[" * 100_000, '{"a": 1}{'])
def test_json_that_is_no_rows_is_a_typed_error(tmp_path, text):
    path = tmp_path / "data.json"
    path.write_text(text)
    with pytest.raises(InvalidInputError):
        read_data(path)


def test_a_line_that_is_not_json_is_named(tmp_path):
    path = tmp_path / "data.jsonl"
    path.write_text("{}\n{\n")
    with pytest.raises(InvalidInputError, match="data.jsonl:2: not JSON"):
        read_data(path)


@pytest.mark.parametrize("kind", ["csv", "json", "jsonl", "parquet", "arrow"])
def test_a_file_that_is_not_there_is_a_typed_error(tmp_path, kind):
    with pytest.raises(FileUnreadableError):
        read_data(tmp_path / f"nothing.{kind}")
    with pytest.raises(FileUnreadableError):
        read_data(tmp_path, kind=kind)


# --- contracts --------------------------------------------------------------------------------------------


def test_a_contract_tells_what_changed_and_what_breaks():
    after = FeatureSchema(
        inputs=(
            AMOUNT.model_copy(update={"minimum": None}),
            COUNTRY.model_copy(update={"categories": ("NO",)}),
            Feature(name="device", type="string"),
        ),
        outputs=(Feature(name="score", type="float64"),),
        preprocessing=Preprocessing(path="scaler.joblib"),
    )
    report = compare_contracts(SCHEMA, after)
    assert [(each.name, each.change, each.fields, bool(each.breaks)) for each in report.changes] == [
        ("inputs.amount", "changed", ("minimum",), False),
        ("inputs.country", "changed", ("categories",), True),
        ("inputs.device", "added", (), True),
        ("outputs.score", "added", (), False),
        ("preprocessing", "added", (), False),
    ]
    assert report.breaking
    assert "takes no longer CH" in report.changes[1].breaks[0]
    assert not compare_contracts(after, after).changes
    back = compare_contracts(after, SCHEMA)
    assert [each.name for each in back.changes if each.change == "removed"] == [
        "inputs.device",
        "outputs.score",
        "preprocessing",
    ]


def test_the_order_of_features_and_categories_is_no_difference():
    other = COUNTRY.model_copy(update={"categories": ("NO", "CH")})
    assert compare_contracts(SCHEMA, FeatureSchema(inputs=(other, AMOUNT))).changes == ()

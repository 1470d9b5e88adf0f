"""Data files, skew and contracts."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.bundle.feature_schema import Feature, FeatureSchema, Preprocessing
from carnet.errors import FileUnreadableError, InvalidInputError
from carnet.features import Validator
from carnet.features.contract import compare_contracts
from carnet.features.files import read_data
from carnet.features.skew import compare_data, stability_index
from carnet.features.tables import read_table

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


# --- skew -------------------------------------------------------------------------------------------------


def skew(before, after, features):
    return {
        each.name: each for each in compare_data(read_table(before), read_table(after), features).features
    }


def test_the_index_by_hand():
    # (0.4 - 0.5) ln(0.4/0.5) + (0.6 - 0.5) ln(0.6/0.5)
    assert stability_index(np.array([0.5, 0.5]), np.array([0.4, 0.6])) == pytest.approx(0.0405465, abs=1e-6)
    assert stability_index(np.array([1.0, 0.0]), np.array([1.0, 0.0])) == 0
    assert math.isfinite(stability_index(np.array([1.0, 0.0]), np.array([0.0, 1.0])))


def test_deciles_of_the_reference_are_the_bins():
    before = pd.DataFrame({"amount": np.arange(100.0)})
    after = pd.DataFrame({"amount": np.where(np.arange(100) < 50, np.arange(100.0), 0.0)})
    # Deciles 1 and 6 to 10 move: 50 rows go to the first, which has 60 then.
    expected = (0.6 - 0.1) * math.log(6) + 5 * (1e-4 - 0.1) * math.log(1e-4 / 0.1)
    assert skew(before, after, (AMOUNT,))["amount"].psi == pytest.approx(expected)
    assert skew(before, before, (AMOUNT,))["amount"].psi == 0


def test_shift_spread_and_shares():
    before = pd.DataFrame({"amount": [0.0, 2.0] * 50, "country": ["CH", "NO"] * 50})
    after = pd.DataFrame(
        {"amount": [-1.0, 7.0] * 49 + [math.nan] * 2, "country": ["CH", "DE"] * 49 + [None] * 2}
    )
    found = skew(before, after, SCHEMA.inputs)
    amount, country = found["amount"], found["country"]
    assert (amount.reference.mean, amount.reference.standard_deviation) == (1.0, 1.0)
    assert (amount.data.null_share, amount.data.out_of_range_share) == (0.02, 0.5)
    assert (amount.mean_shift, amount.deviation_ratio) == (2.0, 4.0)
    assert (country.data.null_share, country.data.out_of_range_share, country.mean_shift) == (0.02, 0.5, None)
    assert country.psi == pytest.approx((0.5 - 1e-4) * math.log(0.5 / 1e-4) * 2)
    assert country.verdict == "large"


@pytest.mark.parametrize(
    "form", [lambda frame: frame, pa.Table.from_pandas, lambda frame: frame.to_dict("records")]
)
def test_every_form_of_a_table_moves_alike(form):
    draw = np.random.default_rng(3)
    before = pd.DataFrame(
        {
            "amount": draw.normal(size=500),
            "country": draw.choice(["CH", "NO"], 500),
            "flag": draw.random(500) < 0.5,
        }
    )
    after = before.assign(amount=before.amount + 1, country="CH", flag=True)
    features = (*SCHEMA.inputs, Feature(name="flag", type="bool"))
    found = skew(form(before), form(after), features)
    reference = skew(before, after, features)
    assert {name: each.psi for name, each in found.items()} == {
        name: pytest.approx(each.psi) for name, each in reference.items()
    }
    assert all(each.verdict == "large" for each in found.values())


def test_noise_is_stable():
    draw = np.random.default_rng(5)
    before, after = (pd.DataFrame({"amount": draw.normal(size=5000)}) for _ in range(2))
    assert skew(before, after, (AMOUNT,))["amount"].verdict == "stable"


def test_what_cannot_be_compared_is_said_to_be_unknown():
    features = (
        AMOUNT,
        COUNTRY,
        Feature(name="pair", type="float64", shape=(2,)),
        Feature(name="note", type="string"),
    )
    before = pd.DataFrame({"amount": ["a", "b"], "note": ["x", None]})
    after = pd.DataFrame(
        {"amount": [1.0, math.inf], "country": [None, None], "pair": [[1.0, 2.0]] * 2, "note": ["x", "y"]}
    )
    found = skew(before, after, features)
    assert [each.verdict for each in found.values()] == ["unknown"] * 4
    assert found["country"].reference is None
    assert found["note"].reference.null_share == 0.5
    json.dumps(compare_data(read_table(before), read_table(after), features).to_json(), allow_nan=False)


def test_no_rows_cannot_be_compared():
    some, none = read_table([{"amount": 1.0}]), read_table([])
    for before, after, field in ((none, some, "reference"), (some, none, "data")):
        with pytest.raises(InvalidInputError) as caught:
            compare_data(before, after, (AMOUNT,))
        assert caught.value.metadata["field"] == field


@given(
    st.lists(st.one_of(st.floats(), st.none(), st.integers(-(2**70), 2**70)), min_size=1, max_size=12),
    st.lists(st.floats(allow_nan=False), min_size=1, max_size=12),
)
def test_the_report_is_json_whatever_the_numbers(before, after):
    tables = [read_table([{"amount": each} for each in side]) for side in (before, after)]
    report = compare_data(tables[0], tables[1], (AMOUNT,))
    json.dumps(report.to_json(), allow_nan=False)
    assert report.features[0].psi is None or report.features[0].psi >= 0

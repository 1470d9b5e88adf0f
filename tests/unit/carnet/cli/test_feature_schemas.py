"""``carnet validate`` and ``carnet schema``."""

from __future__ import annotations

import json

import pytest

from carnet.canonical import sha256_hex
from carnet.features.building import read_schema

SCHEMA = """\
feature_schema:
  inputs:
    - {name: amount, type: float64, minimum: 0}
    - {name: country, type: categorical, categories: [CH, "NO"], nullable: true}
  outputs:
    - {name: score, type: float64, maximum: 1}
"""


@pytest.fixture
def schema(tmp_path):
    path = tmp_path / "carnet.yaml"
    path.write_text(SCHEMA)
    return path


@pytest.fixture
def data(tmp_path):
    def write(text, name="data.csv"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def test_valid_data_is_said_to_be(run, schema, data):
    ran = run("validate", schema, "--data", data("amount,country\n1,CH\n2,\n"))
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == "data.csv keeps the schema: 2 rows\n"


def test_violations_are_a_table_and_an_object_and_exit_code_5(run, schema, data):
    file = data("amount,country,more\n1,DE,1\n-2,CH,1\n")
    ran = run("validate", schema, "--data", file)
    assert ran.code == 5
    for text in ("below minimum", "unknown category", "'DE'", "at least 0", "extra column"):
        assert text in ran.out
    ran = run("validate", schema, "--data", file, "-o", "json")
    assert ran.code == 5
    assert ran.json["total_rows"] == 2
    assert [(each["feature"], each["kind"], each["count"]) for each in ran.json["violations"]] == [
        ("amount", "below_minimum", 1),
        ("country", "unknown_category", 1),
        ("more", "extra_column", 2),
    ]


def test_outputs_extra_columns_and_another_format(run, schema, data):
    file = data('{"score": 0.5, "more": 1}', "scores")
    assert run("validate", schema, "--data", file, "--format", "json", "--outputs").code == 5
    assert run("validate", schema, "--data", file, "--format", "json", "--outputs", "--allow-extra").code == 0


def test_a_version_in_a_registry_is_a_schema_too(carnet, fraud, data):
    rows = data('[{"amount": -1.0, "country": "CH"}]', "rows.json")
    ran = carnet("validate", "dev/risk/fraud@1", "--data", rows, "-o", "json")
    assert ran.code == 5
    assert ran.json["violations"][0]["kind"] == "below_minimum"
    assert carnet("validate", "dev/risk/fraud@7", "--data", rows).code == 3


@pytest.mark.parametrize(
    ("source", "file", "said"),
    [
        ("nothing.yaml", "rows.json", "is not there"),
        ("carnet.yaml", "nothing.json", "cannot be read"),
        ("carnet.yaml", "rows", "suffix"),
        ("carnet.yaml", "broken.json", "not JSON"),
        ("empty.yaml", "rows.json", "has no inputs"),
        ("carnet.json", "rows.json", "carnet.json"),
    ],
)
def test_wrong_files_are_usage_errors(run, schema, data, tmp_path, monkeypatch, source, file, said):
    data("[]", "rows.json")
    data("[]", "rows")
    data("{", "broken.json")
    data("inputs: []", "empty.yaml")
    data("[]", "carnet.json")
    monkeypatch.chdir(tmp_path)
    ran = run("validate", source, "--data", file, "-o", "json")
    assert ran.code == 2
    assert said in ran.json["error"]


def test_a_sample_proposes_what_goes_into_carnet_yaml(run, data, tmp_path):
    ran = run(
        "schema",
        "infer",
        "--from",
        data("amount,label\n1.5,yes\n2.5,no\n0.5,no\n2,yes\n"),
        "--target",
        "label",
    )
    assert ran.code == 0
    assert ran.out == (
        "feature_schema:\n"
        "  inputs:\n"
        "    - {name: amount, type: float64, minimum: 0.5, maximum: 2.5}\n"
        "  outputs:\n"
        '    - {name: label, type: categorical, categories: ["no", "yes"]}\n'
    )
    (tmp_path / "carnet.yaml").write_text(ran.out)
    assert read_schema(tmp_path / "carnet.yaml").inputs[0].maximum == 2.5
    plain = run(
        "schema",
        "infer",
        "--from",
        tmp_path / "data.csv",
        "--no-ranges",
        "--max-categories",
        "0",
        "-o",
        "json",
    )
    assert plain.json == {
        "feature_schema": {
            "inputs": [{"name": "amount", "type": "float64"}, {"name": "label", "type": "string"}]
        }
    }


def test_a_model_of_mlflow_proposes(run, data):
    signature = {"inputs": json.dumps([{"type": "double", "name": "amount"}]), "outputs": None}
    ran = run("schema", "infer", "--mlflow", data(json.dumps({"signature": signature}), "MLmodel"))
    assert ran.out == "feature_schema:\n  inputs:\n    - {name: amount, type: float64}\n"
    assert run("schema", "infer", "--onnx", data("junk", "model.onnx")).code == 2


def test_one_source_is_wanted(run, data):
    assert run("schema", "infer").code == 2
    file = data("a\n1\n")
    assert run("schema", "infer", "--from", file, "--onnx", file).code == 2


def test_a_contract_that_breaks_ends_with_5(run, schema, data):
    wider = data(SCHEMA.replace("minimum: 0", "minimum: -5"), "wider.yaml")
    ran = run("schema", "contract", schema, wider)
    assert ran.code == 0
    assert "minimum: 0.0 → -5.0" in ran.out
    ran = run("schema", "contract", wider, schema, "-o", "json")
    assert ran.code == 5
    assert ran.json["breaking"]
    assert ran.json["changes"][0]["name"] == "inputs.amount"
    assert "the contract is the same" in run("schema", "contract", schema, schema).out


def test_skew_is_a_table_and_a_limit(run, schema, data):
    before = data("amount,country\n" + "".join(f"{number},CH\n" for number in range(100)), "before.csv")
    after = data("amount,country\n" + "".join(f"{number + 90},NO\n" for number in range(100)), "after.csv")
    options = ["schema", "skew", schema, "--reference", before, "--data"]
    ran = run(*options, after)
    assert ran.code == 0
    assert "large" in ran.out
    assert run(*options, after, "--max-psi", "0.25").code == 5
    same = run(*options, before, "--max-psi", "0.25", "-o", "json")
    assert same.code == 0
    assert {each["verdict"] for each in same.json["features"]} == {"stable"}


def test_the_object_of_a_skew_report_names_its_files_and_can_be_attested(
    carnet, fraud, schema, data, tmp_path
):
    before = data("amount,country\n" + "1,CH\n2,NO\n" * 50, "before.csv")
    after = data("amount,country\n" + "1,NO\n2,NO\n" * 50, "after.csv")
    ran = carnet("schema", "skew", schema, "--reference", before, "--data", after, "-o", "json")
    assert [(each["name"], each["annotations"]["role"]) for each in ran.json["configuration"]] == [
        ("before.csv", "reference"),
        ("after.csv", "data"),
    ]
    assert ran.json["configuration"][1]["digest"] == {"sha256": sha256_hex(after.read_bytes())}
    report = tmp_path / "skew.json"
    report.write_text(ran.out)
    drafted = carnet("attest", "dev/risk/fraud@1", "--file", report, "--dry-run", "-o", "json")
    predicate = drafted.json["statement"]["predicate"]
    assert (predicate["carnet_suite"], predicate["result"]) == ("skew", "PASSED")
    figures = {
        each.get("slice", {}).get("feature", ""): each["value"]
        for each in predicate["carnet_metrics"]
        if each["name"] == "psi"
    }
    assert figures == {"": figures["country"], "amount": 0, "country": figures["country"]}
    assert figures["country"] > 0.25


def test_the_data_of_two_versions_is_compared_by_the_schema_of_each(run, schema, data):
    later = data(SCHEMA.replace("minimum: 0", "minimum: 50").replace("country", "land"), "later.yaml")
    before = data("amount,country\n" + "1,CH\n2,NO\n" * 50, "before.csv")
    after = data("amount,land\n" + "51,CH\n1,NO\n" * 50, "after.csv")
    ran = run("schema", "skew", schema, later, "--reference", before, "--data", after, "-o", "json")
    amount, land = ran.json["features"]
    assert (amount["reference"]["out_of_range_share"], amount["data"]["out_of_range_share"]) == (0, 0.5)
    assert (land["name"], land["reference"], land["verdict"]) == ("land", None, "not compared")
    empty = data("outputs: [{name: x, type: bool}]", "empty.yaml")
    assert run("schema", "skew", schema, empty, "--reference", before, "--data", after).code == 2

"""audit bom: the document of a version, against the official schema of CycloneDX 1.6."""

from __future__ import annotations

import json

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from carnet.canonical import sha256_hex
from tests.support.bundles import make_document

WHOLE = {
    "labels": {"tier": "high", "license": "Apache-2.0", "task": "classification"},
    "semantic_version": "1.2.0",
    "hyperparameters": {"trees": 400, "class_weight": {"fraud": 12.0}, "loss": "log <&> 'x'"},
    "environment": {
        "python": "3.11.9",
        "framework": {"name": "scikit-learn", "version": "1.6.1"},
        "cuda": "12.4",
        "image_digest": "sha256:" + "4e" * 32,
        "lock_file_digest": "4b" * 32,
        "trained_at": "2026-03-01T12:30:00Z",
        "hardware": "1 x A100 40GB",
    },
    "feature_schema": {
        "inputs": [
            {"name": "amount", "type": "float64", "minimum": 0},
            {"name": "embedding", "type": "float32", "shape": [-1, 128]},
        ],
        "outputs": [{"name": "score", "type": "float64", "minimum": 0, "maximum": 1}],
        "preprocessing": {"name": "payments", "version": "7"},
    },
}


def check_schema(text: str) -> dict:
    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    assert problem is None, problem
    return json.loads(text)


def properties(component: dict) -> dict[str, str]:
    return {each["name"]: each["value"] for each in component["properties"]}


def test_the_schema_can_refuse() -> None:
    wrong = '{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"type":"model","name":"x"}]}'
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(wrong) is not None


def test_a_version_with_everything(carnet, federation, tmp_path):
    base = federation.publish(tmp_path, seed=1)
    parent = {
        "home": "dev",
        "namespace": "risk",
        "model": "fraud",
        "version": base.version,
        "digest": base.digest,
    }
    lineage = make_document(seed=2)["lineage"] | {
        "parents": [parent],
        "features": {"name": "cards", "snapshot": "2026-02-28"},
        "training_run": {"id": "run-2", "uri": "https://example.org/runs/2"},
    }
    lineage["datasets"].append({"name": "chargebacks", "uri": "a path with spaces"})
    manifest = federation.publish(tmp_path, seed=2, version=2, lineage=lineage, **WHOLE)
    document = check_schema(carnet("audit", "bom", f"dev/risk/fraud@{manifest.version}").out)

    model = document["metadata"]["component"]
    assert (model["type"], model["group"], model["name"], model["version"]) == (
        "machine-learning-model", "risk", "fraud", str(manifest.version)
    )  # fmt: skip
    files = {each["name"]: each["hashes"][0]["content"] for each in model["components"]}
    assert files.pop("manifest.json") == manifest.digest
    assert len(files.pop("model.sig")) == 64
    assert files == {file.path: file.digest for file in manifest.files}
    assert model["licenses"] == [{"license": {"name": "Apache-2.0", "acknowledgement": "declared"}}]
    assert model["manufacturer"] == {"name": "risk-team"}
    told = properties(model)
    assert told["carnet:bundle_digest"] == manifest.digest
    assert told["carnet:label:tier"] == "high"
    assert told["carnet:semantic_version"] == "1.2.0"

    card = model["modelCard"]
    assert card["modelParameters"]["task"] == "classification"
    assert card["modelParameters"]["datasets"] == [{"ref": "dataset:0"}, {"ref": "dataset:1"}]
    assert card["modelParameters"]["inputs"] == [
        {"format": "amount: float64, at least 0"},
        {"format": "embedding: float32[any, 128]"},
    ]
    assert card["considerations"]["technicalLimitations"] == ["Not for amounts above 10,000."]
    figures = {
        (each["type"], each.get("slice")): each["value"]
        for each in card["quantitativeAnalysis"]["performanceMetrics"]
    }
    for metric in manifest.metrics:
        part = ",".join(f"{key}={value}" for key, value in metric.slice.items()) or None
        assert float(figures[metric.name, part]) == metric.value
    settings = properties(card)
    assert settings["carnet:hyperparameter:trees"] == "400"
    assert settings["carnet:hyperparameter:class_weight"] == '{"fraud":12}'
    assert settings["carnet:direction:roc_auc"] == "higher_is_better"

    (ancestor,) = model["pedigree"]["ancestors"]
    assert (ancestor["name"], ancestor["version"]) == ("fraud", str(base.version))
    assert properties(ancestor)["carnet:bundle_digest"] == base.digest
    assert properties(ancestor)["carnet:standing"] == "verified"
    assert model["pedigree"]["commits"][0]["uid"] == manifest.lineage.code.commit

    needed = {each["bom-ref"]: each for each in document["components"]}
    assert set(needed) == {
        "framework", "python", "cuda", "image", "lock-file", "dataset:0", "dataset:1"
    }  # fmt: skip
    assert needed["framework"]["version"] == "1.6.1"
    assert needed["dataset:0"]["hashes"][0]["content"] == sha256_hex(b"payments")
    depends = {each["ref"]: each.get("dependsOn") for each in document["dependencies"]}
    assert set(depends["model"]) == set(needed)


def test_signature_log_entry_and_evidence_are_named(carnet, federation, fraud, tmp_path):
    report = tmp_path / "report.json"
    figure = {"name": "roc_auc", "value": 0.9712345678, "direction": "higher_is_better"}
    report.write_text(json.dumps({"suite": "evaluation", "result": "PASSED", "metrics": [figure]}))
    assert carnet("attest", "dev/risk/fraud@1", "--file", report, "--as", "evaluator").code == 0
    held = carnet("evidence", "ls", "dev/risk/fraud@1", "-o", "json").json["evidence"]
    document = check_schema(carnet("audit", "bom", "dev/risk/fraud@1").out)
    model = document["metadata"]["component"]
    by_type: dict[str, list[dict]] = {}
    for each in model["externalReferences"]:
        by_type.setdefault(each["type"], []).append(each)
    digests = {each["hashes"][0]["content"] for each in by_type["attestation"]}
    assert digests == {each["digest"] for each in held}
    assert len(held) == 2
    (signature,) = by_type["digital-signature"]
    files = {each["name"]: each["hashes"] for each in model["components"]}
    assert signature["hashes"] == files["model.sig"]
    assert by_type["log"][0]["url"].startswith("carnet://dev/log/")
    figures = {
        each["type"]: each["value"]
        for each in model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    }
    assert figures["roc_auc (evaluation)"] == "0.9712345678"


def test_a_version_that_says_next_to_nothing(carnet, federation, tmp_path):
    nothing = dict.fromkeys(
        ("description", "owner", "caveats", "labels", "metrics", "hyperparameters", "lineage",
         "environment", "feature_schema")
    )  # fmt: skip
    federation.publish(tmp_path, **nothing)
    document = check_schema(carnet("audit", "bom", "dev/risk/fraud@1").out)
    assert document["components"] == []
    assert "pedigree" not in document["metadata"]["component"]


def test_it_goes_to_a_file_whole(carnet, fraud, tmp_path):
    target = tmp_path / "fraud.cdx.json"
    answer = carnet("audit", "bom", "dev/risk/fraud@1", "--out", target, "-o", "json").json
    document = check_schema(target.read_text())
    assert answer["serial_number"] == document["serialNumber"]
    assert answer["bundle_digest"] == fraud.digest
    assert [path.name for path in tmp_path.iterdir() if "making" in path.name] == []
    assert carnet("audit", "bom", "dev/risk/fraud@1", "--out", "/dev/null/x").code == 2


def test_nothing_is_written_of_what_is_contradicted(carnet, federation, fraud, tmp_path):
    def edited(answer):
        answer.evidence[0].envelope += b" "

    federation.dev.lies["ListEvidence"] = edited
    target = tmp_path / "fraud.cdx.json"
    ran = carnet("audit", "bom", "dev/risk/fraud@1", "--out", target)
    assert ran.code == 6
    assert not target.exists()


@pytest.mark.parametrize("reference", ["dev/risk/fraud@9", "dev/risk/nothing@1"])
def test_what_is_not_there(carnet, fraud, reference):
    assert carnet("audit", "bom", reference).code == 3

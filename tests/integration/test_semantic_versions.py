"""Semantic versions as a publisher and a reader meet them: pushed, refused with the right number, shown, promoted."""

from __future__ import annotations

import pytest

from carnet.errors import AlreadyExistsError, ContractBrokenError
from tests.support.bundles import make_bundle_directory, make_document

SCHEMA = make_document()["feature_schema"]
WIDER = SCHEMA | {"inputs": [*SCHEMA["inputs"], {"name": "age", "type": "int32", "nullable": True}]}
NARROWER = SCHEMA | {"inputs": SCHEMA["inputs"][1:]}


def folder(tmp_path, seed, semantic_version, schema=None, **fields):
    shared = {"metrics": make_document(seed=1)["metrics"]}
    return make_bundle_directory(
        tmp_path,
        seed=seed,
        semantic_version=semantic_version,
        feature_schema=schema or SCHEMA,
        **(shared | fields),
    )


def test_a_push_that_breaks_its_promise_names_the_field_and_the_right_number(federation, tmp_path):
    model = "dev/semantic/pushed"
    federation.cli("push", model, str(folder(tmp_path, 1, "1.0.0")))

    refused = federation.cli("push", model, str(folder(tmp_path, 2, "1.0.1", WIDER)), check=7)
    assert "feature_schema.inputs.age" in refused.stderr
    assert "semantic_version: 1.1.0" in refused.stderr
    answer = federation.cli_json("push", model, str(folder(tmp_path, 3, "1.1.0", NARROWER)), check=7)
    assert answer["reason"] == "CONTRACT_BROKEN"
    assert answer["metadata"]["field"] == "feature_schema.inputs.amount"
    assert answer["metadata"]["nextSemanticVersion"] == "2.0.0"

    federation.cli("push", model, str(folder(tmp_path, 2, "1.1.0", WIDER)))
    federation.cli("push", model, str(folder(tmp_path, 3, "2.0.0", NARROWER)))
    listed = federation.cli_json("ls", model)["versions"]
    assert [each["semantic_version"] for each in listed] == ["2.0.0", "1.1.0", "1.0.0"]
    assert "1.1.0" in federation.cli("ls", model).stdout


def test_show_says_the_semantic_version_and_what_a_version_is_compatible_with(federation, tmp_path):
    model = "dev/semantic/shown"
    for seed, (number, schema) in enumerate((("1.0.0", SCHEMA), ("1.1.0", WIDER), ("2.0.0", NARROWER))):
        federation.cli("push", model, str(folder(tmp_path, seed, number, schema)))

    page = federation.cli("show", f"{model}@2").stdout
    assert "compatible with" in page
    assert "@1 (1.0.0)" in page
    assert "breaks" not in page
    page = federation.cli("show", f"{model}@3").stdout
    assert "no earlier version" in page
    assert "@2 (1.1.0), @1 (1.0.0)" in page
    assert "the input amount is removed" in page

    answer = federation.cli_json("show", f"{model}@3")
    assert answer["semantic_version"] == "2.0.0"
    assert [(each["reference"], each["compatible"]) for each in answer["compatible_with"]] == [
        (f"{model}@2", False),
        (f"{model}@1", False),
    ]
    with federation.client("ci") as ci:
        assert [each.compatible for each in ci.compatibility(f"{model}@2")] == [True]
        assert [each.reference.version for each in ci.compatibility(f"{model}@3", limit=1)] == [2]
        with federation.client("dave") as operator:
            operator.revoke(f"{model}@1", "leaks")
        assert ci.compatibility(f"{model}@2") == ()


def test_a_number_is_taken_once_and_a_second_identical_push_is_the_same(federation, tmp_path):
    model = "dev/semantic/taken"
    with federation.client("ci") as ci:
        first = ci.push(model, folder(tmp_path, 1, "1.0.0"))
        assert ci.push(model, folder(tmp_path, 1, "1.0.0")).already_published
        with pytest.raises(AlreadyExistsError, match="taken by version 1") as caught:
            ci.push(model, folder(tmp_path, 2, "1.0.0"))
        assert caught.value.metadata["nextSemanticVersion"] == "1.0.1"
        with pytest.raises(ContractBrokenError, match="metrics.roc_auc"):
            ci.push(model, folder(tmp_path, 3, "1.0.1", metrics=None))
        assert ci.model(model).latest_version == first.reference.version == 1


def test_a_semantic_version_goes_with_the_bundle_into_the_next_environment(federation, tmp_path):
    with federation.client("ci") as ci:
        pushed = ci.push("dev/semantic/carried", folder(tmp_path, 1, "1.4.0-rc.1"))
        assert federation.to_staging(pushed.reference).state.value == "SUCCEEDED"
        there = ci.resolve("staging/semantic/carried@1")

    assert there.manifest.semantic_version == there.version.semantic_version == "1.4.0-rc.1"


@pytest.mark.parametrize("text", ["1.2", "v1.2.3", "01.0.0", "1.0.0-", "one"])
def test_what_is_no_semantic_version_is_refused_with_its_line(federation, tmp_path, text):
    refused = federation.cli("push", "dev/semantic/malformed", str(folder(tmp_path, 1, text)), check=2)

    assert "carnet.yaml:" in refused.stderr
    assert "semantic_version: should be a semantic version" in refused.stderr

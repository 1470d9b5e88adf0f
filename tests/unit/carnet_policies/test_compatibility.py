from __future__ import annotations

import json
from typing import Any

import pytest

from carnet.errors import DocumentInvalidError
from carnet_policies.case_forms import FactsForm
from carnet_policies.compatibility import check_compatibility, major_of
from carnet_policies.document import load_policy
from carnet_policies.evaluation import RuleResult, RuleStatus
from carnet_policies.schema import CompatibilityDemand

PASSED, FAILED, _ = RuleStatus
BROKEN = {"feature_schema": {"inputs": [{"name": "amount", "type": "int64"}]}}


def check(
    manifest: dict[str, Any], baseline: dict[str, Any] | None, *, label: str | None = None
) -> RuleResult:
    given: dict[str, Any] = {"manifest": manifest}
    given |= {} if baseline is None else {"baseline": {"manifest": baseline}}
    facts = FactsForm.model_validate_json(json.dumps(given)).spell_out("staging")
    return check_compatibility(CompatibilityDemand(unless_major=label), facts, baseline_alias="champion")


def labelled(version: str | None, **more: Any) -> dict[str, Any]:
    return ({} if version is None else {"labels": {"contract": version}}) | more


def test_a_first_version_breaks_nobody() -> None:
    assert check(BROKEN, None).status is PASSED


def test_a_compatible_version_passes() -> None:
    found = check({}, {})
    assert (found.status, found.message) == (PASSED, "nothing breaks for those who call champion")


def test_every_break_is_named_with_the_way_out() -> None:
    found = check({"feature_schema": {"inputs": [{"name": "sum", "type": "float64"}]}}, {})
    assert found.status is FAILED
    assert "the input amount is removed; the input sum is new, and required" in found.message
    assert found.values["inputs.amount"] == "the input amount is removed"
    assert found.remedy == "Keep the feature schema compatible, and push a new version."
    assert "raise the major number of labels.contract" in check(BROKEN, {}, label="contract").remedy


@pytest.mark.parametrize(
    ("before", "after", "status"),
    [
        ("1.4.2", "2.0.0", PASSED),
        ("1.4.2", "10.0.0", PASSED),
        ("9.0.0", "10.0.0-rc.1+build.5", PASSED),
        (None, "1.0.0", PASSED),
        ("0.9.0", "1.0.0", PASSED),
        ("1.4.2", "1.5.0", FAILED),
        ("0.4.2", "0.5.0", FAILED),
        ("2.0.0", "1.0.0", FAILED),
        ("1.0.0", None, FAILED),
        (None, None, FAILED),
        (None, "0.1.0", FAILED),
        ("1.0.0", "2", FAILED),
        ("1.0.0", "v2.0.0", FAILED),
        ("1.0.0", "02.0.0", FAILED),
        ("one", "2.0.0", FAILED),
    ],
)
def test_only_a_raised_major_number_announces_a_break(
    before: str | None, after: str | None, status: RuleStatus
) -> None:
    found = check(labelled(after, **BROKEN), labelled(before), label="contract")
    assert found.status is status
    assert "the input amount is int64, and was float64" in found.message


def test_without_a_label_in_the_policy_nothing_announces_a_break() -> None:
    assert check(labelled("2.0.0", **BROKEN), labelled("1.0.0")).status is FAILED


def test_a_label_that_announces_nothing_harms_nothing() -> None:
    assert check(labelled("whatever"), labelled("1.0.0"), label="contract").status is PASSED


@pytest.mark.parametrize("schema", [7, {"inputs": 7}, {"inputs": [{"name": "amount", "type": "no"}]}])
def test_a_schema_that_cannot_be_read_is_incompatible(schema: Any) -> None:
    found = check({"feature_schema": schema}, {})
    assert (found.status, "cannot be read" in found.message) == (FAILED, True)


def test_many_breaks_are_counted() -> None:
    inputs = [{"name": f"f{index}", "type": "bool"} for index in range(40)]
    found = check({}, {"feature_schema": {"inputs": inputs}})
    assert "; and 31 more" in found.message


@pytest.mark.parametrize("manifest", [{}, {"labels": None}, {"labels": []}, {"labels": {"contract": 2}}])
def test_a_label_that_is_no_text_is_no_version(manifest: dict[str, Any]) -> None:
    assert major_of(manifest, "contract") is None


def test_a_policy_that_compares_needs_a_baseline() -> None:
    text = "schema: carnet.policy/v1\nenvironment: x\nversion: 1\nsources: [dev]\ncompatibility: {}\n"
    with pytest.raises(DocumentInvalidError, match="p.yaml:5:1: compatibility: compares with the baseline"):
        load_policy(text.encode(), name="p.yaml")
    load_policy((text + "baseline_alias: champion\n").encode())

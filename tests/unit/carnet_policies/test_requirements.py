from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.errors import DocumentInvalidError
from carnet_policies.case_forms import FactsForm
from carnet_policies.document import load_policy
from carnet_policies.engine import PolicyEngine
from carnet_policies.evaluation import RuleResult, RuleStatus
from carnet_policies.schema_fields import Margin

if TYPE_CHECKING:
    from carnet_policies.document import Policy
    from carnet_policies.facts import Facts

PASSED, FAILED, AWAITING = RuleStatus.PASSED, RuleStatus.FAILED, RuleStatus.AWAITING
HEAD = """\
schema: carnet.policy/v1
environment: staging
version: 1
sources: [dev]
baseline_alias: champion
evidence:
  - rule: evaluation
    type: https://in-toto.io/attestation/test-result/v0.1
    suite: evaluation
    signers: [evaluator]
    max_age: 30d
    metrics: true
  - {rule: other, type: x, signers: [evaluator]}
"""


def policy_of(**demand: Any) -> Policy:
    demands = [{"rule": "r", "needs": ["evaluation"], "metric": "recall"} | demand]
    return load_policy(f"{HEAD}metrics: {json.dumps(demands)}\n".encode(), name="p.yaml")


def evaluation(metrics: dict[str, float], **fields: Any) -> dict[str, Any]:
    return {"suite": "evaluation", "roles": ["evaluator"], "metrics": metrics} | fields


def facts_of(*evidence: dict[str, Any], baseline: list[dict[str, Any]] | None = None) -> Facts:
    given = {"source": "dev", "evidence": list(evidence)}
    given |= {} if baseline is None else {"baseline": {"evidence": baseline}}
    return FactsForm.model_validate_json(json.dumps(given)).spell_out("staging")


def check(policy: Policy, facts: Facts) -> RuleResult:
    with PolicyEngine() as engine:
        results = {result.rule: result for result in engine.evaluate(policy, facts).results}
    return results["r"]


@pytest.mark.parametrize(
    ("demand", "metrics", "status", "says"),
    [
        ({"at_least": 0.9}, {"recall": 0.9}, PASSED, "recall is 0.9; demanded: at least 0.9"),
        ({"at_least": 0.9}, {"recall": 0.89}, FAILED, "recall is 0.89, below 0.9; demanded: at least 0.9"),
        ({"at_least": 1}, {"recall": 1.0}, PASSED, "at least 1.0"),
        (
            {"at_most": 50, "metric": "p95_ms"},
            {"p95_ms": 50.0},
            PASSED,
            "p95_ms is 50.0; demanded: at most 50.0",
        ),
        ({"at_most": 50, "metric": "p95_ms"}, {"p95_ms": 51.0}, FAILED, "p95_ms is 51.0, above 50.0"),
        ({"at_least": 0.5}, {"precision": 0.9}, FAILED, "recall: not reported by evaluation"),
        ({"at_least": 0.5}, {"recall{sex=f}": 0.9}, FAILED, "recall: not reported by evaluation"),
    ],
)
def test_floors_and_ceilings(
    demand: dict[str, Any], metrics: dict[str, float], status: RuleStatus, says: str
) -> None:
    found = check(policy_of(**demand), facts_of(evaluation(metrics)))
    assert (found.status, says in found.message) == (status, True), found.message
    assert bool(found.remedy) is (status is FAILED)


SLICED = {"recall": 0.9, "recall{sex=f}": 0.9, "recall{sex=m}": 0.8, "recall{age=old,sex=f}": 0.5}


@pytest.mark.parametrize(
    ("slices", "floor", "failing"),
    [
        ([{"sex": ["f", "m"]}], 0.8, []),
        ([{"sex": ["f", "m"]}], 0.85, ["recall{sex=m}"]),
        ([{"sex": "m"}], 0.85, ["recall{sex=m}"]),
        ([{"sex": "*"}], 0.8, []),
        ([{"sex": "*"}], 0.85, ["recall{sex=m}"]),
        ([{"sex": "d"}], 0.1, ["recall{sex=d}"]),
        ([{"region": "*"}], 0.1, ["recall{region=*}"]),
        ([{"sex": "*", "age": "old"}], 0.6, ["recall{age=old,sex=f}"]),
        ([{"sex": ["f", "m"], "age": "old"}], 0.1, ["recall{age=old,sex=m}"]),
        ([{"sex": "*"}, {"sex": "m"}], 0.85, ["recall{sex=m}"]),
    ],
)
def test_every_slice_must_hold(slices: list[dict[str, Any]], floor: float, failing: list[str]) -> None:
    found = check(policy_of(slices=slices, at_least=floor), facts_of(evaluation(SLICED)))
    assert found.status is (FAILED if failing else PASSED)
    told = found.message.split("; demanded")[0].split("; ") if failing else []
    assert [each.split(" ")[0].rstrip(":") for each in told] == failing


def test_the_values_are_in_the_result_the_failing_ones_first() -> None:
    found = check(policy_of(slices=[{"sex": "*"}], at_least=0.85), facts_of(evaluation(SLICED)))
    assert list(found.values.items()) == [
        ("recall{sex=m}", "0.8"),
        ("recall", "0.9"),
        ("recall{sex=f}", "0.9"),
    ]


def test_overall_can_be_left_aside() -> None:
    policy = policy_of(overall=False, slices=[{"sex": "f"}], at_least=0.8)
    assert check(policy, facts_of(evaluation({"recall": 0.1, "recall{sex=f}": 0.9}))).status is PASSED


@pytest.mark.parametrize(
    ("margin", "candidate", "champion", "lower_is_better", "status"),
    [
        (0.005, 0.985, 0.99, False, PASSED),
        (0.005, 0.984, 0.99, False, FAILED),
        (0, 0.99, 0.99, False, PASSED),
        (0.005, 1.0, 0.9, False, PASSED),
        ("10%", 0.81, 0.9, False, PASSED),
        ("10%", 0.8, 0.9, False, FAILED),
        ("10%", 109.0, 100.0, True, PASSED),
        ("10%", 111.0, 100.0, True, FAILED),
        (5, 104.0, 100.0, True, PASSED),
        (5, 106.0, 100.0, True, FAILED),
        (5, 1.0, 100.0, True, PASSED),
    ],
)
def test_a_regression_follows_the_direction(
    margin: float | str, candidate: float, champion: float, lower_is_better: bool, status: RuleStatus
) -> None:
    worse = {"lower_is_better": ["recall"] if lower_is_better else []}
    facts = facts_of(
        evaluation({"recall": candidate}, **worse), baseline=[evaluation({"recall": champion}, **worse)]
    )
    found = check(policy_of(max_regression=margin), facts)
    assert found.status is status, found.message
    assert f"recall is {candidate!r} (champion: {champion!r})" in found.message
    assert found.values["champion's recall"] == repr(champion)


def test_without_a_baseline_nothing_is_worse() -> None:
    found = check(policy_of(max_regression=0.01), facts_of(evaluation({"recall": 0.2})))
    assert found.status is PASSED
    assert "(champion: none yet)" in found.message


@pytest.mark.parametrize(
    ("baseline", "says"),
    [
        ([], "champion has no such figure"),
        ([evaluation({"recall": 0.9}, roles=["publisher"])], "champion has no such figure"),
        ([evaluation({"recall": 0.9}, lower_is_better=["recall"])], "champion's says lower_is_better"),
    ],
)
def test_a_baseline_that_cannot_be_compared_with_fails_the_rule(
    baseline: list[dict[str, Any]], says: str
) -> None:
    found = check(policy_of(max_regression=0.01), facts_of(evaluation({"recall": 0.9}), baseline=baseline))
    assert found.status is FAILED
    assert f"cannot be compared: {says}" in found.message
    assert "the version behind champion" in found.remedy


def test_the_baselines_evidence_may_be_old_and_the_candidates_may_not() -> None:
    policy = policy_of(max_regression=0.01)
    old = evaluation({"recall": 0.9}, age="400d")
    assert check(policy, facts_of(evaluation({"recall": 0.9}), baseline=[old])).status is PASSED
    assert check(policy, facts_of(old)).status is AWAITING


def test_a_slice_that_the_baseline_has_cannot_be_left_out() -> None:
    policy = policy_of(max_regression=0.01, slices=[{"sex": "*"}])
    baseline = [evaluation({"recall": 0.9, "recall{sex=f}": 0.9, "recall{sex=m}": 0.9})]
    candidate = evaluation({"recall": 0.9, "recall{sex=f}": 0.9, "recall{sex=d}": 0.1})
    found = check(policy, facts_of(candidate, baseline=baseline))
    assert found.status is FAILED
    assert found.message.startswith("recall{sex=m}: not reported by evaluation; demanded")


@pytest.mark.parametrize(
    ("samples", "status", "says"),
    [
        ({"recall": 100}, PASSED, "on 100 samples at least"),
        ({"recall": 99}, FAILED, "recall is 0.9, on 99 samples"),
        ({}, FAILED, "recall is 0.9, no number of samples stated"),
    ],
)
def test_a_figure_must_rest_on_enough_samples(samples: dict[str, int], status: RuleStatus, says: str) -> None:
    found = check(
        policy_of(min_sample_count=100), facts_of(evaluation({"recall": 0.9}, sample_counts=samples))
    )
    assert (found.status, says in found.message) == (status, True), found.message


@pytest.mark.parametrize("claimed", [{"roles": ["publisher"]}, {"suite": "tests"}])
def test_figures_of_those_who_are_not_trusted_open_nothing(claimed: dict[str, Any]) -> None:
    facts = facts_of(evaluation({"recall": 0.5}), evaluation({"recall": 0.99}, **claimed))
    assert check(policy_of(at_least=0.9), facts).status is FAILED


def test_the_least_favourable_figure_counts_and_its_samples_with_it() -> None:
    good, bad = (
        evaluation({"recall": value}, sample_counts={"recall": samples})
        for value, samples in ((0.9, 500), (0.8, 10))
    )
    assert check(policy_of(at_least=0.85), facts_of(good, bad)).status is FAILED
    assert "on 10 samples" in check(policy_of(min_sample_count=100), facts_of(good, bad)).message


def test_figures_that_disagree_on_their_direction_are_no_figure() -> None:
    facts = facts_of(evaluation({"recall": 0.9}), evaluation({"recall": 0.9}, lower_is_better=["recall"]))
    assert "the attestations give no one direction" in check(policy_of(at_least=0.1), facts).message


@pytest.mark.parametrize(("result", "status"), [("FAILED", FAILED), ("WARNED", AWAITING)])
def test_what_the_figures_rest_on_must_be_there(result: str, status: RuleStatus) -> None:
    found = check(policy_of(at_least=0.1), facts_of(evaluation({"recall": 0.9}, result=result)))
    assert found.status is status
    assert "evaluation" in found.message


def test_many_failing_slices_are_counted() -> None:
    metrics = {"recall": 0.9} | {f"recall{{site={index}}}": 0.1 for index in range(30)}
    found = check(policy_of(at_least=0.5, slices=[{"site": "*"}]), facts_of(evaluation(metrics)))
    assert "; and 25 more; demanded" in found.message
    assert len(found.values) == 20


@given(
    value=st.floats(-1e6, 1e6),
    champion=st.floats(-1e6, 1e6),
    margin=st.floats(0, 1e3),
    lower=st.booleans(),
)
def test_better_than_the_baseline_is_never_a_regression(
    value: float, champion: float, margin: float, lower: bool
) -> None:
    better = champion - abs(value) if lower else champion + abs(value)
    worse = {"lower_is_better": ["recall"] if lower else []}
    facts = facts_of(
        evaluation({"recall": better}, **worse), baseline=[evaluation({"recall": champion}, **worse)]
    )
    assert check(policy_of(max_regression=margin), facts).status is PASSED


@pytest.mark.parametrize(
    ("margin", "of", "amount"),
    [(Margin(value=2), 50.0, 2.0), (Margin(value=2, is_percentage=True), -50.0, 1.0)],
)
def test_a_margin_is_an_amount_or_a_percentage(margin: Margin, of: float, amount: float) -> None:
    assert margin.amount(of) == amount


@pytest.mark.parametrize(
    ("demand", "field", "says"),
    [
        ({}, "metrics[0]", "demands nothing"),
        ({"at_least": 2, "at_most": 1}, "metrics[0].at_least", "no figure is at least 2.0 and at most 1.0"),
        (
            {"at_least": 1, "needs": ["other"]},
            "metrics[0].needs[0]",
            "not a rule of evidence with metrics: true",
        ),
        ({"at_least": 1, "needs": []}, "metrics[0].needs", "at least one is needed"),
        ({"at_least": 1, "overall": False}, "metrics[0].overall", "demands no figure"),
        ({"at_least": 1, "slices": [{}]}, "metrics[0].slices[0]", "that is overall"),
        ({"at_least": 1, "slices": [{"sex": []}]}, "metrics[0].slices[0].sex", "at least one is needed"),
        (
            {"at_least": 1, "slices": [{"a": [str(each) for each in range(101)]}]},
            "metrics[0].slices[0]",
            "more than 100 slices",
        ),
        ({"at_least": "high"}, "metrics[0].at_least", "valid number"),
        ({"at_least": 1e999}, "metrics[0].at_least", "valid number"),
        ({"max_regression": "a bit"}, "metrics[0].max_regression", "is no margin"),
        ({"max_regression": -1}, "metrics[0].max_regression", "is no margin"),
        ({"max_regression": True}, "metrics[0].max_regression", "is no margin"),
        ({"min_sample_count": 0}, "metrics[0].min_sample_count", "greater than or equal to 1"),
    ],
)
def test_a_mistake_is_named_with_its_field(demand: dict[str, Any], field: str, says: str) -> None:
    with pytest.raises(DocumentInvalidError) as caught:
        policy_of(**demand)
    (problem,) = caught.value.message.splitlines()
    assert problem.split(" ")[1] == f"{field}:"
    assert says in problem


def test_a_regression_needs_a_baseline_alias() -> None:
    text = HEAD.replace("baseline_alias: champion\n", "") + (
        "metrics: [{rule: r, needs: [evaluation], metric: m, max_regression: 1%}]\n"
    )
    with pytest.raises(DocumentInvalidError, match="the policy has no baseline_alias"):
        load_policy(text.encode())

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.errors import DocumentInvalidError
from carnet_policies.case_forms import FactsForm
from carnet_policies.document import load_policy
from carnet_policies.evaluation import RuleStatus
from carnet_policies.schema_scope import When
from carnet_policies.scope import fits_any, holds, narrows, scope_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from carnet_policies.document import Policy
    from carnet_policies.engine import PolicyEngine
    from carnet_policies.evaluation import Evaluation
    from carnet_policies.facts import Facts

PASSED, FAILED, AWAITING = RuleStatus.PASSED, RuleStatus.FAILED, RuleStatus.AWAITING
HEAD = """\
schema: carnet.policy/v1
environment: staging
version: 1
sources: [dev, lab]
"""
TIERED = (
    HEAD
    + """\
labels:
  risk_tier: {values: [low, high, critical], default: low, required_in: [medical, lending-*]}
  region: {values: [eu, us]}
evidence:
  - {rule: fairness, type: t, signers: [evaluator], when: {labels: {risk_tier: [high, critical]}}}
approvals:
  - {rule: one-approval, count: 1}
  - {rule: two-approvals, count: 2, when: {labels: {risk_tier: critical, region: eu}}}
"""
)


def policy_of(text: str) -> Policy:
    return load_policy(text.encode(), name="p.yaml")


def problems(text: str) -> list[str]:
    with pytest.raises(DocumentInvalidError) as caught:
        policy_of(text)
    return caught.value.message.splitlines()


def facts_of(*, labels: dict[str, str] | None = None, **fields: Any) -> Facts:
    given = {"source": "dev", "manifest": {"labels": labels or {}}} | fields
    return FactsForm.model_validate_json(json.dumps(given)).spell_out("staging")


def status(evaluation: Evaluation) -> dict[str, RuleStatus]:
    return {result.rule: result.status for result in evaluation.results}


def test_a_policy_that_asks_the_same_of_everything_has_no_rule_of_scope(engine: PolicyEngine) -> None:
    policy = policy_of(HEAD)
    assert "scope" not in policy.rule_ids
    assert "scope" not in status(engine.evaluate(policy, facts_of()))


def test_what_is_not_demanded_has_no_result_and_is_named(engine: PolicyEngine) -> None:
    evaluation = engine.evaluate(policy_of(TIERED), facts_of(labels={"risk_tier": "low", "region": "eu"}))
    assert status(evaluation) == {
        "source": PASSED,
        "scope": PASSED,
        "signature": PASSED,
        "one-approval": AWAITING,
    }
    scope = evaluation.results[1]
    assert scope.message == "risk_tier is low; region is eu; not demanded here: fairness, two-approvals"
    assert scope.values == {"risk_tier": "low", "region": "eu", "not_demanded": "fairness, two-approvals"}


def test_every_criterion_must_hold() -> None:
    found = scope_of(policy_of(TIERED).document, facts_of(labels={"risk_tier": "critical", "region": "us"}))
    assert [each.rule for each in found.document.approvals] == ["one-approval"]
    assert [each.rule for each in found.document.evidence] == ["fairness"]


def test_a_label_that_is_left_out_counts_as_the_default_and_says_so() -> None:
    found = scope_of(policy_of(TIERED).document, facts_of(labels={"region": "eu"}))
    assert found.result is not None
    assert found.result.status is PASSED
    assert "risk_tier is low (left out: the policy's default)" in found.result.message
    assert found.document.evidence == ()


@pytest.mark.parametrize(
    ("labels", "namespace", "says"),
    [
        ({"risk_tier": "critical"}, "risk", "leaves out the label region (eu, us)"),
        ({"risk_tier": "critical", "region": "mars"}, "risk", "the label region is 'mars', which is none of"),
        ({"region": "eu"}, "medical", "leaves out the label risk_tier"),
        ({"region": "eu"}, "lending-eu", "leaves out the label risk_tier"),
        ({"region": "eu", "risk_tier": "hihg"}, "risk", "the label risk_tier is 'hihg'"),
    ],
)
def test_a_label_that_is_not_known_is_refused_and_takes_nothing_out(
    engine: PolicyEngine, labels: dict[str, str], namespace: str, says: str
) -> None:
    evaluation = engine.evaluate(policy_of(TIERED), facts_of(labels=labels, namespace=namespace))
    found = status(evaluation)
    assert found["scope"] is FAILED
    assert says in evaluation.results[1].message
    assert {"fairness", "two-approvals"} & set(found)


ORDERED = (
    TIERED.replace("default: low,", "default: low, never_below_baseline: true,")
    + "baseline_alias: champion\n"
)


@pytest.mark.parametrize(
    ("own", "champion", "expected"),
    [
        ("critical", "critical", PASSED),
        ("critical", "low", PASSED),
        ("low", "critical", FAILED),
        ("low", "high", FAILED),
        (None, "high", FAILED),
        ("low", None, PASSED),
        ("low", "of-long-ago", PASSED),
    ],
)
def test_a_tier_below_the_baselines_takes_nothing_out(
    engine: PolicyEngine, own: str | None, champion: str | None, expected: RuleStatus
) -> None:
    before = {"manifest": {"labels": {} if champion is None else {"risk_tier": champion}}}
    labels = {"region": "eu"} | ({} if own is None else {"risk_tier": own})
    evaluation = engine.evaluate(policy_of(ORDERED), facts_of(labels=labels, baseline=before))
    assert status(evaluation)["scope"] is expected
    assert ("fairness" in status(evaluation)) is (expected is FAILED or own == "critical")
    assert (
        expected is PASSED
        or "and that of the version it is compared with is" in evaluation.results[1].message
    )


def test_labels_that_are_no_mapping_are_left_out(engine: PolicyEngine) -> None:
    facts = facts_of(manifest={"labels": ["critical"]})
    assert status(engine.evaluate(policy_of(TIERED), facts))["scope"] is FAILED


@pytest.mark.parametrize(
    ("when", "fields", "expected"),
    [
        ({"aliases": ["champion"]}, {"alias": "champion"}, True),
        ({"aliases": ["champion"]}, {"alias": ""}, False),
        ({"sources": ["dev"]}, {"source": "dev"}, True),
        ({"sources": ["dev"]}, {"source": ""}, False),
        ({"namespaces": ["medical-*"]}, {"namespace": "medical-eu"}, True),
        ({"namespaces": ["medical-*"]}, {"namespace": "medical"}, False),
        ({"namespaces": ["risk"], "aliases": ["champion"]}, {"namespace": "risk"}, False),
    ],
)
def test_a_when_selects_by_what_is_promoted(
    when: dict[str, Any], fields: dict[str, Any], expected: bool
) -> None:
    assert holds(When.model_validate_json(json.dumps(when)), {}, facts_of(**fields)) is expected


@pytest.mark.parametrize(
    ("patterns", "namespace", "fits"),
    [
        (["*"], "risk", True),
        (["risk"], "risk", True),
        (["risk"], "risky", False),
        (["*-eu"], "risk-eu", True),
        (["a*c"], "abc", True),
        (["a", "b*"], "bc", True),
    ],
)
def test_patterns_of_namespaces(patterns: list[str], namespace: str, fits: bool) -> None:
    assert fits_any(patterns, namespace) is fits


WHENS = st.fixed_dictionaries(
    {},
    optional={
        "labels": st.dictionaries(
            st.sampled_from(["x", "y"]), st.sets(st.sampled_from(["1", "2", "3"]), min_size=1).map(sorted)
        ),
        "aliases": st.lists(st.sampled_from(["a", "b"]), max_size=2),
        "sources": st.lists(st.sampled_from(["dev", "lab"]), max_size=2),
        "namespaces": st.lists(st.sampled_from(["*", "n", "n*"]), max_size=2),
    },
).map(
    lambda fields: When.model_construct(
        **{"labels": {}, "aliases": (), "sources": (), "namespaces": ()} | fields
    )
)


@given(
    WHENS,
    WHENS,
    st.fixed_dictionaries(
        {"x": st.sampled_from([None, "1", "2", "3"]), "y": st.sampled_from([None, "1", "2", "3"])}
    ),
    st.sampled_from(["", "a", "b"]),
    st.sampled_from(["", "dev", "lab"]),
    st.sampled_from(["n", "nn", "m"]),
)
def test_what_a_narrower_when_selects_the_wider_one_does(
    inner: When, outer: When, labels: dict[str, str | None], alias: str, source: str, namespace: str
) -> None:
    facts = facts_of(alias=alias, source=source, namespace=namespace)
    if narrows(inner, outer) and holds(inner, labels, facts):
        assert holds(outer, labels, facts)


@pytest.mark.parametrize(
    ("text", "begins", "says"),
    [
        (
            "approvals: {rule: a, count: 1, when: {labels: {risk: high}}}\n",
            "p.yaml:5:48: approvals.when.labels.risk: ",
            "the policy declares no label 'risk': a version could leave it out",
        ),
        (
            "labels: {risk: {values: [low, high]}}\napprovals: {rule: a, count: 1, when: {labels: {risk: hgh}}}\n",
            "p.yaml:6:48: approvals.when.labels.risk: ",
            "risk is never 'hgh'; did you mean 'high'?",
        ),
        (
            "approvals: [{rule: a, count: 1}, {rule: b, count: 0}]\n",
            "p.yaml:5:44: approvals[1].count: ",
            "greater than or equal to 1",
        ),
        ("approvals: {rule: a, count: 1, when: {}}\n", "p.yaml:5:32: approvals.when: ", "selects by nothing"),
        (
            "approvals: {rule: a, count: 1, when: {alias: [x]}}\n",
            "p.yaml:5:39: approvals.when.alias: ",
            "did you mean 'aliases'?",
        ),
        ("labels: {risk: {values: []}}\n", "p.yaml:5:17: labels.risk.values: ", "at least one"),
        ("labels: {risk: {values: [a, a]}}\n", "p.yaml:5:17: labels.risk.values: ", "the same value twice"),
        (
            "labels: {risk: {values: [a, b], default: c}}\n",
            "p.yaml:5:10: labels.risk: ",
            "the default 'c' is none of the values a, b",
        ),
        (
            "labels: {risk: {values: [a], never_below_baseline: true}}\n",
            "p.yaml:5:30: labels.risk.never_below_baseline: ",
            "no baseline_alias",
        ),
        (
            "labels: {risk: {values: [a], default: a, required_in: ['A?']}}\n",
            "p.yaml:5:56: labels.risk.required_in[0]: ",
            "no pattern of one",
        ),
        (
            """\
evidence: [{rule: e, type: t, signers: [s], when: {aliases: [champion]}}]
rules: [{rule: r, needs: [e], expression: 'true', message: m, remedy: r}]
""",
            "p.yaml:6:27: rules[0].needs[0]: ",
            "'e' is not demanded of every version that this rule is for",
        ),
        (
            "metadata: [{required: [owner]}, {required: [ownr], rule: more}]\n",
            "p.yaml:5:45: metadata[1].required[0]: ",
            "did you mean 'owner'?",
        ),
        (
            "metadata: [{required: [owner]}, {required: [owner]}]\n",
            "p.yaml:5:33: metadata[1].rule: ",
            "'metadata' is the id of another rule",
        ),
        ("approvals: {rule: scope, count: 1}\n", "p.yaml:5:13: approvals.rule: ", "id of another rule"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_field(text: str, begins: str, says: str) -> None:
    (problem,) = problems(HEAD + text)
    assert problem.startswith(begins)
    assert says in problem


def test_an_expression_with_the_same_when_as_its_need_runs_only_where_that_is_demanded(
    engine: PolicyEngine,
) -> None:
    policy = policy_of(
        HEAD
        + "evidence: [{rule: e, type: t, signers: [s], when: {aliases: [champion, shadow]}}]\n"
        + "rules: [{rule: r, needs: [e], expression: 'true', message: m, remedy: r, when: {aliases: [champion]}}]\n"
    )
    evidence = [{"type": "t", "roles": ["s"]}]
    found = [
        status(engine.evaluate(policy, facts_of(alias=alias, evidence=evidence)))
        for alias in ("champion", "shadow", "")
    ]
    assert [("e" in each, "r" in each) for each in found] == [(True, True), (True, False), (False, False)]


def test_figures_of_a_demand_that_is_not_asked_are_not_read(
    engine: PolicyEngine, make_facts: Callable[..., Facts]
) -> None:
    policy = policy_of(
        HEAD
        + "evidence:\n"
        + "  - {rule: e, type: 'https://in-toto.io/attestation/test-result/v0.1', signers: [s], metrics: true}\n"
        + "  - {rule: f, type: 'https://in-toto.io/attestation/test-result/v0.1', signers: [evaluator],"
        + " metrics: true, when: {aliases: [champion]}}\n"
        + "rules: [{rule: r, needs: [e], expression: 'metrics[\"roc_auc\"] > 0.5', message: m, remedy: r}]\n"
    )
    evidence = [{"roles": ["s"]}, {"roles": ["evaluator"], "metrics": {"roc_auc": 0.9}}]
    assert status(engine.evaluate(policy, make_facts(evidence=evidence, alias="champion")))["r"] is PASSED
    assert status(engine.evaluate(policy, make_facts(evidence=evidence)))["r"] is FAILED

from __future__ import annotations

import json
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carnet_policies.document import load_policy
from carnet_policies.engine import PolicyEngine
from carnet_policies.evaluation import RuleStatus
from carnet_policies.expressions import rule_result
from carnet_policies.protocol import Answer
from carnet_policies.shipped import SHIPPED, shipped_policy

if TYPE_CHECKING:
    from collections.abc import Callable

    from carnet_policies.document import Policy
    from carnet_policies.evaluation import Evaluation, RuleResult
    from carnet_policies.facts import Facts

    Make = Callable[..., Facts]
    PolicyOf = Callable[..., Policy]

PASSED, FAILED, AWAITING = RuleStatus


def by_rule(evaluation: Evaluation) -> dict[str, RuleResult]:
    return {result.rule: result for result in evaluation.results}


def test_a_policy_that_holds_passes(engine: PolicyEngine, make_facts: Make, policy_of: PolicyOf) -> None:
    policy = policy_of('metrics["roc_auc"] >= 0.97')
    evaluation = engine.evaluate(policy, make_facts())
    assert evaluation.outcome is PASSED
    assert evaluation.policy_digest == policy.digest
    assert [result.rule for result in evaluation.results] == ["source", "signature", "evaluation", "r0"]


@pytest.mark.parametrize("environment", SHIPPED)
def test_every_rule_has_one_result_in_the_policys_order(
    engine: PolicyEngine, make_facts: Make, environment: str
) -> None:
    policy = load_policy(shipped_policy(environment))
    facts = make_facts(target=environment, alias="champion", manifest={"labels": {"risk_tier": "critical"}})
    results = engine.evaluate(policy, facts).results
    assert tuple(result.rule for result in results) == policy.rule_ids


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ('metrics["roc_auc"] >= 0.99', "said"),
        ('metrics["missing"] >= 0.0', "could not be evaluated: Key not found"),
        ('metrics["missing"] < 0.0 || metrics["missing"] >= 0.0', "could not be evaluated"),
        ("baseline_metrics.all(k, true) && 1 / 0 == 0", "divide by zero"),
        ('manifest.hyperparameters["x"] == 1.0', "could not be evaluated"),
    ],
)
def test_a_rule_that_is_false_or_an_error_fails(
    engine: PolicyEngine, make_facts: Make, policy_of: PolicyOf, expression: str, says: str
) -> None:
    result = by_rule(engine.evaluate(policy_of(expression), make_facts()))["r0"]
    assert result.status is FAILED
    assert says in result.message
    assert result.remedy == "do"


def test_an_error_beside_true_does_not_stand_in_for_evidence(
    engine: PolicyEngine, make_facts: Make, policy_of: PolicyOf
) -> None:
    policy = policy_of('metrics["roc_auc"] >= 0.97 || true')
    assert by_rule(engine.evaluate(policy, make_facts(evidence=[])))["r0"].status is AWAITING
    failed = make_facts(evidence=[{"suite": "evaluation", "roles": ["evaluator"], "result": "FAILED"}])
    assert by_rule(engine.evaluate(policy, failed))["r0"].status is FAILED


@pytest.mark.parametrize("kind", ["value", "error", "memory"])
def test_an_answer_of_any_other_kind_fails_the_rule(policy_of: PolicyOf, kind: str) -> None:
    (rule,) = policy_of("true").document.rules
    result = rule_result(rule, Answer(kind, value=True, text="the text", values={}))
    assert result.status is FAILED
    assert "the text" in result.message


def test_no_process_is_started_for_rules_that_may_not_run(make_facts: Make, policy_of: PolicyOf) -> None:
    with PolicyEngine() as engine:
        engine.evaluate(policy_of("true"), make_facts(evidence=[]))
        assert engine.worker_pid is None


FIGURES = """\
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
    metrics: true
rules:
  - rule: roc-auc-floor
    needs: [evaluation]
    expression: metrics["roc_auc"] >= 0.97
    values: {roc_auc: 'metrics["roc_auc"]'}
    message: roc_auc is {roc_auc}; at least 0.97 is demanded
    remedy: Improve the model.
  - rule: recall-floor
    needs: [evaluation]
    expression: metrics["recall"] >= 0.93
    values: {recall: 'metrics["recall"]'}
    message: recall is {recall}
    remedy: Improve the model.
  - rule: no-regression
    needs: [evaluation]
    expression: 'has_baseline ? metrics["roc_auc"] >= baseline_metrics["roc_auc"] - 0.005 : true'
    message: m
    remedy: r
"""


def test_messages_and_remedies_show_the_values(engine: PolicyEngine, make_facts: Make) -> None:
    policy = load_policy(FIGURES.encode())
    result = by_rule(engine.evaluate(policy, make_facts()))["roc-auc-floor"]
    assert result.message == "roc_auc is 0.98; at least 0.97 is demanded"
    assert result.values == {"roc_auc": "0.98"}
    poor = make_facts(evidence=[{"suite": "evaluation", "roles": ["evaluator"], "metrics": {"roc_auc": 0.5}}])
    results = by_rule(engine.evaluate(policy, poor))
    assert results["roc-auc-floor"].message == "roc_auc is 0.5; at least 0.97 is demanded"
    assert "Key not found" in results["recall-floor"].values["recall"]


def test_braces_in_a_value_are_not_taken_for_a_placeholder(engine: PolicyEngine, make_facts: Make) -> None:
    rule = {
        "rule": "r",
        "expression": "false",
        "values": {"a": "manifest.owner"},
        "message": "{a}",
        "remedy": "r",
    }
    head = "schema: carnet.policy/v1\nenvironment: staging\nversion: 1\nsources: [dev]\n"
    policy = load_policy(f"{head}rules: {json.dumps([rule])}".encode())
    facts = make_facts(manifest={"owner": "{a}{b}\\1"})
    assert by_rule(engine.evaluate(policy, facts))["r"].message == "{a}{b}\\1"


def test_expressions_see_what_the_facts_say(
    engine: PolicyEngine, make_facts: Make, policy_of: PolicyOf
) -> None:
    policy = policy_of(
        'source == "dev" && target == "staging" && target_namespace == "risk" && alias == "champion"',
        'manifest.owner == "team-risk" && manifest.lineage.code.commit.startsWith("0123")',
        'evidence.exists(e, e.suite == "evaluation" && e.result == "PASSED" && e.signer == "signer")',
        "!has_baseline && baseline_metrics.size() == 0",
    )
    assert engine.evaluate(policy, make_facts(alias="champion")).outcome is PASSED


def test_expressions_see_the_baseline(engine: PolicyEngine, make_facts: Make, policy_of: PolicyOf) -> None:
    policy = policy_of('has_baseline && baseline.owner == "old" && baseline_metrics["roc_auc"] == 0.9')
    evidence = [{"suite": "evaluation", "roles": ["evaluator"], "metrics": {"roc_auc": 0.9}}]
    facts = make_facts(baseline={"manifest": {"owner": "old"}, "evidence": evidence})
    assert engine.evaluate(policy, facts).outcome is PASSED


@pytest.mark.parametrize(
    "manifest", [{"unknown": 1}, {"owner": 7}, {"version": "x"}, {"owner": "\ud800"}, {"files": {"a": 1}}]
)
def test_facts_that_no_expression_can_read_fail_its_rule(
    engine: PolicyEngine, make_facts: Make, policy_of: PolicyOf, manifest: dict[str, Any]
) -> None:
    facts = make_facts()
    broken = replace(facts, manifest=dict(facts.manifest) | manifest)
    results = by_rule(engine.evaluate(policy_of('manifest.owner == "x"', "true"), broken))
    assert results["r0"].status is FAILED
    assert "cannot be read by expressions" in results["r0"].message
    assert results["r1"].status is FAILED


def test_a_suite_that_is_no_text_fails_the_rules(
    engine: PolicyEngine, make_facts: Make, policy_of: PolicyOf
) -> None:
    facts = make_facts()
    more = replace(facts.evidence[0], suite="\udfff")
    evaluation = engine.evaluate(policy_of("true"), replace(facts, evidence=(*facts.evidence, more)))
    assert by_rule(evaluation)["r0"].status is FAILED


def test_an_expression_that_eats_memory_fails_and_so_do_those_after_it(
    make_facts: Make, policy_of: PolicyOf
) -> None:
    bomb = "[[1]]" + (".map(a, " + "+".join("a" * 20) + ")") * 8 + ".size() == 1"
    with PolicyEngine() as engine:
        results = by_rule(engine.evaluate(policy_of("true", bomb, "true"), make_facts()))
        assert [results[rule].status for rule in ("r0", "r1", "r2")] == [PASSED, FAILED, FAILED]
        assert "memory" in results["r1"].message
        assert engine.evaluate(policy_of("true"), make_facts()).outcome is PASSED


def test_a_stuck_worker_is_replaced(make_facts: Make, policy_of: PolicyOf) -> None:
    with PolicyEngine(deadline_seconds=0.3) as engine:
        engine.evaluate(policy_of("true"), make_facts())
        stuck = engine.worker_pid
        assert stuck is not None
        os.kill(stuck, signal.SIGSTOP)
        result = by_rule(engine.evaluate(policy_of("true"), make_facts()))["r0"]
        assert result.status is FAILED
        assert "deadline" in result.message
        assert engine.evaluate(policy_of("true"), make_facts()).outcome is PASSED
        assert engine.worker_pid != stuck


def test_closing_leaves_no_process(make_facts: Make, policy_of: PolicyOf) -> None:
    engine = PolicyEngine()
    engine.evaluate(policy_of("true"), make_facts())
    pid = engine.worker_pid
    assert pid is not None
    engine.close()
    assert not psutil.pid_exists(pid)


def test_many_threads_use_one_engine(engine: PolicyEngine, make_facts: Make, policy_of: PolicyOf) -> None:
    policy = policy_of('metrics["roc_auc"] >= 0.97', values={"seen": 'metrics["roc_auc"]'})

    def evaluate(number: int) -> bool:
        roc_auc = number / 100
        evidence = [{"suite": "evaluation", "roles": ["evaluator"], "metrics": {"roc_auc": roc_auc}}]
        result = by_rule(engine.evaluate(policy, make_facts(evidence=evidence)))["r0"]
        return result.values["seen"] == repr(roc_auc) and (result.status is PASSED) is (roc_auc >= 0.97)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(evaluate, range(100)))


METRICS = st.dictionaries(st.sampled_from(["roc_auc", "recall", "other"]), st.floats(0, 1), max_size=3)
EVIDENCE = st.lists(
    st.fixed_dictionaries(
        {
            "suite": st.sampled_from(["evaluation", "integration"]),
            "roles": st.sampled_from([["evaluator"], ["publisher"], []]),
            "result": st.sampled_from(["PASSED", "WARNED", "FAILED"]),
            "metrics": METRICS,
        }
    ),
    max_size=3,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(EVIDENCE, st.none() | st.fixed_dictionaries({"evidence": EVIDENCE}))
def test_no_facts_make_a_rule_pass_with_an_error(
    engine: PolicyEngine, make_facts: Make, evidence: list[Any], baseline: dict[str, Any] | None
) -> None:
    """As demands, as expressions, and written down a third time in Python, the same rules say the same."""
    facts = make_facts(evidence=evidence, baseline=baseline)
    results = by_rule(engine.evaluate(load_policy(shipped_policy("staging")), facts))
    expressed = by_rule(engine.evaluate(load_policy(FIGURES.encode()), facts))
    metrics, champion = worst(evidence), worst(baseline["evidence"]) if baseline else {}
    of_suite = [item["result"] for item in evidence if item["suite"] == "evaluation"]
    ready = "FAILED" not in of_suite and bool(trusted(evidence))
    assert (results["evaluation"].status is PASSED) is ready
    missing = float("-inf")
    assert (results["roc-auc-floor"].status is PASSED) is (ready and metrics.get("roc_auc", missing) >= 0.97)
    assert (results["recall-floor"].status is PASSED) is (ready and metrics.get("recall", missing) >= 0.93)
    comparable = baseline is None or "roc_auc" in champion
    holds = comparable and metrics.get("roc_auc", missing) >= champion.get("roc_auc", missing) - 0.005
    is_reported = "roc_auc" in metrics
    assert (results["no-regression"].status is PASSED) is (ready and holds and is_reported)
    for rule in ("evaluation", "roc-auc-floor", "recall-floor"):
        assert results[rule].status is expressed[rule].status
    if is_reported:
        assert results["no-regression"].status is expressed["no-regression"].status


def trusted(evidence: list[Any]) -> list[Any]:
    wanted = ("evaluation", ["evaluator"], "PASSED")
    return [item for item in evidence if (item["suite"], item["roles"], item["result"]) == wanted]


def worst(evidence: list[Any]) -> dict[str, float]:
    figures: dict[str, float] = {}
    for item in trusted(evidence):
        for name, value in item["metrics"].items():
            figures[name] = min(value, figures.get(name, value))
    return figures


def test_importing_the_engine_loads_no_grpc() -> None:
    program = "import sys, carnet_policies.engine, carnet_policies.cases; sys.exit('grpc' in sys.modules)"
    assert os.spawnv(os.P_WAIT, sys.executable, [sys.executable, "-c", program]) == 0


def test_no_module_imports_the_server() -> None:
    package = Path(sys.modules[PolicyEngine.__module__].__file__ or "").parent
    sources = [path.read_text() for path in package.glob("*.py")]
    assert sources
    assert not [text for text in sources if "carnet_server" in text or "import grpc" in text]

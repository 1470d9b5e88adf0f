from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from carnet.errors import DocumentInvalidError
from carnet_policies.cases import run_cases
from carnet_policies.guardrails import Samples
from carnet_policies.rollout_cases import SamplesForm

if TYPE_CHECKING:
    from pathlib import Path

    from carnet_policies.cases import CasesReport
    from carnet_policies.engine import PolicyEngine

POLICY = """\
schema: carnet.policy/v1
environment: lab
version: 1
sources: [dev]
rollouts:
  guardrails:
    - {rule: errors, metric: error_rate, direction: lower_is_better, max_regression: 0.01}
    - {rule: latency, metric: latency_ms, direction: lower_is_better, at_most: 50, kinds: [split]}
"""
CASES = "schema: carnet.policy-cases/v1\npolicy: lab.yaml\ncases: [{case: c, facts: {source: dev}}]\n"
BAD = "challenger: {error_rate: {count: 2000, mean: 0.5}}, champion: {error_rate: {count: 2000, mean: 0.1}}"
GOOD = BAD.replace("0.5", "0.1")


def run(folder: Path, engine: PolicyEngine, rollouts: str, *, policy: str = POLICY) -> CasesReport:
    (folder / "lab.yaml").write_text(policy)
    path = folder / "lab.cases.yaml"
    path.write_text(f"{CASES}rollouts: {rollouts}\n")
    return run_cases(path, engine)


@pytest.mark.parametrize(
    ("case", "mismatch"),
    [
        (f"rollout: {{{GOOD}}}", None),
        (f"rollout: {{{GOOD}}}, expect: {{errors: HOLDING}}", None),
        (f"rollout: {{{BAD}}}, expect: {{errors: BREACHED}}", None),
        (f"rollout: {{{BAD}}}", "errors: expected HOLDING, was BREACHED: error_rate 0.5 over 2,000 samples"),
        (f"rollout: {{{GOOD}}}, expect: {{errors: BREACHED}}", "errors: expected BREACHED, was HOLDING: "),
        (f"rollout: {{{GOOD}}}, expect: {{latency: COLLECTING}}", None),
        (f"rollout: {{{GOOD}}}, expect: {{latency: HOLDING}}", "latency: expected HOLDING, was COLLECTING: "),
        (f"rollout: {{kind: shadow, {GOOD}}}, expect: {{latency: NOT_DEMANDED}}", None),
        (
            f"rollout: {{kind: shadow, {GOOD}}}, expect: {{latency: HOLDING}}",
            "latency: expected HOLDING, and it is not demanded here",
        ),
        (
            f"rollout: {{{GOOD}}}, expect: {{errors: NOT_DEMANDED}}",
            "errors: expected NOT_DEMANDED, was HOLDING",
        ),
        (
            "rollout: {challenger: {error_rate: {count: 9, mean: 0}}}",
            "errors: expected HOLDING, was COLLECTING",
        ),
        ("rollout: {challenger: {latency_ms: {count: 900, mean: 45, standard_deviation: 30}}}", None),
    ],
)
def test_a_case_says_what_guardrails_must_say(
    tmp_path: Path, engine: PolicyEngine, case: str, mismatch: str | None
) -> None:
    report = run(tmp_path, engine, f"[{{case: r, {case}}}]")
    (outcome,) = report.rollouts
    assert outcome.passed is report.passed is (mismatch is None), outcome.mismatches
    assert mismatch is None or outcome.mismatches[0].startswith(mismatch)


def test_guardrails_that_no_case_breaches_are_told(tmp_path: Path, engine: PolicyEngine) -> None:
    report = run(tmp_path, engine, f"[{{case: r, rollout: {{{BAD}}}, expect: {{errors: BREACHED}}}}]")
    assert report.never_refused == ("source", "signature", "latency")


@pytest.mark.parametrize(
    ("rollouts", "says"),
    [
        (
            "[{case: r, expect: {erors: HOLDING}}]",
            "4:31: rollouts[0].expect: lab.yaml has no guardrail 'erors'",
        ),
        ("[{case: r, expect: {errors: holding}}]", "rollouts[0].expect.errors"),
        (
            "[{case: r, rollout: {challenger: {m: {count: 0, mean: 0}}}}]",
            "rollouts[0].rollout.challenger.m.count",
        ),
        ("[{case: r, rollout: {challenger: {m: {count: 1, mean: 7}}}}]", "the mean 7 is no rate"),
        ("[{case: r, rollout: {challenger: {m: {count: 1, mean: .nan}}}}]", "finite number"),
        (
            "[{case: r, rollout: {challenger: {m: {count: 1, mean: 1, standard_deviation: -1}}}}]",
            "greater than",
        ),
        ("[{case: r, rollout: {kind: canary}}]", "rollouts[0].rollout.kind"),
        ("[{case: r, rollout: {phases: 0}}]", "rollouts[0].rollout.phases"),
    ],
)
def test_malformed_cases_are_refused_with_their_place(
    tmp_path: Path, engine: PolicyEngine, rollouts: str, says: str
) -> None:
    with pytest.raises(DocumentInvalidError) as caught:
        run(tmp_path, engine, rollouts)
    assert "lab.cases.yaml:4:" in caught.value.message
    assert says in caught.value.message


def test_a_policy_without_guardrails_has_none_to_name(tmp_path: Path, engine: PolicyEngine) -> None:
    policy = POLICY.partition("rollouts:")[0]
    with pytest.raises(DocumentInvalidError, match="has no guardrail 'errors': it has none"):
        run(tmp_path, engine, "[{case: r, expect: {errors: HOLDING}}]", policy=policy)


def test_samples_are_spelt_out_as_sums() -> None:
    assert SamplesForm(count=1000, mean=0.0206).spell_out() == Samples(1000, 21.0, 21.0)
    found = SamplesForm(count=50, mean=30.0, standard_deviation=4.0).spell_out()
    assert (found.mean, found.variance) == (30, pytest.approx(16))

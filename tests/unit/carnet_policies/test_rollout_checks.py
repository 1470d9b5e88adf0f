from __future__ import annotations

import pytest

from carnet.errors import DocumentInvalidError
from carnet_policies.document import load_policy

HEAD = """\
schema: carnet.policy/v1
environment: prod
version: 1
sources: [staging]
labels: {risk_tier: {values: [low, high, critical], default: high}}
evidence: [{rule: evaluation, type: evaluation, signers: [evaluator]}]
"""
ERRORS = "rule: errors, metric: error_rate, direction: lower_is_better"
FAST = "rule: fast, metric: latency_ms, direction: lower_is_better, at_most: 50"


def policy(*guardrails: str, terms: str = "") -> bytes:
    listed = "".join(f"    - {{{each}}}\n" for each in guardrails)
    return (HEAD + "rollouts:\n" + terms + (f"  guardrails:\n{listed}" if guardrails else "")).encode()


@pytest.mark.parametrize(
    ("data", "place", "says"),
    [
        (
            policy("rule: errors, metric: error_rate, at_most: 0.1"),
            "9:7: rollouts.guardrails[0].direction",
            "required, and missing",
        ),
        (
            policy(f"{ERRORS.replace('lower', 'less')}, at_most: 0.1"),
            "9:42: rollouts.guardrails[0].direction",
            "'higher_is_better' or 'lower_is_better'",
        ),
        (
            policy(ERRORS),
            "9:7: rollouts.guardrails[0]",
            "bounds nothing: give at_least, at_most or max_regression",
        ),
        (policy(f"{ERRORS}, at_most: .nan"), "9:70: rollouts.guardrails[0].at_most", "finite number"),
        (policy(f"{ERRORS}, at_most: .inf"), "9:70: rollouts.guardrails[0].at_most", "finite number"),
        (policy(f"{ERRORS}, at_most: '0.1'"), "9:70: rollouts.guardrails[0].at_most", "valid number"),
        (
            policy(f"{ERRORS}, at_least: 0.1"),
            "9:70: rollouts.guardrails[0].at_least",
            "a floor for what is better the lower it is: that is at_most",
        ),
        (
            policy(f"{ERRORS.replace('lower', 'higher')}, at_most: 0.1"),
            "9:71: rollouts.guardrails[0].at_most",
            "a ceiling for what is better the higher it is: that is at_least",
        ),
        (
            policy(f"{ERRORS}, max_regression: .nan"),
            "9:70: rollouts.guardrails[0].max_regression",
            "is no margin",
        ),
        (
            policy(f"{ERRORS}, max_regression: -1%"),
            "9:70: rollouts.guardrails[0].max_regression",
            "is no margin",
        ),
        (
            policy(f"{ERRORS}, at_most: 1, false_alarm_rate: 0"),
            "9:82: rollouts.guardrails[0].false_alarm_rate",
            "greater than or equal to 0.000001",
        ),
        (
            policy(f"{ERRORS}, at_most: 1, false_alarm_rate: .nan"),
            "9:82: rollouts.guardrails[0].false_alarm_rate",
            "it is nan",
        ),
        (
            policy(f"{ERRORS}, at_most: 1, min_samples: 1"),
            "9:82: rollouts.guardrails[0].min_samples",
            "greater than or equal to 2",
        ),
        (
            policy(f"{ERRORS}, at_most: 1, kinds: []"),
            "9:82: rollouts.guardrails[0].kinds",
            "at least one is needed",
        ),
        (
            policy(f"{ERRORS}, at_most: 1, kinds: [canary]"),
            "9:90: rollouts.guardrails[0].kinds[0]",
            "'shadow' or 'split'",
        ),
        (
            policy(f"{ERRORS}, at_most: 1, kinds: [split, split]"),
            "9:82: rollouts.guardrails[0].kinds",
            "the same kind twice",
        ),
        (
            policy(f"{ERRORS.replace('error_rate', '5xx')}, at_most: 1"),
            "9:22: rollouts.guardrails[0].metric",
            "match pattern",
        ),
        (
            policy(f"{ERRORS.replace('errors', 'evaluation')}, at_most: 1"),
            "9:8: rollouts.guardrails[0].rule",
            "'evaluation' is the id of another rule",
        ),
        (
            policy(f"{ERRORS}, at_most: 1", FAST.replace("rule: fast", "rule: errors")),
            "10:8: rollouts.guardrails[1].rule",
            "'errors' is the id of another rule",
        ),
        (
            policy(f"{ERRORS.replace('errors', 'source')}, at_most: 1"),
            "9:8: rollouts.guardrails[0].rule",
            "'source' is the id of another rule",
        ),
        (
            policy(f"{ERRORS}, at_most: 1, when: {{labels: {{tier: low}}}}"),
            "9:98: rollouts.guardrails[0].when.labels.tier",
            "declares no label 'tier'",
        ),
        (
            policy(f"{ERRORS}, at_most: 1, when: {{labels: {{risk_tier: hihg}}}}"),
            "9:98: rollouts.guardrails[0].when.labels.risk_tier",
            "risk_tier is never 'hihg'; did you mean 'high'?",
        ),
        (
            policy(f"{ERRORS}, at_most: 1, when: {{sources: [staging]}}"),
            "9:89: rollouts.guardrails[0].when.sources",
            "a rollout comes from no environment",
        ),
        (
            policy(f"{ERRORS}, at_most: 1, when: {{}}"),
            "9:82: rollouts.guardrails[0].when",
            "selects by nothing",
        ),
        (
            policy(
                f"{ERRORS}, at_most: 1, kinds: [split]",
                "rule: other, metric: error_rate, direction: higher_is_better, at_least: 1, kinds: [shadow]",
            ),
            "10:41: rollouts.guardrails[1].direction",
            "error_rate is lower_is_better in 'errors'",
        ),
        (
            policy(f"{ERRORS}, at_most: 1", f"{ERRORS.replace('errors', 'looser')}, at_most: 2"),
            "10:8: rollouts.guardrails[1].rule",
            "never matters: 'errors' is at least as strict wherever this one is asked",
        ),
        (
            policy(f"{ERRORS}, at_most: 2", f"{ERRORS.replace('errors', 'stricter')}, at_most: 1"),
            "9:8: rollouts.guardrails[0].rule",
            "never matters: 'stricter' is at least as strict",
        ),
        (
            policy(
                f"{ERRORS}, max_regression: 1%",
                f"{ERRORS.replace('errors', 'same')}, max_regression: 1%, when: {{aliases: [champion]}}",
            ),
            "10:8: rollouts.guardrails[1].rule",
            "never matters: 'errors' is at least as strict",
        ),
        (
            policy(f"{ERRORS}, at_most: 1", f"{ERRORS.replace('errors', 'same')}, at_most: 1"),
            "10:8: rollouts.guardrails[1].rule",
            "never matters: 'errors' is at least as strict",
        ),
        (
            policy(terms="  max_silence: 1m\n"),
            "8:3: rollouts.max_silence",
            "max_silence, 1m, is less than two reporting intervals of 1m: one late report would end a rollout",
        ),
        (
            policy(terms="  reporting_interval: 6m\n"),
            "8:3: rollouts.reporting_interval",
            "max_silence, 10m, is less than two reporting intervals of 6m",
        ),
        (
            policy(terms="  max_silence: 2h\n  max_duration: 2h\n"),
            "9:3: rollouts.max_duration",
            "max_silence, 2h, never matters: no rollout takes longer than 2h",
        ),
        (policy(terms="  max_silence: 40d\n"), "8:3: rollouts.max_silence", "never matters"),
        (policy(terms="  guardrail: []\n"), "8:3: rollouts.guardrail", "did you mean 'guardrails'?"),
        (
            policy(*(f"{ERRORS.replace('errors', f'r{number}')}, at_most: {number}" for number in range(21))),
            "8:3: rollouts.guardrails",
            "at most 20 items",
        ),
        (
            policy(f"{ERRORS}, at_most: 1") + b"break_glass: {skips: [errors], count: 1}\n",
            "10:23: break_glass.skips[0]",
            "'errors' is no rule of this policy",
        ),
    ],
)
def test_a_mistake_is_named_with_its_place(data: bytes, place: str, says: str) -> None:
    with pytest.raises(DocumentInvalidError) as caught:
        load_policy(data, name="p.yaml")
    (problem,) = caught.value.message.splitlines()
    assert problem.startswith(f"p.yaml:{place}: "), problem
    assert says in problem


@pytest.mark.parametrize(
    "data",
    [
        policy(),
        policy(terms="  max_silence: 2m\n  max_duration: 3m\n"),
        policy(f"{ERRORS}, at_most: 1, max_regression: 5%", FAST),
        policy(f"{ERRORS}, at_most: 2", f"{ERRORS.replace('errors', 'other')}, at_most: 1, kinds: [split]"),
        policy(f"{ERRORS}, at_most: 2", f"{ERRORS.replace('errors', 'other')}, at_most: 1, min_samples: 900"),
        policy(
            f"{ERRORS}, at_most: 2",
            f"{ERRORS.replace('errors', 'other')}, at_most: 1, false_alarm_rate: 0.001",
        ),
        policy(
            f"{ERRORS}, at_most: 2", f"{ERRORS.replace('errors', 'other')}, at_most: 1, max_regression: 1"
        ),
        policy(f"{ERRORS}, max_regression: 1%", f"{ERRORS.replace('errors', 'other')}, max_regression: 1"),
        policy(
            f"{ERRORS}, at_most: 2",
            f"{ERRORS.replace('errors', 'other')}, at_most: 1, when: {{labels: {{risk_tier: critical}}}}",
        ),
    ],
)
def test_what_can_matter_is_no_mistake(data: bytes) -> None:
    load_policy(data, name="p.yaml")

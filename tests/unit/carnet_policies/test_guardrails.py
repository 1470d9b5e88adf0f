from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.errors import DocumentInvalidError
from carnet_policies.document import load_policy
from carnet_policies.guardrails import (
    GuardrailStatus,
    GuardrailVerdict,
    Samples,
    guardrail_from_json,
    guardrail_to_json,
    guardrails_for,
    judge_guardrails,
)
from carnet_policies.schema_rollouts import GuardrailDemand
from carnet_policies.shipped import shipped_policy

COLLECTING, HOLDING, BREACHED = GuardrailStatus
RULE = {"rule": "r", "metric": "m", "direction": "lower_is_better"}
HIGHER = {"direction": "higher_is_better"}


def demand_of(**fields: Any) -> GuardrailDemand:
    return GuardrailDemand.model_validate_json(json.dumps(RULE | fields))


def events(count: int, rate: float) -> Samples:
    number = float(round(count * rate))
    return Samples(count, number, number)


def spread(count: int, mean: float, deviation: float) -> Samples:
    return Samples(count, count * mean, (count - 1) * deviation**2 + count * mean**2)


def judge(
    demand: GuardrailDemand, challenger: Samples, champion: Samples | None = None, *, phases: int = 1
) -> GuardrailVerdict:
    (verdict,) = judge_guardrails(
        [demand], {"m": challenger}, {} if champion is None else {"m": champion}, phases=phases
    )
    return verdict


def test_sums_of_samples_give_mean_and_variance_and_add_up() -> None:
    one, two = Samples(2, 3.0, 5.0), Samples(3, 12.0, 50.0)
    assert (one.mean, one.variance) == (1.5, 0.5)
    assert one + two == Samples(5, 15.0, 55.0)
    assert (Samples().mean, Samples().variance, Samples(1, 4.0, 16.0).variance) == (0, 0, 0)


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (Samples(), True),
        (Samples(10, 3.0, 3.0), True),
        (Samples(3, 3.0, 3.0), True),
        (Samples(3, 4.0, 4.0), False),
        (Samples(10, 3.5, 3.5), False),
        (Samples(10, 3.0, 2.0), False),
        (Samples(10, math.inf, math.inf), False),
        (Samples(10, math.nan, math.nan), False),
    ],
)
def test_samples_that_are_all_0_or_1_are_told_by_their_sums(samples: Samples, expected: bool) -> None:
    assert samples.is_of_events is expected


@pytest.mark.parametrize(
    ("bounds", "challenger", "champion", "expected"),
    [
        ({"max_regression": 0}, events(5000, 0.04), events(5000, 0.02), BREACHED),
        ({"max_regression": 0}, events(5000, 0.02), events(5000, 0.02), HOLDING),
        ({"max_regression": 0}, events(5000, 0.02), events(5000, 0.04), HOLDING),
        ({"max_regression": 0.03}, events(5000, 0.04), events(5000, 0.02), HOLDING),
        ({"max_regression": "150%"}, events(5000, 0.04), events(5000, 0.02), HOLDING),
        ({"max_regression": "10%"}, events(5000, 0.04), events(5000, 0.02), BREACHED),
        ({"at_most": 0.02}, events(5000, 0.04), None, BREACHED),
        ({"at_most": 0.04}, events(5000, 0.04), None, HOLDING),
        ({"max_regression": 0, **HIGHER}, events(500, 0.80), events(500, 0.95), BREACHED),
        ({"max_regression": 0, **HIGHER}, events(500, 0.95), events(500, 0.80), HOLDING),
        ({"max_regression": "20%", **HIGHER}, events(500, 0.80), events(500, 0.95), HOLDING),
        ({"max_regression": "2%", **HIGHER}, events(500, 0.80), events(500, 0.95), BREACHED),
        ({"at_least": 0.9, **HIGHER}, events(500, 0.80), None, BREACHED),
        ({"at_least": 0.8, **HIGHER}, events(500, 0.80), None, HOLDING),
        ({"max_regression": 0}, spread(500, 45, 20), spread(500, 30, 20), BREACHED),
        ({"max_regression": 0}, spread(500, 31, 20), spread(500, 30, 20), HOLDING),
        ({"max_regression": 15}, spread(500, 45, 20), spread(500, 30, 20), HOLDING),
        ({"max_regression": "20%"}, spread(500, 45, 20), spread(500, 30, 20), BREACHED),
        ({"max_regression": "50%"}, spread(500, 45, 20), spread(500, 30, 20), HOLDING),
        ({"max_regression": "20%", **HIGHER}, spread(500, 20, 9), spread(500, 30, 9), BREACHED),
        ({"max_regression": "50%", **HIGHER}, spread(500, 20, 9), spread(500, 30, 9), HOLDING),
        ({"max_regression": "10%"}, spread(500, -20, 9), spread(500, -30, 9), BREACHED),
        ({"max_regression": "50%"}, spread(500, -20, 9), spread(500, -30, 9), HOLDING),
        ({"at_most": 40}, spread(500, 45, 20), None, BREACHED),
        ({"at_most": 50}, spread(500, 45, 20), None, HOLDING),
        ({"at_least": 50, **HIGHER}, spread(500, 45, 20), None, BREACHED),
        ({"max_regression": "100%", **HIGHER}, spread(500, 0, 0), spread(500, 30, 9), HOLDING),
        ({"max_regression": "300%", **HIGHER}, events(500, 0.1), events(500, 0.9), HOLDING),
    ],
)
def test_a_challenger_is_held_to_bounds_and_to_the_champion(
    bounds: dict[str, Any], challenger: Samples, champion: Samples | None, expected: GuardrailStatus
) -> None:
    verdict = judge(demand_of(**bounds), challenger, champion)
    assert verdict.status is expected, verdict.message


def test_what_is_said_has_the_figures() -> None:
    demand = demand_of(max_regression="10%")
    verdict = judge(demand, events(5000, 0.04), events(9000, 0.02))
    assert verdict.message == (
        "m 0.04 over 5,000 samples is worse than the champion's 0.02 over 9,000 samples, with 10% to spare, "
        "beyond what noise explains"
    )
    assert (verdict.rule, verdict.metric, verdict.limit) == ("r", "m", pytest.approx(0.022))
    assert (verdict.challenger.count, verdict.champion.count) == (5000, 9000)
    assert verdict.evidence >= 1 / verdict.false_alarm_rate == 100
    assert judge(demand, events(500, 0.022), events(900, 0.02)).message.endswith(
        "within what noise explains"
    ) is (False)
    assert judge(demand, events(500, 0.024), events(900, 0.02)).message.endswith("within what noise explains")
    assert "keeps to" in judge(demand, events(500, 0.01), events(900, 0.02)).message


@pytest.mark.parametrize(
    ("challenger", "champion", "says"),
    [
        (events(99, 0.9), events(100, 0), "m: 99 of 100 samples of the challenger"),
        (events(100, 0.9), events(99, 0), "m: 99 of 100 samples of the champion"),
        (
            events(1, 0.9),
            None,
            "m: 1 of 100 samples of the challenger, 0 of 100 samples of the champion",
        ),
        (
            Samples(100, math.inf, math.inf),
            events(100, 0),
            "m: the challenger's sums are too large to be counted",
        ),
        (
            Samples(100, 1e200, math.inf),
            events(100, 0),
            "m: the challenger's sums are too large to be counted",
        ),
        (events(100, 0), Samples(100, math.nan, 1.0), "m: the champion's sums are too large to be counted"),
    ],
)
def test_without_what_it_wants_a_guardrail_says_nothing(
    challenger: Samples, champion: Samples | None, says: str
) -> None:
    verdict = judge(demand_of(max_regression=0), challenger, champion)
    assert (verdict.status, verdict.message) == (COLLECTING, says)
    assert (verdict.limit, verdict.evidence) == (None, 0)


def test_a_fixed_bound_does_not_wait_for_the_champion() -> None:
    assert judge(demand_of(at_most=0.1), events(100, 0.9)).status is BREACHED


def test_the_chance_of_a_false_alarm_is_shared_out_over_the_phases() -> None:
    demand = demand_of(max_regression=0, false_alarm_rate=0.05)
    doubtful = events(2000, 0.038), events(2000, 0.02)
    once, often = (judge(demand, *doubtful, phases=phases) for phases in (1, 10))
    assert (once.false_alarm_rate, often.false_alarm_rate) == (0.05, pytest.approx(0.005))
    assert once.evidence == often.evidence
    assert (once.status, often.status) == (BREACHED, HOLDING)


def test_of_two_bounds_the_mean_of_their_evidence_counts() -> None:
    figures = events(3000, 0.031), events(3000, 0.02)
    regression, limit, both = (
        judge(demand_of(**bounds), *figures).evidence
        for bounds in (
            {"max_regression": 0},
            {"at_most": 0.02},
            {"max_regression": 0, "at_most": 0.02},
        )
    )
    assert both == pytest.approx((regression + limit) / 2)
    verdict = judge(demand_of(max_regression=0.5, at_most=0.02), *figures)
    assert (verdict.status, verdict.limit) == (BREACHED, 0.02)
    assert verdict.evidence >= 1 / verdict.false_alarm_rate


@pytest.mark.parametrize("count", [100, 1000, 100_000])
@pytest.mark.parametrize("value", [0.1, 1e-3, 12345.678, -0.3])
def test_what_rounding_makes_of_samples_that_are_all_the_same_is_no_breach(value: float, count: int) -> None:
    windows = [Samples(7, 7 * value, 7 * value * value)] * (count // 7 + 1)
    one = sum(windows, Samples())
    other = Samples(count, count * value, count * value * value)
    for bounds in ({"max_regression": 0}, {"at_most": value}, {"at_least": value, **HIGHER}):
        for challenger, champion in ((one, other), (other, one)):
            assert judge(demand_of(**bounds), challenger, champion).status is HOLDING


def test_samples_that_are_all_the_same_and_worse_are_a_breach() -> None:
    assert judge(demand_of(max_regression=0), spread(500, 2, 0), spread(500, 1.5, 0)).status is BREACHED
    assert judge(demand_of(at_most=1.5), spread(500, 2, 0)).status is BREACHED


def test_a_few_samples_that_agree_are_no_certainty() -> None:
    for bounds in ({"max_regression": 0}, {"at_most": 1.0}):
        demand = demand_of(**bounds, min_samples=2)
        assert judge(demand, spread(3, 2, 0), spread(3, 1, 0)).status is HOLDING


def test_a_version_that_has_not_met_the_rare_large_values_is_not_taken_for_steady() -> None:
    champion = Samples(100_000, 100_000 * 1.0 + 300 * 1000.0, 100_000 * 1.1 + 300 * 1e6)
    assert judge(demand_of(max_regression=0, **HIGHER), spread(100, 1, 0.3), champion).status is HOLDING


@given(
    sums=st.lists(
        st.tuples(st.integers(0, 10**9), st.floats(-1e150, 1e150), st.floats(0, 1e300)),
        min_size=2,
        max_size=2,
    ),
    bounds=st.sampled_from(
        [{"max_regression": 0}, {"max_regression": "1%"}, {"at_most": 1e-3}, {"at_most": 1e200}]
    ),
)
def test_whatever_sums_a_monitor_reports_are_judged(
    sums: list[tuple[int, float, float]], bounds: dict[str, Any]
) -> None:
    verdict = judge(demand_of(**bounds), *(Samples(*each) for each in sums))
    assert verdict.evidence >= 0


def test_each_guardrail_reads_its_own_metric_in_their_order() -> None:
    demands = [demand_of(rule=rule, metric=rule, at_most=0.1) for rule in ("b", "a", "c")]
    verdicts = judge_guardrails(demands, {"a": events(100, 0.9), "b": events(100, 0)}, {}, phases=1)
    assert [(each.rule, each.status) for each in verdicts] == [
        ("b", HOLDING),
        ("a", BREACHED),
        ("c", COLLECTING),
    ]


POLICY = """\
schema: carnet.policy/v1
environment: prod
version: 1
sources: [staging]
labels:
  risk_tier:
    values: [low, high, critical]
    default: high
    required_in: [medical]
    never_below_baseline: true
baseline_alias: champion
rollouts:
  guardrails:
    - {rule: all, metric: a, direction: lower_is_better, at_most: 1}
    - {rule: shadows, metric: b, direction: lower_is_better, at_most: 1, kinds: [shadow]}
    - {rule: critical, metric: c, direction: lower_is_better, at_most: 1, when: {labels: {risk_tier: critical}}}
    - {rule: lasting, metric: d, direction: lower_is_better, at_most: 1, when: {aliases: [champion]}}
    - {rule: lending, metric: e, direction: lower_is_better, at_most: 1, when: {namespaces: [lending-*]}}
    - {rule: default, metric: f, direction: lower_is_better, at_most: 1, when: {labels: {risk_tier: high}}}
"""


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "all lasting default"),
        ({"kind": "shadow"}, "all shadows lasting default"),
        ({"alias": "fallback"}, "all default"),
        ({"namespace": "lending-eu"}, "all lasting lending default"),
        ({"labels": {"risk_tier": "critical"}}, "all critical lasting"),
        ({"labels": {"risk_tier": "low", "other": "x"}}, "all lasting"),
        ({"labels": {"risk_tier": "hihg"}}, "all critical lasting default"),
        ({"namespace": "medical"}, "all critical lasting default"),
        (
            {"labels": {"risk_tier": "low"}, "champion_labels": {"risk_tier": "critical"}},
            "all critical lasting default",
        ),
        ({"labels": {"risk_tier": "low"}, "champion_labels": {}}, "all critical lasting default"),
        (
            {"labels": {"risk_tier": "critical"}, "champion_labels": {"risk_tier": "low"}},
            "all critical lasting",
        ),
    ],
)
def test_a_rollout_is_judged_by_what_is_asked_of_it(fields: dict[str, Any], expected: str) -> None:
    document = load_policy(POLICY.encode()).document
    given = {"kind": "split", "namespace": "risk", "alias": "champion", "labels": {}} | fields
    assert [each.rule for each in guardrails_for(document, **given)] == expected.split()


def test_a_policy_that_says_nothing_of_rollouts_has_no_guardrails() -> None:
    document = load_policy(shipped_policy("dev")).document
    assert guardrails_for(document, kind="split", namespace="risk", alias="champion", labels={}) == ()


def test_guardrails_are_no_rules_of_a_decision() -> None:
    policy = load_policy(POLICY.encode())
    assert policy.guardrail_ids == ("all", "shadows", "critical", "lasting", "lending", "default")
    assert not set(policy.guardrail_ids) & set(policy.rule_ids)


MARGINS = st.one_of(
    st.floats(0, 1e6),
    st.integers(0, 9_999_999_999).map(lambda millionths: f"{millionths / 1e6:.6f}%"),
)


@given(
    margin=MARGINS,
    at_most=st.none() | st.floats(-1e300, 1e300),
    rate=st.floats(1e-6, 0.5),
    when=st.none()
    | st.fixed_dictionaries(
        {"labels": st.just({"tier": "low"})},
        optional={"aliases": st.just(["champion"]), "namespaces": st.just(["a-*"])},
    ),
)
def test_a_guardrail_that_is_kept_is_read_as_it_was(
    margin: float | str, at_most: float | None, rate: float, when: dict[str, Any] | None
) -> None:
    demand = demand_of(
        max_regression=margin, at_most=at_most, false_alarm_rate=rate, when=when, kinds=["split"]
    )
    kept = json.loads(json.dumps(guardrail_to_json(demand)))
    assert guardrail_from_json(kept) == demand


def test_what_is_kept_of_a_guardrail_spells_out_its_defaults() -> None:
    assert guardrail_to_json(demand_of(max_regression="2.5%")) == {
        "rule": "r",
        "kinds": ["shadow", "split"],
        "metric": "m",
        "direction": "lower_is_better",
        "max_regression": "2.5%",
        "min_samples": 100,
        "false_alarm_rate": 0.01,
        "remedy": "",
    }


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"direction": None}, "direction"),
        ({"max_regression": "a bit"}, "max_regression"),
        ({"when": {}}, "when"),
        ({"max_regression": None}, "guardrail"),
        ({"surplus": 1}, "surplus"),
    ],
)
def test_what_is_no_guardrail_is_not_read_as_one(change: dict[str, Any], field: str) -> None:
    kept = guardrail_to_json(demand_of(max_regression=0)) | change
    with pytest.raises(DocumentInvalidError, match="this is no guardrail") as caught:
        guardrail_from_json(kept)
    assert caught.value.metadata == {"field": field}

"""A challenger that goes bad late is found by what was measured lately, at no higher rate of false alarms."""

from __future__ import annotations

import random
from datetime import timedelta
from fractions import Fraction

import pytest

from carnet.rollouts import RolloutState
from carnet_policies.guardrails import GuardrailStatus, Samples, judge_guardrails
from carnet_policies.schema_rollouts import GuardrailDemand
from carnet_server.rollouts import recent
from carnet_server.rollouts.recent import SPANS, judge
from tests.unit.carnet_server.rollouts.test_transitions import MINUTE, START, rollout

RATE = GuardrailDemand(
    rule="errors", metric="errors", direction="lower_is_better", max_regression=0.01, min_samples=100
)


def errors(count, of):
    return Samples(of, float(count), float(count))


def history(challenger, champion=None, *, begins=START):
    """Windows of a minute, and their sums; the champion's are those of a challenger that is like it."""
    champion = champion or [errors(10, 1000)] * len(challenger)
    windows = [
        (begins + number * MINUTE, version, "errors", samples)
        for number, pair in enumerate(zip(champion, challenger, strict=True))
        for version, samples in zip((1, 2), pair, strict=True)
    ]
    return (
        {"errors": sum(challenger, Samples())},
        {"errors": sum(champion, Samples())},
        windows,
    )


def statuses(held, *measured):
    return [each.status for each in judge(held, *measured)]


def test_long_good_times_excuse_no_sudden_bad_ones():
    held = rollout(guardrails=(RATE,))
    good = [errors(10, 1000)] * 300
    assert statuses(held, *history(good)) == [GuardrailStatus.HOLDING]
    measured = history([*good, errors(200, 1000)])
    (whole,) = judge_guardrails([RATE], *measured[:2], phases=1)
    assert whole.status is GuardrailStatus.HOLDING, "the sums of the phase hardly show it"
    (verdict,) = judge(held, *measured)
    assert verdict.status is GuardrailStatus.BREACHED
    assert verdict.message.endswith("in the last reporting interval")
    assert (verdict.challenger.count, verdict.champion.count) == (1000, 1000)


def test_what_is_a_little_worse_for_longer_is_found_in_more_intervals():
    held = rollout(guardrails=(RATE,))
    measured = history([*[errors(10, 1000)] * 300, *[errors(45, 1000)] * 8])
    (verdict,) = judge(held, *measured)
    assert verdict.status is GuardrailStatus.BREACHED
    assert "reporting intervals" in verdict.message
    assert verdict.challenger.count in {4000, 8000, 16000}


def test_what_was_measured_before_the_phase_is_not_asked():
    held = rollout(guardrails=(RATE,))
    before = history([errors(900, 1000)] * 5, begins=START - 5 * MINUTE)[2]
    assert statuses(held, {}, {}, before) == [GuardrailStatus.COLLECTING]


def test_while_it_bakes_it_is_compared_with_the_champions_last_figures():
    held = rollout(RolloutState.BAKING, phase=2, guardrails=(RATE,))
    lately = [
        (held.phase_at, 2, "errors", errors(200, 1000)),
        (held.phase_at, 1, "errors", errors(900, 1000)),
    ]
    (verdict,) = judge(held, {"errors": errors(3000, 300_000)}, {"errors": errors(100, 10_000)}, lately)
    assert (verdict.status, verdict.champion.count) == (GuardrailStatus.BREACHED, 10_000)


@pytest.mark.parametrize("length", [1, 3, 40])
def test_all_that_is_ever_asked_shares_out_one_rate(monkeypatch, length):
    asked = []

    def spied(demands, *samples, phases):
        asked.append(phases)
        return judge_guardrails(demands, *samples, phases=phases)

    monkeypatch.setattr(recent, "judge_guardrails", spied)
    held = rollout(guardrails=(RATE,))
    for number in range(1, length + 1):
        judge(held, *history([errors(10, 1000)] * number))
    whole, begun = asked[0], set(asked[1:]) - {asked[0]}
    assert whole == 2 * held.plan.phase_count
    # One test for the whole, and one that begins with each interval, however often each is asked.
    assert len(begun) <= length
    assert Fraction(1, whole) + sum(Fraction(1, each) for each in begun) < Fraction(1, held.plan.phase_count)
    assert len(asked) <= length * (1 + len(SPANS))


def test_a_challenger_that_is_just_as_bad_as_it_may_be_is_hardly_ever_stopped():
    draw = random.Random(11)
    demand = RATE.model_copy(update={"false_alarm_rate": 0.05})
    held = rollout(guardrails=(demand,), shares=(0.5,), bake=timedelta(0))
    stopped = 0
    for _ in range(60):
        champion, challenger = (
            [errors(sum(draw.random() < rate for _ in range(150)), 150) for _ in range(25)]
            for rate in (0.05, 0.06)
        )
        stopped += any(
            statuses(held, *history(challenger[:end], champion[:end])) == [GuardrailStatus.BREACHED]
            for end in range(1, 26)
        )
    assert stopped <= 6

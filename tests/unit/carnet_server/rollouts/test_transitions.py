"""The state machine of rollouts: what is due follows from the facts, and never leads where it may not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.errors import IllegalTransitionError
from carnet.rollouts import LEGAL, RolloutKind, RolloutState
from carnet_policies.guardrails import GuardrailStatus, GuardrailVerdict, Samples
from carnet_policies.schema_rollouts import GuardrailDemand
from carnet_server.aliases.domain import Alias
from carnet_server.rollouts.domain import Rollout
from carnet_server.rollouts.permission import Permission, Permit
from carnet_server.rollouts.plan import Plan, RolloutSuccess, Step, plan_document
from carnet_server.rollouts.traffic import traffic_of
from carnet_server.rollouts.transitions import AliasMovement, Facts, completion, due_change, stopping

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
CHAMPION, CHALLENGER, THIRD = 1, 2, 3
COLLECTING, HOLDING, BREACHED = GuardrailStatus
COMPARED = GuardrailDemand(
    rule="errors", metric="errors", direction="lower_is_better", max_regression=0.01, min_samples=10
)


def rollout(state=RolloutState.RUNNING, *, kind=RolloutKind.SPLIT, shares=(0.1, 0.5), phase=0, **fields):
    plan = Plan(
        steps=tuple(Step(share, MINUTE) for share in shares),
        on_success=fields.pop("on_success", RolloutSuccess.HOLD),
        bake_duration=fields.pop("bake", 10 * MINUTE),
        reporting_interval=MINUTE,
        max_silence=10 * MINUTE,
        max_duration=timedelta(days=1),
        guardrails=fields.pop("guardrails", (COMPARED,)),
    )
    return Rollout(
        namespace="risk",
        model="fraud",
        alias="champion",
        rollout=1,
        kind=kind,
        state=state,
        champion_version=CHAMPION,
        champion_digest="1" * 64,
        challenger_version=CHALLENGER,
        challenger_digest="2" * 64,
        challenger_alias="challenger",
        sets_alias=True,
        plan_document=plan_document(plan, {}),
        share=fields.pop(
            "share", 1.0 if state is RolloutState.BAKING else shares[min(phase, len(shares) - 1)]
        ),
        phase_times=tuple(START + number * MINUTE for number in range(phase + 1)),
        actor="spiffe://carnet.test/person/dave",
        note_digest=None,
        message="",
        reason_code="",
        policy_digest="a" * 64,
        created_at=START,
        ended_at=None,
        revision=1,
        log_index=7,
        start_log_index=7,
        **fields,
    )


def verdict(status):
    return GuardrailVerdict(
        "errors", "errors", status, f"it is {status}", Samples(), Samples(), None, 0.0, 0.01
    )


def facts(*statuses, now=START, alias=CHAMPION, allowed=True, revoked=(), permit=None):
    return Facts(
        now=now,
        alias_version=alias,
        challenger_revoked=CHALLENGER in revoked,
        champion_revoked=CHAMPION in revoked,
        verdicts=[verdict(each) for each in statuses],
        permission=Permission(allowed, permit),
        needed="carnet promote …",
    )


def told(held, given_facts):
    """What is due, in short; None for nothing."""
    change = due_change(held, given_facts)
    if change is None:
        return None
    assert change.state in LEGAL[held.state]
    assert bool(change.reason_code) == change.state.ended
    return str(change.state), change.share, change.reason_code, str(change.movement)


AWAITING, BAKING = RolloutState.AWAITING, RolloutState.BAKING
MOVE = RolloutSuccess.MOVE
TABLE = {
    "its time is not over": (rollout(), facts(HOLDING, now=START + MINUTE / 2), None),
    "it has too few samples": (rollout(), facts(COLLECTING, now=START + MINUTE), None),
    "one of two has": (rollout(), facts(HOLDING, COLLECTING, now=START + MINUTE), None),
    "a step is passed": (rollout(), facts(HOLDING, now=START + MINUTE), ("running", 0.5, "", "none")),
    "without guardrails time passes it": (
        rollout(guardrails=()),
        facts(now=START + MINUTE),
        ("running", 0.5, "", "none"),
    ),
    "the last one is passed and held": (
        rollout(phase=1),
        facts(HOLDING, now=START + 2 * MINUTE),
        ("awaiting", 0.5, "", "none"),
    ),
    "the last one is passed and moves": (
        rollout(phase=1, on_success=MOVE),
        facts(HOLDING, now=START + 2 * MINUTE),
        ("baking", 1.0, "", "to_challenger"),
    ),
    "nothing is baked": (
        rollout(phase=1, on_success=MOVE, bake=timedelta(0)),
        facts(HOLDING, now=START + 2 * MINUTE),
        ("succeeded", 1.0, "plan-passed", "to_challenger"),
    ),
    "no decision lets it move": (
        rollout(phase=1, on_success=MOVE),
        facts(HOLDING, now=START + 2 * MINUTE, allowed=False),
        ("awaiting", 0.5, "", "none"),
    ),
    "a decision came meanwhile": (
        rollout(AWAITING, phase=1, on_success=MOVE),
        facts(HOLDING, now=START + 2 * MINUTE),
        ("baking", 1.0, "", "to_challenger"),
    ),
    "what is held waits for somebody": (
        rollout(AWAITING, phase=1),
        facts(HOLDING, now=START + 2 * MINUTE),
        None,
    ),
    "a shadow ends": (
        rollout(kind=RolloutKind.SHADOW, shares=(1.0,), bake=timedelta(0)),
        facts(HOLDING, now=START + MINUTE, allowed=False),
        ("succeeded", 0.0, "plan-passed", "none"),
    ),
    "a breach while it runs": (
        rollout(),
        facts(HOLDING, BREACHED),
        ("rolled_back", 0.0, "guardrail-breached", "none"),
    ),
    "a breach while it is awaited": (
        rollout(AWAITING, phase=1),
        facts(BREACHED, now=START + 2 * MINUTE),
        ("rolled_back", 0.0, "guardrail-breached", "none"),
    ),
    "a breach while it bakes": (
        rollout(BAKING, phase=2),
        facts(BREACHED, alias=CHALLENGER),
        ("rolled_back", 0.0, "guardrail-breached", "to_champion"),
    ),
    "a breach at the very end of the baking": (
        rollout(BAKING, phase=2),
        facts(BREACHED, alias=CHALLENGER, now=START + 12 * MINUTE),
        ("rolled_back", 0.0, "guardrail-breached", "to_champion"),
    ),
    "a breach with a champion that is revoked": (
        rollout(BAKING, phase=2),
        facts(BREACHED, alias=CHALLENGER, revoked=(CHAMPION,)),
        ("stopped", 1.0, "guardrail-breached", "none"),
    ),
    "it is baked": (
        rollout(BAKING, phase=2),
        facts(COLLECTING, alias=CHALLENGER, now=START + 12 * MINUTE),
        ("succeeded", 1.0, "plan-passed", "none"),
    ),
    "it is not baked yet": (
        rollout(BAKING, phase=2),
        facts(COLLECTING, alias=CHALLENGER, now=START + 11 * MINUTE),
        None,
    ),
    "silence that is not too long": (rollout(), facts(COLLECTING, now=START + 10 * MINUTE), None),
    "silence": (
        rollout(),
        facts(COLLECTING, now=START + 11 * MINUTE),
        ("rolled_back", 0.0, "metrics-silent", "none"),
    ),
    "silence comes before a step that would be passed": (
        rollout(),
        facts(HOLDING, now=START + 11 * MINUTE),
        ("rolled_back", 0.0, "metrics-silent", "none"),
    ),
    "the champion alone is silent": (
        rollout(challenger_reported_at=START + 10 * MINUTE),
        facts(COLLECTING, now=START + 11 * MINUTE),
        ("rolled_back", 0.0, "metrics-silent", "none"),
    ),
    "the champion may be silent where nothing is compared with it": (
        rollout(challenger_reported_at=START + 10 * MINUTE, guardrails=()),
        facts(COLLECTING, now=START + 11 * MINUTE),
        None,
    ),
    "the champion may be silent where it has no traffic": (
        rollout(shares=(0.5, 1.0), phase=1, challenger_reported_at=START + 10 * MINUTE),
        facts(COLLECTING, now=START + 12 * MINUTE),
        None,
    ),
    "silence while a long baking lasts": (
        rollout(BAKING, phase=2, bake=timedelta(hours=1)),
        facts(HOLDING, alias=CHALLENGER, now=START + 13 * MINUTE),
        ("rolled_back", 0.0, "metrics-silent", "to_champion"),
    ),
    "baked before the silence was too long, and seen late": (
        rollout(BAKING, phase=2, bake=5 * MINUTE),
        facts(HOLDING, alias=CHALLENGER, now=START + timedelta(hours=3)),
        ("succeeded", 1.0, "plan-passed", "none"),
    ),
    "it takes too long": (
        rollout(
            champion_reported_at=START + timedelta(days=1), challenger_reported_at=START + timedelta(days=1)
        ),
        facts(COLLECTING, now=START + timedelta(days=1) + MINUTE),
        ("rolled_back", 0.0, "expired", "none"),
    ),
    "the alias was moved": (rollout(), facts(HOLDING, alias=THIRD), ("stopped", 0.0, "alias-moved", "none")),
    "the alias was removed": (rollout(), facts(HOLDING, alias=0), ("stopped", 0.0, "alias-moved", "none")),
    "the alias was moved to it before its time": (
        rollout(),
        facts(HOLDING, alias=CHALLENGER),
        ("stopped", 1.0, "alias-moved", "none"),
    ),
    "the alias was moved to it while it was awaited": (
        rollout(AWAITING, phase=1),
        facts(HOLDING, alias=CHALLENGER, now=START + 2 * MINUTE),
        ("baking", 1.0, "", "none"),
    ),
    "the alias was moved back by hand": (
        rollout(BAKING, phase=2),
        facts(BREACHED, alias=CHAMPION),
        ("stopped", 0.0, "alias-moved", "none"),
    ),
    "the challenger is revoked": (
        rollout(),
        facts(HOLDING, revoked=(CHALLENGER,)),
        ("rolled_back", 0.0, "challenger-revoked", "none"),
    ),
    "the challenger is revoked while it bakes": (
        rollout(BAKING, phase=2),
        facts(HOLDING, alias=CHALLENGER, revoked=(CHALLENGER,)),
        ("rolled_back", 0.0, "challenger-revoked", "to_champion"),
    ),
}


@pytest.mark.parametrize(("held", "given_facts", "wanted"), TABLE.values(), ids=TABLE.keys())
def test_what_is_due_follows_from_the_facts(held, given_facts, wanted):
    assert told(held, given_facts) == wanted


def test_the_permit_goes_with_the_move():
    permit = Permit()
    held = rollout(phase=1, on_success=MOVE)
    assert due_change(held, facts(HOLDING, now=START + 2 * MINUTE, permit=permit)).permit is permit
    elsewhere = rollout(AWAITING, phase=1)
    assert due_change(elsewhere, facts(HOLDING, alias=CHALLENGER, permit=permit)).permit is None


@pytest.mark.parametrize("state", [each for each in RolloutState if each is not AWAITING])
def test_only_what_is_awaited_can_be_completed(state):
    with pytest.raises(IllegalTransitionError) as caught:
        completion(replace(rollout(), state=state), facts(HOLDING))
    assert caught.value.metadata["state"] == state


def test_completing_moves_the_alias_and_stopping_leaves_it():
    change = completion(rollout(AWAITING, phase=1), facts(HOLDING))
    assert (change.state, change.movement) == (BAKING, AliasMovement.TO_CHALLENGER)
    stopped = stopping(rollout(), reason_code="")
    assert (str(stopped.state), stopped.share, stopped.reason_code) == ("stopped", 0.0, "stopped")
    baked = stopping(rollout(BAKING, phase=2), reason_code="seen-enough")
    assert (baked.share, baked.reason_code, baked.movement) == (1.0, "seen-enough", AliasMovement.NONE)


# --- walks ------------------------------------------------------------------------------------------------------

statuses = st.lists(st.sampled_from(list(GuardrailStatus)), max_size=3)
worlds = st.builds(
    lambda passed, statuses, alias, allowed, revoked, spoken: (
        passed,
        statuses,
        alias,
        allowed,
        revoked,
        spoken,
    ),
    st.integers(0, 30),
    statuses,
    st.sampled_from([None, None, None, 0, CHAMPION, CHALLENGER, THIRD]),
    st.booleans(),
    st.sets(st.sampled_from([CHAMPION, CHALLENGER]), max_size=1),
    st.booleans(),
)


@given(
    st.sampled_from(RolloutKind),
    st.lists(st.floats(0.01, 0.99), min_size=1, max_size=4).map(sorted),
    st.sampled_from(RolloutSuccess),
    st.sampled_from([timedelta(0), 5 * MINUTE]),
    st.lists(worlds, max_size=25),
)
def test_whatever_happens_a_rollout_goes_legal_ways_and_its_traffic_adds_up(
    kind, shares, on_success, bake, happenings
):
    """Play a rollout against an alias, as the registry does, and look at every state on the way."""
    shadow = kind is RolloutKind.SHADOW
    held = rollout(
        kind=kind, shares=tuple(shares), on_success=on_success, bake=timedelta(0) if shadow else bake
    )
    alias, now = CHAMPION, START
    for passed, verdicts, moved, allowed, revoked, spoken in happenings:
        now += passed * MINUTE
        alias = alias if moved is None else moved
        if spoken:
            held = replace(held, champion_reported_at=now, challenger_reported_at=now)
        seen = facts(*verdicts, now=now, alias=alias, allowed=allowed, revoked=revoked)
        change = due_change(held, seen)
        if change is None:
            assert held.state.ended or BREACHED not in verdicts, "a breach always ends it"
            continue
        assert change.state in LEGAL[held.state]
        if change.movement is AliasMovement.TO_CHALLENGER:
            assert (alias, kind, allowed) == (CHAMPION, RolloutKind.SPLIT, True)
            assert BREACHED not in verdicts
            alias = CHALLENGER
        if change.movement is AliasMovement.TO_CHAMPION:
            assert (alias, held.state) == (CHALLENGER, BAKING)
            alias = CHAMPION
        if change.state is RolloutState.RUNNING:
            assert change.share >= held.share
            assert all(each is HOLDING for each in verdicts)
        phases = (*held.phase_times, now) if change.new_phase else held.phase_times
        assert len(phases) <= held.plan.phase_count
        held = replace(held, state=change.state, share=change.share, phase_times=phases)
        if change.state is RolloutState.ROLLED_BACK:
            assert alias != CHALLENGER or CHALLENGER == CHAMPION
        if change.state is RolloutState.SUCCEEDED and kind is RolloutKind.SPLIT:
            assert alias == CHALLENGER
        points_at = Alias("risk", "fraud", "champion", alias, f"{alias}" * 64, 1, now, 3)
        traffic = traffic_of(held.alias_name, points_at, held)
        assert sum(each.share for each in traffic.answering) == (1 if alias else 0)
        assert all(0 < each.share <= 1 for each in (*traffic.answering, *traffic.mirrored))


@given(st.floats(0, 1, exclude_min=True))
def test_shares_add_up_to_exactly_one(share):
    held = rollout(shares=(share,), guardrails=())
    points_at = Alias("risk", "fraud", "champion", CHAMPION, "1" * 64, 1, START, 3)
    traffic = traffic_of(held.alias_name, points_at, held)
    assert sum(each.share for each in traffic.answering) == 1
    assert traffic.revision == 8

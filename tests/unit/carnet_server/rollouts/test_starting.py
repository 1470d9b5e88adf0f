"""What is no rollout is refused with its field, and nothing is changed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from carnet.errors import (
    AlreadyExistsError,
    GateRefusedError,
    InvalidInputError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionFailedError,
    ReferenceInvalidError,
)
from carnet.references import ResourceName
from carnet.rollouts import RolloutKind
from carnet_server.rollouts.plan import RolloutSuccess
from tests.support.registry import CI, OPERATOR
from tests.support.rollouts import CHALLENGER, CHAMPION, ERRORS, LATENCY, MINUTE, TERMS, RolloutRegistry

SHADOW = RolloutKind.SHADOW
NOWHERE = ResourceName("risk", "fraud", alias="nowhere")
REFUSED = {
    "no kind": ((0.1,), {"kind": None}, InvalidInputError, "kind"),
    "no success that there is": ((0.1,), {"on_success": None}, InvalidInputError, "on_success"),
    "no steps": ((), {}, InvalidInputError, "steps"),
    "too many steps": ((0.1,) * 21, {}, InvalidInputError, "steps"),
    "no share": ((0.0,), {}, InvalidInputError, "steps[0].share"),
    "a negative share": ((-0.1,), {}, InvalidInputError, "steps[0].share"),
    "more than all": ((0.1, 1.1), {}, InvalidInputError, "steps[1].share"),
    "not a number": ((0.1, float("nan")), {}, InvalidInputError, "steps[1].share"),
    "infinity": ((float("inf"),), {}, InvalidInputError, "steps[0].share"),
    "shares that fall": ((0.1, 0.5, 0.4), {}, InvalidInputError, "steps[2].share"),
    "all of it before the end": ((0.1, 1.0, 1.0), {}, InvalidInputError, "steps[1].share"),
    "nothing to compare with": ((1.0,), {}, InvalidInputError, "steps[0].share"),
    "a negative duration": (
        ((0.1, timedelta(seconds=-1)),),
        {},
        InvalidInputError,
        "steps[0].min_duration",
    ),
    "a duration without end": (
        ((0.1, timedelta(days=4000)),),
        {},
        InvalidInputError,
        "steps[0].min_duration",
    ),
    "longer than a rollout may take": (
        ((0.1, timedelta(days=4)), (0.2, timedelta(days=4))),
        {},
        InvalidInputError,
        "steps",
    ),
    "negative baking": ((0.1,), {"bake_duration": -MINUTE}, InvalidInputError, "bake_duration"),
    "a shadow that moves": (
        (1.0,),
        {"kind": SHADOW, "on_success": RolloutSuccess.MOVE},
        InvalidInputError,
        "on_success",
    ),
    "a shadow that bakes": (
        (1.0,),
        {"kind": SHADOW, "bake_duration": MINUTE},
        InvalidInputError,
        "bake_duration",
    ),
    "no version's number": ((0.1,), {"challenger_version": -1}, InvalidInputError, "challenger_version"),
    "a version that there is not": ((0.1,), {"challenger_version": 9}, NotFoundError, "challenger_version"),
    "the champion itself": (
        (0.1,),
        {"challenger_version": 1},
        PreconditionFailedError,
        "challenger_version",
    ),
    "a revoked version": ((0.1,), {"challenger_version": 3}, PreconditionFailedError, "challenger_version"),
    "an alias that points nowhere": ((0.1,), {"challenger_version": 0}, NotFoundError, "challenger_alias"),
    "a champion that is nowhere": ((0.1,), {"alias": NOWHERE}, NotFoundError, "parent"),
    "an alias beside itself": (
        (0.1,),
        {"challenger_alias": "champion"},
        InvalidInputError,
        "challenger_alias",
    ),
    "no alias's name": ((0.1,), {"challenger_alias": "No One"}, ReferenceInvalidError, "challenger_alias"),
    "a long note": ((0.1,), {"note": "x" * 2001}, InvalidInputError, "note"),
    "a long id": ((0.1,), {"request_id": "x" * 65}, InvalidInputError, "request_id"),
}


@pytest.mark.parametrize(("steps", "fields", "error", "field"), REFUSED.values(), ids=REFUSED.keys())
async def test_what_cannot_begin_is_refused_and_changes_nothing(house, steps, fields, error, field):
    await house.models.revoke(house.caller(OPERATOR), ResourceName("risk", "fraud", version=3), "withdrawn")
    before = await house.told()
    for validate_only in (True, False):
        with pytest.raises(error) as caught:
            await house.begin(*steps, validate_only=validate_only, **fields)
        assert caught.value.metadata["field"] == field
        assert field in caught.value.message or error in {NotFoundError, PreconditionFailedError}
    assert await house.told() == before
    assert await house.count("rollouts") == 0


async def test_what_is_only_validated_begins_nothing_and_shows_its_guardrails(house):
    before = await house.told()
    request = await house.begin(0.1, validate_only=True)
    assert (request.rollout, request.share, request.log_index) == (1, 0.1, 0)
    assert (await house.told(), await house.points_at(CHALLENGER)) == (before, 0)


async def test_a_repeated_request_is_the_same_request(house):
    first = await house.begin(0.1, request_id="r-1", note="why")
    again = await house.begin(0.1, request_id="r-1", note="why")
    assert again == first
    with pytest.raises(AlreadyExistsError, match="rollouts/1"):
        await house.begin(0.2, request_id="r-1")
    assert await house.count("rollouts") == 1
    await house.rollouts.stop_rollout(house.caller(OPERATOR), first.name, reason_code="", note="")
    assert (await house.begin(0.1, request_id="r-1", note="why")).state == "stopped"


async def test_an_alias_has_one_rollout_at_a_time_and_no_two_share_an_alias(house):
    running = await house.begin(0.1)
    with pytest.raises(PreconditionFailedError, match=str(running.name)):
        await house.begin(0.1)
    blue = ResourceName("risk", "fraud", alias="blue")
    await house.point(blue, 1)
    with pytest.raises(PreconditionFailedError, match="'challenger' is used by"):
        await house.begin(0.1, alias=blue, challenger_version=3)
    with pytest.raises(PreconditionFailedError, match="is used by"):
        await house.begin(0.1, alias=CHALLENGER, challenger_version=3, challenger_alias="other")
    await house.begin(0.1, alias=blue, challenger_version=3, challenger_alias="green")


async def test_the_version_behind_the_challengers_alias_is_taken_and_the_alias_left_at_the_end(house):
    await house.point(CHALLENGER, 3)
    rollout = await house.begin(0.1, challenger_version=0)
    assert (rollout.challenger_version, rollout.sets_alias) == (3, False)
    await house.rollouts.stop_rollout(house.caller(OPERATOR), rollout.name, reason_code="", note="")
    assert await house.points_at(CHALLENGER) == 3


async def test_a_challengers_alias_that_was_moved_meanwhile_is_left_where_it_is(house):
    rollout = await house.begin(0.1)
    await house.point(CHALLENGER, 3)
    await house.rollouts.stop_rollout(house.caller(OPERATOR), rollout.name, reason_code="", note="")
    assert await house.points_at(CHALLENGER) == 3


async def test_who_may_not_move_the_challengers_alias_may_not_begin(house):
    house.trust_anew(
        roles=[{"subject": OPERATOR, "roles": ["operator"], "aliases": ["champion"]}],
    )
    with pytest.raises(PermissionDeniedError, match="'challenger'"):
        await house.begin(0.1)
    with pytest.raises(PermissionDeniedError):
        await house.begin(0.1, by=CI)


async def test_a_protected_alias_wants_a_guardrail_and_a_protected_challengers_alias_its_version(house):
    house.set_policy(protected_aliases=["champion"], rollouts=TERMS | {"guardrails": []})
    with pytest.raises(PreconditionFailedError, match="no guardrail for a split"):
        await house.begin(0.1)
    house.set_policy(protected_aliases=["challenger"], rollouts=TERMS)
    with pytest.raises(PreconditionFailedError, match="protected in dev and does not point at version 2"):
        await house.begin(0.1)
    house.set_policy(protected_aliases=["champion"], rollouts=TERMS)
    with pytest.raises(GateRefusedError, match="--to dev --alias champion --by-rollout"):
        await house.begin(0.1)
    assert (await house.begin(0.1, kind=SHADOW)).state == "running"


async def test_without_guardrails_it_says_that_only_time_and_silence_are_watched(tmp_path):
    house = RolloutRegistry(tmp_path, terms={})
    await house.start()
    await house.fill()
    rollout = await house.begin(0.1)
    assert "only time and silence are watched" in rollout.message
    house.clock.now += MINUTE
    told = await house.report(
        rollout, house.measured(2, 5.0, metric="any", deviation=1.0, direction="lower_is_better")
    )
    assert told.state == "awaiting"
    assert (await house.judge(rollout, after=11 * MINUTE)).reason_code == "metrics-silent"
    house.stop()


async def test_the_guardrails_are_those_of_its_kind_and_place(house):
    shadow_only = LATENCY | {"kinds": ["shadow"]}
    blue_only = LATENCY | {"rule": "blue", "when": {"aliases": ["blue"]}}
    house.set_policy(rollouts=TERMS | {"guardrails": [ERRORS, shadow_only, blue_only]})
    rollout = await house.begin(0.1)
    assert [each.rule for each in rollout.plan.guardrails] == ["errors"]
    assert rollout.plan.guardrails[0].max_regression.value == ERRORS["max_regression"]
    await house.rollouts.stop_rollout(house.caller(OPERATOR), rollout.name, reason_code="", note="")
    shadow = await house.begin(0.1, kind=SHADOW)
    assert [each.rule for each in shadow.plan.guardrails] == ["errors", "latency"]


async def test_a_percentage_is_frozen_as_one(house):
    house.set_policy(rollouts=TERMS | {"guardrails": [ERRORS | {"max_regression": "2.5%"}]})
    rollout = await house.begin(0.1)
    assert str((await house.at(rollout)).plan.guardrails[0].max_regression) == "2.5%"
    assert (CHAMPION.alias, rollout.plan.max_silence) == ("champion", 10 * MINUTE)

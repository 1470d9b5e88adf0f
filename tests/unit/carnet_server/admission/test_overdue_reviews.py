"""A review that is overdue is named where people are asked to break the glass."""

from __future__ import annotations

from datetime import timedelta

import pytest

from carnet_server.admission.dossier import read_dossier
from carnet_server.admission.proto import rule_to_proto
from tests.unit.carnet_server.admission.registries import POLICIES

TERMS = b"break_glass: {skips: [evaluation, no-regression, approvals], count: 1, review_within: 3d}\n"


async def asked(world, *, version: int, emergency: bool):
    manifest = await world.publish(version=version)
    request = world.parties.request(manifest, emergency=emergency)
    return manifest, await world.evaluate(await world.bring(manifest, request))


def glass_of(admission):
    results = {each.rule: each for each in admission.evaluation.evaluation.results}
    return results.get("break-glass")


@pytest.fixture
async def broken(world):
    """The promotion for which the glass was broken here."""
    await world.staging.change_policy(POLICIES["staging"] + TERMS)
    manifest, admission = await asked(world, version=1, emergency=True)
    assert "review_overdue" not in glass_of(admission).values
    now = world.clock()
    envelope = world.parties.break_glass(
        admission,
        read_dossier(admission.dossier),
        by="bob",
        skips=("approvals", "evaluation", "no-regression"),
        signed_at=now,
        expires_at=now + timedelta(minutes=30),
    )
    await world.staging.admission.submit_approval(world.staging.caller("bob"), admission.promotion, envelope)
    await world.transfer(manifest)
    view, _ = await world.admit(admission.promotion, manifest)
    assert view.admission.evaluation.evaluation.skipped
    return view.admission


async def test_it_is_named_once_it_is_overdue_and_not_before(world, broken):
    world.clock.ahead = timedelta(days=2)
    _, early = await asked(world, version=2, emergency=True)
    assert "review_overdue" not in glass_of(early).values
    world.clock.ahead = timedelta(days=4)
    _, late = await asked(world, version=3, emergency=True)
    assert glass_of(late).values["review_overdue"] == broken.promotion
    assert broken.promotion in rule_to_proto(glass_of(late)).message


async def test_it_is_not_named_where_nobody_asks_for_the_glass(world, broken):
    world.clock.ahead = timedelta(days=4)
    _, ordinary = await asked(world, version=2, emergency=False)
    assert glass_of(ordinary) is None


async def test_a_review_settles_it(world, broken):
    world.clock.ahead = timedelta(days=4)
    review = world.parties.review(broken, by="erin", signed_at=world.clock())
    await world.staging.admission.submit_approval(world.staging.caller("erin"), broken.promotion, review)
    _, admission = await asked(world, version=2, emergency=True)
    assert "review_overdue" not in glass_of(admission).values

"""Bringing a version from dev to staging and to prod, and having a weaker one refused on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.client.results import PromotionState
from carnet.errors import PermissionDeniedError, PreconditionFailedError
from carnet_server.demo.chapters.publishing import attest_evaluation
from carnet_server.demo.evaluation import integration_test, smoke_test
from carnet_server.demo.scene import MODEL, StoryBrokenError

if TYPE_CHECKING:
    from carnet.client.client import Client
    from carnet.client.results import Promotion
    from carnet_server.demo.scene import Scene

TIMEOUT_SECONDS = 120.0


def bring_to_staging(scene: Scene, version: int) -> None:
    """Evaluate a version, and promote it from dev to staging."""
    scene.teller.step(f"Evaluate version {version}, and promote it from dev to staging")
    attest_evaluation(scene, version)
    with scene.acting_as("ci") as ci:
        promotion = ci.promote(f"dev/{MODEL}@{version}", "staging", alias="champion")
        _finish(scene, ci, promotion)


def bring_to_prod(scene: Scene, version: int, *, tries_itself: bool) -> None:
    """Test a version in staging, and promote it to prod, with two approvals.

    Args:
        scene: Where the story is told.
        version: The version.
        tries_itself: Whether its author tries to approve it too.
    """
    teller = scene.teller
    teller.step(f"Test version {version} in staging, and promote it from staging to prod")
    with scene.acting_as("integration-tester") as tester:
        pulled = tester.pull(f"staging/{MODEL}@{version}", scene.work / f"tested-{version}")
        document = integration_test(pulled.path)
        for each in (document, smoke_test(pulled.path)):
            tester.attest(f"staging/{MODEL}@{version}", each)
    passed = ", ".join(document["passed_tests"])
    teller.say(f"The integration tester pulled, verified, loaded and called it: {passed}.")
    teller.say("Its smoke test goes along: prod goes back to no version that was not seen to load.")
    with scene.acting_as("ci") as ci:
        promotion = ci.promote(f"staging/{MODEL}@{version}", "prod", alias="champion")
        waiting = _until_dossier(ci, promotion.id)
        teller.say(f"prod's policy passes but for people: {waiting.message}")
        if tries_itself:
            _approve_own(scene, promotion.id)
        for name in ("bob", "carol"):
            with scene.acting_as(name) as approver:
                approver.approve(promotion.id, "Figures and tests are in order.", target="prod")
            teller.say(f"{name} read the dossier that prod signed, and approved it.")
        _finish(scene, ci, promotion)


def have_refused(scene: Scene, version: int) -> None:
    """Try to promote a version that is worse than staging's champion."""
    teller = scene.teller
    teller.step(f"Try to promote version {version}, which is worse than staging's champion")
    attest_evaluation(scene, version)
    with scene.acting_as("ci") as ci:
        promotion = ci.promote(f"dev/{MODEL}@{version}", "staging", alias="champion")
        ended = ci.wait(promotion.id, timeout=TIMEOUT_SECONDS)
    failed = [rule for rule in ended.rules if rule.status.lower() == "failed"]
    if ended.state is not PromotionState.REJECTED or not failed:
        raise StoryBrokenError(f"version {version} should be refused; it is {ended.state}: {ended.message}")
    teller.rules(ended.rules)
    for rule in failed:
        teller.say(f"What to do: {rule.remedy}")
    names = ", ".join(rule.rule for rule in failed)
    teller.outcome(f"version {version}", f"refused by staging's rule {names}")


def _until_dossier(client: Client, promotion: str) -> Promotion:
    for update in client.watch_promotion(promotion):
        if update.promotion.state is PromotionState.AWAITING and update.promotion.awaits_dossier:
            return update.promotion
        if update.promotion.state.ended:
            break
    ended = client.promotion(promotion)
    raise StoryBrokenError(f"{ended.id} should wait for approvals; it is {ended.state}: {ended.message}")


def _approve_own(scene: Scene, promotion: str) -> None:
    with scene.acting_as("alice") as alice:
        try:
            alice.approve(promotion, "It is mine, and it is good.", target="prod")
        except (PermissionDeniedError, PreconditionFailedError) as error:
            scene.teller.say(f"alice, whose model it is, tried to approve it: {error.message}")
            return
    raise StoryBrokenError("alice could approve her own model")


def _finish(scene: Scene, client: Client, promotion: Promotion) -> None:
    ended = client.wait(promotion.id, timeout=TIMEOUT_SECONDS)
    if ended.state is not PromotionState.SUCCEEDED:
        raise StoryBrokenError(f"promotion {ended.id} is {ended.state}: {ended.message}")
    scene.teller.rules(ended.rules)
    where = f"{ended.target}/{MODEL}@{ended.reference.version}"
    scene.teller.say(f"{ended.target} admitted it: {where}, and {ended.alias} points at it.")

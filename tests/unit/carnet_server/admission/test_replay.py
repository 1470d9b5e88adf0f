"""Replaying a policy: past decisions on what was known then, and nothing written."""

from __future__ import annotations

from datetime import timedelta

import pytest

from carnet.errors import DocumentInvalidError, GateRefusedError, InvalidInputError
from carnet.references import ResourceName
from carnet.registry.v1 import admission_pb2
from carnet_policies.document import MAX_POLICY_BYTES
from carnet_server.access.scope import enter_scope
from carnet_server.admission import past_decisions, replay
from carnet_server.admission.dossier import read_dossier
from carnet_server.admission.proto import replayed_to_proto
from carnet_server.admission.servicer import AdmissionServicer
from carnet_server.log.queries import DOCUMENTS
from tests.unit.carnet_server.admission.parties import subject
from tests.unit.carnet_server.admission.registries import POLICIES

STAGING = POLICIES["staging"]
STRICTER = STAGING.replace(b"count: 1", b"count: 2")
DEV = POLICIES["dev"]


def floored(least: str) -> bytes:
    """Staging's policy with a floor that its own evaluations are above or below."""
    rule = f"metrics:\n  - {{rule: floor, needs: [evaluation], metric: roc_auc, at_least: {least}}}\nrules:"
    return STAGING.replace(b"rules:", rule.encode(), 1)


async def replayed(registry, policy: bytes, *, page_size=0):
    found, token = await registry.admission.replay(policy, page_size=page_size, page_token="")
    assert token == ""
    return found


def outcomes(found):
    return [
        (each.past.result, str(each.evaluation.outcome) if each.evaluation else each.problem)
        for each in found
    ]


def results(each):
    return {result.rule: result for result in each.evaluation.results}


async def promoted(world, roc_auc=0.98, **published):
    manifest = await world.publish(**published)
    await world.attest(manifest, metrics={"roc_auc": roc_auc})
    view = await world.promote(manifest)
    return manifest, view.admission


async def refused(world, **published):
    manifest = await world.publish(**published)
    await world.attest(manifest, result="FAILED")
    return manifest, await world.evaluate(await world.bring(manifest, world.parties.request(manifest)))


async def test_the_policy_in_force_says_what_it_said(world):
    first, admission = await promoted(world)
    second, _ = await refused(world, version=2)
    found = await replayed(world.staging, STAGING)
    assert outcomes(found) == [("FAILED", "FAILED"), ("PASSED", "PASSED")]
    newest, oldest = found
    assert newest.past.text("bundle_digest") == second.digest
    assert oldest.past.text("bundle_digest") == first.digest
    assert (oldest.past.text("promotion"), oldest.past.text("alias")) == (admission.promotion, "champion")
    assert oldest.decision.policy.digest.sha256 == world.staging.state.policy.digest
    assert results(oldest).keys() == {rule.rule for rule in admission.evaluation.evaluation.results}


async def test_what_was_only_permitted_is_told_as_that(world):
    manifest = await world.publish()
    await world.attest(manifest)
    await world.promote(manifest, by_rollout=True)
    await refused(world, version=2)
    told = [replayed_to_proto(each) for each in await replayed(world.staging, STAGING)]
    assert [(each.decided, each.alias, each.by_rollout) for each in told] == [
        ("FAILED", "", False),
        ("PASSED", "champion", True),
    ]


async def test_another_policy_says_otherwise_and_nothing_is_written(world):
    _, admission = await promoted(world)
    before = world.staging.log.size
    (stricter,) = await replayed(world.staging, STRICTER)
    (lower,) = await replayed(world.staging, floored("0.9"))
    (higher,) = await replayed(world.staging, floored("0.999"))
    assert outcomes([stricter, lower, higher]) == [
        ("PASSED", "AWAITING"),
        ("PASSED", "PASSED"),
        ("PASSED", "FAILED"),
    ]
    assert results(higher)["floor"].status == "FAILED"
    assert world.staging.log.size == before
    view = await world.staging.admission.get(world.staging.caller("sync"), admission.promotion)
    assert view.admission == admission


async def test_what_came_after_a_decision_is_not_seen(world):
    manifest, _ = await promoted(world)
    await world.attest(manifest, where=world.staging, result="FAILED")
    (found,) = await replayed(world.staging, STAGING)
    assert outcomes([found]) == [("PASSED", "PASSED")]


async def test_the_baseline_is_where_its_alias_pointed_then(world):
    await promoted(world, roc_auc=0.98)
    await promoted(world, roc_auc=0.99, version=2)
    unrelated = STAGING.replace(b"baseline_alias: champion", b"baseline_alias: shadow")
    second, first = await replayed(world.staging, STAGING)
    assert results(first)["no-regression"].status == "PASSED"  # compared with none, not with version 2
    assert results(second)["no-regression"].status == "PASSED"
    doubled = STAGING.replace(
        b'metrics["roc_auc"] >= baseline_metrics["roc_auc"]',
        b'metrics["roc_auc"] >= baseline_metrics["roc_auc"] + 0.5',
    )
    second, first = await replayed(world.staging, doubled)
    assert (results(first)["no-regression"].status, results(second)["no-regression"].status) == (
        "PASSED",
        "FAILED",
    )
    assert (
        outcomes(await replayed(world.staging, unrelated.replace(b">=", b"<"))) == [("PASSED", "PASSED")] * 2
    )


async def test_the_clock_is_that_of_the_decision(world):
    await promoted(world)
    aged = STAGING.replace(b"    metrics: true", b"    metrics: true\n    max_age: 1d", 1)
    world.clock.ahead = timedelta(days=30)
    (found,) = await replayed(world.staging, aged)
    assert outcomes([found]) == [("PASSED", "PASSED")]


async def test_trust_is_todays(world):
    await promoted(world)
    await world.staging.change_trust(
        people=[{"name": "alice", "subjects": [subject("alice"), subject("ci")]}]
    )
    (found,) = await replayed(world.staging, STAGING)
    assert outcomes([found]) == [("PASSED", "AWAITING")]
    assert results(found)["approvals"].status == "AWAITING"


async def test_a_publication_is_replayed_under_another_policy(world):
    manifest = await world.publish()
    demanding = DEV + b"metadata: {required: [caveats]}\n"
    (found,) = await replayed(world.dev, demanding)
    assert outcomes([found]) == [("PASSED", "FAILED")]
    assert found.past.text("promotion") == ""
    assert found.past.text("bundle_digest") == manifest.digest
    assert outcomes(await replayed(world.dev, DEV)) == [("PASSED", "PASSED")]


async def test_a_refused_publication_is_named_with_why_it_cannot_be_replayed(world):
    await world.dev.change_policy(DEV + b"metadata: {required: [caveats]}\n")
    with pytest.raises(GateRefusedError):
        await world.publish()
    assert outcomes(await replayed(world.dev, DEV)) == [
        ("FAILED", "the manifest of a publication that was refused is not kept")
    ]


async def test_a_decision_whose_document_was_erased_is_named(world):
    _, admission = await promoted(world)
    await world.staging.writer.commit(
        lambda tx: tx.connection.execute(
            DOCUMENTS.delete().where(DOCUMENTS.c.digest == admission.decision_digest)
        )
    )
    (found,) = await replayed(world.staging, STAGING)
    assert found.problem == f"the decision {admission.decision_digest} is not held any more"
    assert (found.past.result, found.evaluation) == ("PASSED", None)


async def test_revocation_is_a_fact_of_that_time(world):
    manifest, _ = await promoted(world)
    await world.staging.models.revoke(
        world.staging.caller("ops"),
        ResourceName(manifest.namespace, manifest.model, manifest.version),
        "withdrawn",
    )
    (found,) = await replayed(world.staging, STAGING)
    assert results(found)["revocation"].status == "PASSED"


async def test_a_page_goes_on_where_the_last_one_ended(world, monkeypatch):
    monkeypatch.setattr(past_decisions, "_AT_ONCE", 2)
    for number in (1, 2, 3):
        await world.publish(version=number)
    seen, token = [], ""
    for _ in range(10):
        page, token = await world.dev.admission.replay(DEV, page_size=2, page_token=token)
        assert len(page) <= 2
        seen += [each.past.version.version for each in page]
        if not token:
            break
    assert seen == [3, 2, 1]


async def test_a_long_log_is_looked_through_a_part_at_a_time(world, monkeypatch):
    monkeypatch.setattr(past_decisions, "MOST_ENTRIES", 1)
    await world.publish()
    token, pages, seen = "", 0, 0
    while pages == 0 or token:
        page, token = await world.dev.admission.replay(DEV, page_size=0, page_token=token)
        pages, seen = pages + 1, seen + len(page)
    assert (pages, seen) == (world.dev.log.size, 1)


async def test_a_page_fits_a_message(world, monkeypatch):
    monkeypatch.setattr(replay, "_PAGE_BYTES", 10)
    for number in (1, 2):
        await world.publish(version=number)
    page, token = await world.dev.admission.replay(DEV, page_size=0, page_token="")
    more, _ = await world.dev.admission.replay(DEV, page_size=0, page_token=token)
    assert [each.past.version.version for each in (*page, *more)] == [2, 1]


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        (b"schema: carnet.policy/v1\nenvironment: staging\n", "policy:"),
        (STAGING.replace(b"metrics[", b"metriks[", 1), r"policy:\d+:\d+: rules\[0\].expression"),
        (DEV, "environment: is 'dev', and the decisions are staging's"),
        (STAGING + b"#" * MAX_POLICY_BYTES, f"at most {MAX_POLICY_BYTES}"),
        (b"\xff", "policy"),
        (b"", "policy"),
    ],
)
async def test_what_is_no_policy_for_here_is_refused_with_its_place(world, policy, says):
    with pytest.raises(DocumentInvalidError, match=says):
        await world.staging.admission.replay(policy, page_size=0, page_token="")


async def test_a_page_of_another_policy_is_none_of_this(world):
    for number in (1, 2):
        await world.publish(version=number)
    _, token = await world.dev.admission.replay(DEV, page_size=1, page_token="")
    with pytest.raises(InvalidInputError, match="page_token"):
        await world.dev.admission.replay(DEV + b"# another\n", page_size=1, page_token=token)
    with pytest.raises(InvalidInputError, match="page_size"):
        await world.dev.admission.replay(DEV, page_size=-1, page_token="")


# --- the glass --------------------------------------------------------------------------------------------

TERMS = b"break_glass: {skips: [evaluation, no-regression, approvals], count: 1, max_validity: 2h}\n"


async def broken(world):
    await world.staging.change_policy(STAGING + TERMS)
    manifest = await world.publish()
    await world.attest(manifest)
    admission = await world.evaluate(await world.bring(manifest, world.parties.request(manifest)))
    now = world.clock()
    envelope = world.parties.break_glass(
        admission,
        read_dossier(admission.dossier),
        by="bob",
        signed_at=now,
        expires_at=now + timedelta(hours=1),
    )
    await world.staging.admission.submit_approval(world.staging.caller("bob"), admission.promotion, envelope)
    await world.transfer(manifest)
    view, _ = await world.admit(admission.promotion, manifest)
    return view.admission


async def test_a_broken_glass_is_shown_as_it_was_where_the_policy_lets_people_break_it(world):
    admission = await broken(world)
    assert admission.evaluation.evaluation.skipped == ("approvals",)
    (found,) = await replayed(world.staging, STAGING + TERMS)
    assert (found.evaluation.outcome, found.evaluation.skipped) == ("PASSED", ("approvals",))
    (other,) = await replayed(world.staging, STAGING)
    assert (other.evaluation.outcome, other.evaluation.skipped) == ("AWAITING", ())
    (two,) = await replayed(world.staging, STAGING + TERMS.replace(b"count: 1", b"count: 2"))
    assert two.evaluation.outcome == "AWAITING"
    assert results(two)["break-glass"].status == "AWAITING"


# --- messages ---------------------------------------------------------------------------------------------


async def test_messages_tell_what_was_decided_and_what_would_be(world):
    manifest, admission = await promoted(world)
    enter_scope(world.staging.caller("sync"))
    servicer = AdmissionServicer(world.staging.admission)
    answer = await servicer.ReplayPolicy(admission_pb2.ReplayPolicyRequest(policy=floored("0.999")), None)
    (told,) = answer.decisions
    assert answer.next_page_token == ""
    assert (told.version, told.bundle_digest) == (
        "namespaces/risk/models/fraud/versions/1",
        manifest.digest,
    )
    assert (told.promotion, told.alias) == (admission.promotion, "champion")
    assert (told.decided, told.replayed, told.problem) == ("PASSED", "FAILED", "")
    assert told.policy_digest == world.staging.state.policy.digest
    assert told.log_index == (await replayed(world.staging, STAGING))[0].past.log_index
    assert told.HasField("decide_time")
    assert {rule.rule for rule in told.rules} >= {"source", "floor", "approvals", "revocation"}

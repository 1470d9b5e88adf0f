"""Breaking the glass: what it opens, who can, what nobody can, and that it is loud and reviewed."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest

from carnet.errors import (
    AlreadyExistsError,
    ConflictError,
    GateAwaitingError,
    GateRefusedError,
    IllegalTransitionError,
    KeyUntrustedError,
    PermissionDeniedError,
    PreconditionFailedError,
    SignatureInvalidError,
    StatementInvalidError,
)
from carnet.references import ResourceName
from carnet.signing.decision import Decision
from carnet_policies.engine import PolicyEngine
from carnet_server.admission.dossier import read_dossier
from carnet_server.admission.states import AdmissionState
from tests.support.storage import ALL_FOUR
from tests.unit.carnet_server.admission.audits import audited
from tests.unit.carnet_server.admission.parties import manifest_of, read, subject
from tests.unit.carnet_server.admission.registries import POLICIES, World

AWAITING, READY = AdmissionState.AWAITING, AdmissionState.READY
REFUSED, ADMITTED = AdmissionState.REFUSED, AdmissionState.ADMITTED
TERMS = b"""break_glass:
  skips: [evaluation, no-regression, approvals]
  count: COUNT
  max_validity: 2h
  review_within: 3d
"""


def policy(count: int) -> bytes:
    return POLICIES["staging"] + TERMS.replace(b"COUNT", b"%d" % count)


@pytest.fixture(scope="module")
def engine():
    with PolicyEngine() as engine:
        yield engine


@pytest.fixture
async def world(tmp_path, engine, storage):
    """Two people break the glass here."""
    world = await World(tmp_path, engine, {"staging": policy(2)}, storage).start()
    yield world
    world.stop()


@pytest.fixture
async def alone(tmp_path, engine):
    """One person breaks the glass here."""
    world = await World(tmp_path, engine, {"staging": policy(1)}).start()
    yield world
    world.stop()


async def asked(world, *, evaluated=True, emergency=False, by="ci", **published):
    """A promotion as far as its first evaluation."""
    manifest = await world.publish(**published)
    if evaluated:
        await world.attest(manifest)
    request = world.parties.request(manifest, alias="champion", emergency=emergency, by=by)
    return manifest, request, await world.evaluate(await world.bring(manifest, request))


async def broken(world, admission, *people, **said):
    for person in people:
        kept = await submit(world, admission, by=person, **said)
    return kept


async def submit(world, admission, *, by="bob", signer=None, envelope=None, **said):
    now = world.clock()
    times = {"signed_at": now, "expires_at": now + timedelta(hours=1)}
    given = envelope or world.parties.break_glass(
        admission, read_dossier(admission.dossier), by=signer or by, **{**times, **said}
    )
    return await world.staging.admission.submit_approval(world.staging.caller(by), admission.promotion, given)


async def review(world, admission, *, by="erin", signer=None, **said):
    given = world.parties.review(admission, by=signer or by, **{"signed_at": world.clock(), **said})
    return await world.staging.admission.submit_approval(world.staging.caller(by), admission.promotion, given)


async def admitted(world, *, by="ci", people=("bob", "dave"), **published):
    manifest, _, admission = await asked(world, by=by, **published)
    await broken(world, admission, *people)
    await world.transfer(manifest)
    view, _ = await world.admit(admission.promotion, manifest)
    return view.admission


def results(admission):
    return {each.rule: each for each in admission.evaluation.evaluation.results}


def kinds(entries):
    return [f"{entry.type}{'=' + entry.new if entry.new else ''}" for entry in entries]


# --- what it opens ------------------------------------------------------------------------------------------


@ALL_FOUR
async def test_two_people_stand_in_for_approvals_and_the_log_says_so(world):
    manifest, request, admission = await asked(world)
    start = world.staging.log.size
    await broken(world, admission, "bob", "dave")
    again = await world.evaluate(await world.bring(manifest, request))
    assert again.state is READY
    await world.transfer(manifest)
    view, _ = await world.admit(admission.promotion, manifest)
    assert view.admission.state is ADMITTED
    assert kinds(await world.staging.entries(start)) == [
        "break-glass.recorded=approvals",
        "break-glass.recorded=approvals",
        "decision.made=PASSED",
        "break-glass.used=approvals",
        "version.admitted",
        "alias.moved=1",
        "version.stage-changed=deployed",
    ]
    used = (await world.staging.entries(start))[3]
    assert used.envelope_digest == view.admission.decision_digest
    decision = read(view.admission.decision, Decision)
    assert decision.skipped == ("approvals",)
    assert decision.verified_levels == ("CARNET_ADMITTED", "CARNET_BREAK_GLASS")
    signed = {each.digest for each in view.approvals if each.meaning == "break-glass"}
    assert len(signed) == 2
    assert signed < {each.digest.sha256 for each in decision.input_attestations}
    told = {each.rule: each.message for each in decision.rules}
    assert "INC-7" in told["break-glass"]


async def test_one_of_two_people_opens_nothing(world):
    manifest, request, admission = await asked(world)
    await broken(world, admission, "bob")
    await world.transfer(manifest)
    with pytest.raises(GateAwaitingError, match="1 of 2 people"):
        await world.admit(admission.promotion, manifest)
    await broken(world, admission, "bob")  # the same person again
    again = await world.evaluate(await world.bring(manifest, request))
    assert again.state is AWAITING


async def test_where_one_person_is_enough_the_requester_is_not(alone):
    manifest, request, admission = await asked(alone, by="bob")
    with pytest.raises(PermissionDeniedError, match="bob asked for this promotion"):
        await broken(alone, admission, "bob")
    await broken(alone, admission, "dave")
    assert (await alone.evaluate(await alone.bring(manifest, request))).state is READY


async def test_the_requester_may_be_the_second_person(world):
    manifest, request, admission = await asked(world, by="bob")
    await broken(world, admission, "bob", "dave")
    assert (await world.evaluate(await world.bring(manifest, request))).state is READY


async def test_ordinary_approvals_still_open_it_whoever_began_to_break_the_glass(world):
    manifest, _, admission = await asked(world)
    await broken(world, admission, "bob")
    await world.submit(admission, by="erin")
    await world.transfer(manifest)
    view, _ = await world.admit(admission.promotion, manifest)
    assert read(view.admission.decision, Decision).skipped == ()


async def test_what_failed_refuses_unless_it_was_asked_for_as_an_emergency(world):
    manifest = await world.publish()
    await world.attest(manifest, result="FAILED")
    given = await world.bring(manifest, world.parties.request(manifest))
    assert (await world.evaluate(given)).state is REFUSED
    request = world.parties.request(manifest, emergency=True)
    held = await world.evaluate(await world.bring(manifest, request))
    assert (held.state, results(held)["evaluation"].held_open) == (AWAITING, True)
    shown = {each.rule: each.status for each in read_dossier(held.dossier).open_rules}
    assert shown == {"evaluation": "FAILED", "no-regression": "FAILED", "approvals": "AWAITING"}
    await broken(world, held, "bob", "dave", skips=tuple(sorted(shown)))
    await world.transfer(manifest)
    view, _ = await world.admit(held.promotion, manifest)
    assert set(read(view.admission.decision, Decision).skipped) == set(shown)


async def test_an_emergency_waits_on_when_nothing_has_changed_and_writes_nothing_again(world):
    manifest, request, held = await asked(world, evaluated=False, emergency=True)
    size = world.staging.log.size
    again = await world.evaluate(await world.bring(manifest, request))
    assert (again, world.staging.log.size) == (held, size)


async def test_a_dossier_with_open_rules_cannot_be_approved_and_gives_way_to_one_that_can(world):
    manifest, request, held = await asked(world, evaluated=False, emergency=True)
    with pytest.raises(PreconditionFailedError, match="nothing to approve yet"):
        await world.submit(held, by="erin")
    await world.attest(manifest)
    later = await world.evaluate(await world.bring(manifest, request))
    assert read_dossier(later.dossier).open_rules == ()
    assert later.dossier_digest != held.dossier_digest
    await world.submit(later, by="erin")


async def test_what_comes_to_light_after_they_signed_is_not_skipped(world):
    manifest, request, held = await asked(world, evaluated=False, emergency=True)
    rules = ("approvals", "evaluation", "no-regression")
    await broken(world, held, "bob", "dave", skips=rules)
    await world.attest(manifest, result="FAILED")
    later = await world.evaluate(await world.bring(manifest, request))
    assert later.state is AWAITING
    assert later.dossier_digest != held.dossier_digest
    await world.transfer(manifest)
    with pytest.raises(GateAwaitingError):
        await world.admit(held.promotion, manifest)


async def test_a_statement_for_fewer_rules_than_stand_open_counts_for_nothing(world):
    manifest, request, held = await asked(world, evaluated=False, emergency=True)
    await broken(world, held, "bob", "dave", skips=("approvals",))
    again = await world.evaluate(await world.bring(manifest, request))
    assert again.state is AWAITING
    assert "0 of 2 people" in results(again)["break-glass"].message


# --- what nobody can ----------------------------------------------------------------------------------------


async def test_what_the_policy_does_not_name_stays_shut(world):
    manifest, request, _ = await asked(world, emergency=True, version=1)
    await world.staging.change_policy(policy(2).replace(b"skips: [evaluation, ", b"skips: ["))
    await world.attest(manifest, result="FAILED")
    assert (await world.evaluate(await world.bring(manifest, request))).state is REFUSED


async def test_a_rule_that_cannot_be_skipped_is_refused_when_it_is_signed_for(world):
    _, _, admission = await asked(world)
    with pytest.raises(PreconditionFailedError, match="signature cannot be skipped"):
        await submit(world, admission, skips=("approvals", "signature"))


async def test_no_glass_where_the_policy_has_none(tmp_path, engine):
    world = await World(tmp_path, engine).start()
    _, _, admission = await asked(world, emergency=True)
    with pytest.raises(PreconditionFailedError, match="none of its rules"):
        await submit(world, admission)
    world.stop()


async def test_no_glass_for_what_waits_for_a_rollout(world):
    manifest = await world.publish()
    await world.attest(manifest)
    request = world.parties.request(manifest, alias="champion", by_rollout=True)
    admission = await world.evaluate(await world.bring(manifest, request))
    size = world.staging.log.size
    with pytest.raises(PreconditionFailedError, match="an emergency does not wait for one"):
        await submit(world, admission)
    assert world.staging.log.size == size


async def test_a_revocation_is_never_skipped(world):
    manifest, _, admission = await asked(world)
    await broken(world, admission, "bob", "dave")
    await world.transfer(manifest)
    await world.dev.models.revoke(world.dev.caller("dave"), ResourceName("risk", "fraud", 1), reason="leaks")
    with pytest.raises(GateRefusedError, match="revoked at dev"):
        await world.admit(admission.promotion, manifest)


async def test_a_persons_rejection_is_never_skipped(world):
    manifest, request, admission = await asked(world, emergency=True)
    await broken(world, admission, "bob", "dave")
    await world.submit(admission, by="erin", meaning="rejected")
    assert (await world.evaluate(await world.bring(manifest, request))).state is REFUSED


async def test_it_opens_one_promotion_once(world):
    manifest, _, admission = await asked(world)
    await broken(world, admission, "bob", "dave")
    await world.transfer(manifest)
    await world.admit(admission.promotion, manifest)
    with pytest.raises(IllegalTransitionError):
        await broken(world, admission, "erin")
    _, already = await world.admit(admission.promotion, manifest)
    assert already
    request = world.parties.request(manifest, alias="champion")
    second = await world.evaluate(await world.bring(manifest, request))
    with pytest.raises(GateAwaitingError):
        await world.admit(second.promotion, manifest)


async def test_statements_end_before_the_admission_does(world):
    manifest, _, admission = await asked(world)
    await broken(world, admission, "bob", "dave")
    await world.transfer(manifest)
    world.clock.ahead = timedelta(hours=1, seconds=1)
    with pytest.raises(GateAwaitingError):
        await world.admit(admission.promotion, manifest)


async def test_another_policy_ends_what_was_signed_under_the_old_one(world):
    manifest, request, admission = await asked(world)
    await broken(world, admission, "bob", "dave")
    await world.staging.change_policy(policy(2).replace(b"version: 1", b"version: 2"))
    assert (await world.evaluate(await world.bring(manifest, request))).state is AWAITING


async def test_a_role_that_is_taken_away_takes_the_statement_with_it(world):
    manifest, request, admission = await asked(world)
    await broken(world, admission, "bob", "dave")
    trust = world.staging.parties.trust("staging")
    assert "breaker" in trust.acting_roles(subject("dave"), "risk")
    denied = [{"subject": subject("dave"), "roles": ["breaker"]}]
    await world.staging.change_trust(version=2, denied=denied)
    again = await world.evaluate(await world.bring(manifest, request))
    assert again.state is AWAITING


# --- forgeries ----------------------------------------------------------------------------------------------


FORGERIES = {
    "signed by somebody else": ({"by": "dave", "signer": "bob"}, PermissionDeniedError),
    "signed with a stranger's key": ({"signer": "stranger"}, KeyUntrustedError),
    "signed by who has the role and no key for it": ({"signer": "ci"}, KeyUntrustedError),
    "signed by the publisher": ({"by": "alice"}, PermissionDeniedError),
    "signed by an account of nobody": ({"by": "carol"}, PermissionDeniedError),
    "another promotion's": ({"promotion": uuid.uuid4().hex}, StatementInvalidError),
    "another source's": ({"source": "test"}, StatementInvalidError),
    "another target's": ({"target": "prod"}, StatementInvalidError),
    "under another policy": ({"policy_digest": "a" * 64}, StatementInvalidError),
    "over other evidence": ({"evidence_set_digest": "a" * 64}, StatementInvalidError),
    "over another dossier": ({"dossier_digest": "a" * 64}, ConflictError),
    "for another version": ({"about": ("dev/risk/fraud@2", "a" * 64)}, StatementInvalidError),
    "for other files": ({"about": ("dev/risk/fraud@1", "a" * 64)}, StatementInvalidError),
    "garbage": ({"envelope": b"{}"}, SignatureInvalidError),
}


@pytest.mark.parametrize("name", FORGERIES)
async def test_forged_statements_are_refused_and_leave_nothing(world, name):
    said, error = FORGERIES[name]
    _, _, admission = await asked(world)
    size = world.staging.log.size
    with pytest.raises(error):
        await submit(world, admission, **said)
    assert world.staging.log.size == size


@pytest.mark.parametrize(
    ("signed", "ends", "match"),
    [(-120, -1, "expired"), (120, 180, "from the future"), (0, 121, "good for 121m, and the policy")],
)
async def test_statements_are_short_and_of_now(world, signed, ends, match):
    _, _, admission = await asked(world)
    now = world.clock().replace(microsecond=0)
    with pytest.raises(StatementInvalidError, match=match):
        await submit(
            world,
            admission,
            signed_at=now + timedelta(minutes=signed),
            expires_at=now + timedelta(minutes=ends),
        )


async def test_a_replay_and_a_transplant_are_refused(world):
    manifest, _, admission = await asked(world)
    nonce = uuid.uuid4().hex
    first = world.parties.break_glass(admission, read_dossier(admission.dossier), nonce=nonce)
    kept = await submit(world, admission, envelope=first)
    size = world.staging.log.size
    assert (await submit(world, admission, envelope=first)).approval == kept.approval
    assert world.staging.log.size == size
    with pytest.raises(StatementInvalidError, match="replay"):
        await submit(world, admission, nonce=nonce, reason="Another.")
    request = world.parties.request(manifest, alias="champion")
    other = await world.evaluate(await world.bring(manifest, request))
    with pytest.raises(StatementInvalidError, match="promotion"):
        await submit(world, other, envelope=first)


async def test_who_has_not_the_role_is_refused(world):
    _, _, admission = await asked(world)
    with pytest.raises(PermissionDeniedError):
        await submit(world, admission, by="evaluator", signer="bob")


async def test_an_approval_is_no_break_glass_and_the_other_way_round(world):
    manifest, request, admission = await asked(world)
    await world.submit(admission, by="bob", meaning="reviewed")
    await broken(world, admission, "dave")
    again = await world.evaluate(await world.bring(manifest, request))
    assert again.state is AWAITING
    assert "1 of 2 people" in results(again)["break-glass"].message
    assert results(again)["approvals"].values["approved"] == "0"


# --- the review ---------------------------------------------------------------------------------------------


async def test_somebody_else_closes_it_once(world):
    admission = await admitted(world)
    for person in ("bob", "alice"):
        with pytest.raises(PermissionDeniedError, match="somebody else must review"):
            await review(world, admission, by=person)
    with pytest.raises(PermissionDeniedError):
        await review(world, admission, by="dave")  # no approver
    start = world.staging.log.size
    kept = await review(world, admission, verdict="rejected")
    assert kept.approval.meaning == "review-rejected"
    assert kinds(await world.staging.entries(start)) == ["break-glass.reviewed=rejected"]
    with pytest.raises(AlreadyExistsError, match="reviewed before, by erin"):
        await review(world, admission)


@pytest.mark.parametrize(
    "said",
    [
        {"promotion": "a" * 32},
        {"target": "prod"},
        {"decision_digest": "a" * 64},
        {"about": ("dev/risk/fraud@1", manifest_of(labels={"x": "y"}).digest)},
    ],
)
async def test_a_review_of_something_else_is_refused(world, said):
    admission = await admitted(world)
    with pytest.raises(StatementInvalidError):
        await review(world, admission, **said)


async def test_what_was_not_broken_is_not_reviewed(world):
    manifest, _, admission = await asked(world)
    await world.submit(admission, by="bob")
    await world.transfer(manifest)
    view, _ = await world.admit(admission.promotion, manifest)
    with pytest.raises(PreconditionFailedError, match="nothing to review"):
        await review(world, view.admission)


async def test_an_overdue_review_stops_the_next_one_until_it_is_made(world):
    first = await admitted(world)
    await second_version(world)
    world.clock.ahead = timedelta(days=2)
    request = world.parties.request(world.second, alias="champion", requested_at=world.clock())
    given = await world.bring(world.second, request)
    second = await world.evaluate(given)
    await broken(world, second, "bob")
    world.clock.ahead = timedelta(days=3, minutes=1)
    second = await world.evaluate(await world.bring(world.second, request))
    with pytest.raises(PreconditionFailedError, match=f"promotion {first.promotion}, and its review was due"):
        await broken(world, second, "dave")
    await review(world, first)
    await broken(world, second, "dave")


async def second_version(world):
    world.second = await world.publish(version=2, labels={"x": "y"})
    await world.attest(world.second)


# --- the verifier -------------------------------------------------------------------------------------------


async def test_an_auditor_is_told_who_broke_the_glass_and_what_came_of_it(world, tmp_path):
    admission = await admitted(world)
    report = await audited(world, tmp_path / "before")
    assert [finding.message for finding in report.findings] == []
    (use,) = report.broken_glass
    assert (use.skipped, use.review) == (("approvals",), "")
    assert use.due_at == use.decided_at + timedelta(days=3)
    told = [(each.person, each.ticket, each.reason) for each in use.statements]
    assert sorted(told) == [
        ("bob", "INC-7", "Payments are down."),
        ("dave", "INC-7", "Payments are down."),
    ]
    await review(world, admission)
    report = await audited(world, tmp_path / "after")
    assert report.ok
    (use,) = report.broken_glass
    assert (use.review, use.reviewed_by) == ("accepted", "erin")


async def test_an_auditor_has_nothing_to_object_to_an_emergency_in_which_rules_failed(world, tmp_path):
    manifest = await world.publish()
    await world.attest(manifest, result="FAILED")
    request = world.parties.request(manifest, emergency=True)
    held = await world.evaluate(await world.bring(manifest, request))
    await broken(world, held, "bob", "dave", skips=("approvals", "evaluation", "no-regression"))
    await world.transfer(manifest)
    await world.admit(held.promotion, manifest)
    report = await audited(world, tmp_path / "export")
    assert [finding.message for finding in report.findings] == []
    assert set(report.broken_glass[0].skipped) == {"approvals", "evaluation", "no-regression"}

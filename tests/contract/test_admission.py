"""Admission with a malicious carrier between a source and a target: what it forges, swaps or withholds changes nothing.

Service objects over real storage, no transport.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from dataclasses import replace
from datetime import timedelta

import pytest

from carnet.audit.export import ExportWriter
from carnet.audit.pins import Pins
from carnet.audit.verify import verify_export
from carnet.canonical import sha256_hex
from carnet.errors import (
    AlreadyExistsError,
    BlobsMissingError,
    CarnetError,
    ConflictError,
    DigestMismatchError,
    GateAwaitingError,
    GateRefusedError,
    IllegalTransitionError,
    InvalidInputError,
    KeyUntrustedError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionFailedError,
    PurgedError,
    SignatureInvalidError,
    StaleEpochError,
    StatementInvalidError,
)
from carnet.references import ResourceName
from carnet.signing.decision import Decision
from carnet.signing.dsse import parse_envelope
from carnet.signing.promotion_request import PromotionRequest
from carnet.signing.release import Release
from carnet.stages import Stage
from carnet.translog.entry import parse_entry
from carnet.translog.receipt import verify_receipt
from carnet_policies.engine import PolicyEngine
from carnet_server.admission import pull
from carnet_server.admission.dossier import read_dossier
from carnet_server.admission.states import AdmissionState
from carnet_server.aliases.domain import Move, MoveKind
from carnet_server.aliases.moves import move_alias
from carnet_server.blobs.domain import Blob
from carnet_server.blobs.fetch import FetchProgress
from carnet_server.log.revisions import model_scope
from carnet_server.models.notes import make_note
from carnet_server.models.stages import set_stage
from carnet_server.retention.queries import let_go
from tests.support.storage import ALL_FOUR
from tests.unit.carnet_server.admission.parties import manifest_of, read, subject
from tests.unit.carnet_server.admission.registries import NO_PEOPLE, POLICIES, World

AWAITING, READY = AdmissionState.AWAITING, AdmissionState.READY
REFUSED, ADMITTED = AdmissionState.REFUSED, AdmissionState.ADMITTED
CANCELLED = AdmissionState.CANCELLED


@pytest.fixture(scope="module")
def engine():
    with PolicyEngine() as engine:
        yield engine


@pytest.fixture
async def world(tmp_path, engine, storage):
    world = await World(tmp_path, engine, storage=storage).start()
    yield world
    world.stop()


@pytest.fixture
async def quiet(tmp_path, engine, storage):
    """A world in which staging asks no people."""
    world = await World(tmp_path, engine, {"staging": NO_PEOPLE}, storage).start()
    yield world
    world.stop()


@contextlib.asynccontextmanager
async def nothing_stored(world, error, match=None):
    """Insist that a call fails in that way and leaves the target's log, versions and aliases as they were."""
    before = world.staging.log.size, await world.staging.version(), await world.staging.alias()
    with pytest.raises(error, match=match):
        yield
    assert (world.staging.log.size, await world.staging.version(), await world.staging.alias()) == before


async def brought(world, *, alias="champion", **published):
    """A published, well-evaluated version, a request for it, and what an honest carrier brings."""
    manifest = await world.publish(**published)
    await world.attest(manifest)
    request = world.parties.request(manifest, alias=alias)
    return manifest, request, await world.bring(manifest, request)


def kinds(entries):
    return [f"{entry.type}{'=' + entry.new if entry.new else ''}" for entry in entries]


# --- the honest journey ---------------------------------------------------------------------------------


@ALL_FOUR
async def test_a_version_travels_with_every_stamp(world):
    manifest, _, given = await brought(world)
    start = world.staging.log.size
    admission = await world.evaluate(given)
    assert admission.state is AWAITING
    dossier = read_dossier(admission.dossier)
    assert (dossier.requester, dossier.alias) == (subject("ci"), "champion")
    kept = await world.submit(admission)
    assert kept.approval.person == "bob"
    again = await world.evaluate(await world.bring(manifest, given.request))
    assert (again.state, again.dossier) == (READY, admission.dossier)
    await world.transfer(manifest)
    view, already = await world.admit(admission.promotion, manifest)
    assert (view.admission.state, already) == (ADMITTED, False)
    assert kinds(await world.staging.entries(start)) == [
        "evidence.added",
        "evidence.added",
        "promotion.requested",
        "dossier.issued",
        "approval.recorded=approved",
        "decision.made=PASSED",
        "version.admitted",
        "version.stage-changed=approved",
        "alias.moved=1",
        "version.stage-changed=deployed",
    ]
    approved = (await world.staging.entries(start))[7]
    assert approved.envelope_digest == view.admission.decision_digest
    assert approved.subject["promotion"] == admission.promotion
    version = await world.staging.version()
    assert version.stage == "deployed"
    assert (version.bundle_digest, version.source, version.promotion) == (
        manifest.digest,
        "dev",
        admission.promotion,
    )
    assert (await world.staging.alias()).version == 1
    entry = verify_receipt(view.receipt, world.parties.logs["staging"].verifier)
    assert (entry.type, entry.envelope_digest) == ("version.admitted", view.admission.decision_digest)


async def test_the_decision_names_everything_it_rests_on_and_travels_on_as_evidence(world):
    manifest, _, given = await brought(world)
    admission = await world.evaluate(given)
    kept = await world.submit(admission)
    await world.transfer(manifest)
    view, _ = await world.admit(admission.promotion, manifest)
    decision = read(view.admission.decision, Decision)
    inputs = {each.digest.sha256 for each in decision.input_attestations}
    dossier = read_dossier(admission.dossier)
    assert {
        kept.approval.digest,
        admission.dossier_digest,
        admission.request_digest,
        *dossier.evidence,
    } < inputs
    assert decision.policy.digest.sha256 == world.staging.state.policy.digest
    assert (decision.promotion, decision.alias, decision.passed) == (admission.promotion, "champion", True)
    held = {each.digest: each for each in await world.staging.held_evidence(manifest)}
    assert held[view.admission.decision_digest].trusted


async def test_the_source_records_where_it_went_once(world):
    manifest, _, _ = await brought(world)
    view = await world.promote(manifest)
    name = ResourceName("risk", "fraud", 1)

    async def record():
        return await world.dev.release.record_admission(
            world.dev.caller("sync"), name, decision=view.admission.decision, target_receipt=view.receipt
        )

    first = await record()
    size = world.dev.log.size
    second = await record()
    assert (first.index, world.dev.log.size) == (second.index, size)
    entry = verify_receipt(first, world.parties.logs["dev"].verifier)
    assert (entry.type, entry.new, entry.subject["promotion"]) == (
        "promotion.recorded",
        "staging",
        view.admission.promotion,
    )


async def test_a_dry_run_says_what_would_be_and_stores_nothing(world):
    _, request, given = await brought(world)
    size = world.staging.log.size
    admission = await world.evaluate(given, validate_only=True)
    assert admission.state is AWAITING
    assert [result.rule for result in admission.evaluation.evaluation.results if result.awaits_people] == [
        "approvals"
    ]
    assert world.staging.log.size == size
    with pytest.raises(NotFoundError):
        await world.staging.admission.get(
            world.staging.caller("bob"), read(request, PromotionRequest).promotion
        )


async def test_what_has_not_changed_is_not_written_again(world):
    manifest, request, given = await brought(world)
    first = await world.evaluate(given)
    size = world.staging.log.size
    second = await world.evaluate(await world.bring(manifest, request))
    assert world.staging.log.size == size
    assert second == first


async def test_a_version_that_awaits_evidence_has_no_dossier_until_it_comes(world):
    manifest = await world.publish()
    request = world.parties.request(manifest)
    admission = await world.evaluate(await world.bring(manifest, request))
    assert (admission.state, admission.dossier) == (AWAITING, None)
    await world.attest(manifest)
    later = await world.evaluate(await world.bring(manifest, request))
    assert later.dossier is not None


@ALL_FOUR
async def test_a_version_that_is_here_already_is_promoted_for_an_alias_alone(quiet):
    manifest, _, _ = await brought(quiet)
    first = await quiet.promote(manifest, alias="")
    assert (await quiet.staging.version()).stage == "registered"
    start = quiet.staging.log.size
    second = await quiet.promote(manifest)
    assert kinds(await quiet.staging.entries(start)) == [
        "promotion.requested",
        "decision.made=PASSED",
        "alias.moved=1",
        "version.stage-changed=deployed",
    ]
    assert (await quiet.staging.version()).promotion == first.admission.promotion
    entry = verify_receipt(second.receipt, quiet.parties.logs["staging"].verifier)
    assert entry.type == "decision.made"
    receipt = await quiet.dev.release.record_admission(
        quiet.dev.caller("sync"),
        ResourceName("risk", "fraud", 1),
        decision=second.admission.decision,
        target_receipt=second.receipt,
    )
    assert receipt.index == quiet.dev.log.size - 1


async def test_an_alias_that_points_there_already_is_not_moved(quiet):
    manifest, _, _ = await brought(quiet)
    await quiet.promote(manifest)
    revision = (await quiet.staging.alias()).revision
    await quiet.promote(manifest)
    assert (await quiet.staging.alias()).revision == revision


# --- what the carrier forges, swaps or withholds ------------------------------------------------------------


FORGERIES = {
    "a request by a stranger": (
        lambda world, manifest, given: {"request": world.parties.request(manifest, by="stranger")},
        KeyUntrustedError,
    ),
    "a request by a person with no key for requests": (
        lambda world, manifest, given: {"request": world.parties.request(manifest, by="carol")},
        KeyUntrustedError,
    ),
    "a request with another alias under the same signature": (
        lambda world, manifest, given: {"request": with_payload_of(given.request, world, manifest)},
        SignatureInvalidError,
    ),
    "a request for another environment": (
        lambda world, manifest, given: {"request": world.parties.request(manifest, target="prod")},
        StatementInvalidError,
    ),
    "another manifest": (
        lambda world, manifest, given: {"manifest": manifest_of(labels={"tier": "low"}).to_bytes()},
        DigestMismatchError,
    ),
    "a model signature by the wrong signer": (
        lambda world, manifest, given: {"signature": world.parties.signature(manifest, by="stranger")},
        KeyUntrustedError,
    ),
    "a release statement by the requester": (
        lambda world, manifest, given: {"release": world.parties.release(given.request, manifest, by="ci")},
        KeyUntrustedError,
    ),
    "another promotion's release statement": (
        lambda world, manifest, given: {
            "release": world.parties.release(world.parties.request(manifest), manifest)
        },
        StatementInvalidError,
    ),
    "a receipt out of another log": (
        lambda world, manifest, given: {"source_receipt": world.parties.arrival(manifest, log="staging")},
        KeyUntrustedError,
    ),
    "no evidence, though the source has some": (
        lambda world, manifest, given: {"evidence": ()},
        StatementInvalidError,
    ),
    "all evidence but the last": (
        lambda world, manifest, given: {"evidence": given.evidence[:-1]},
        StatementInvalidError,
    ),
    "evidence about another bundle": (
        lambda world, manifest, given: {
            "evidence": (*given.evidence, world.parties.test_result(manifest_of(labels={"x": "y"})))
        },
        StatementInvalidError,
    ),
    "evidence whose bytes were changed": (
        lambda world, manifest, given: {"evidence": (*given.evidence, tampered(given.evidence[-1]))},
        SignatureInvalidError,
    ),
    "garbage for evidence": (
        lambda world, manifest, given: {"evidence": (*given.evidence, b"\x00")},
        SignatureInvalidError,
    ),
}


def with_payload_of(request, world, manifest):
    """The signatures of one request over the payload of another."""
    other = json.loads(world.parties.request(manifest, alias="challenger"))
    return json.dumps({**json.loads(request), "payload": other["payload"]}).encode()


def tampered(envelope):
    """The same signatures over a payload that says something else."""
    value = json.loads(envelope)
    payload = (
        base64.b64decode(value["payload"]).replace(b"carnet_", b"Carnet_", 1).replace(b"spiffe", b"spiffE", 1)
    )
    return json.dumps({**value, "payload": base64.b64encode(payload).decode()}).encode()


@pytest.mark.parametrize(("forge", "error"), FORGERIES.values(), ids=FORGERIES)
async def test_a_forgery_is_refused_and_nothing_is_stored(world, forge, error):
    manifest, _, given = await brought(world)
    async with nothing_stored(world, error):
        await world.evaluate(replace(given, **forge(world, manifest, given)))
    assert await world.staging.held_evidence(manifest) == []


async def test_evidence_by_a_stranger_is_kept_and_counts_for_nothing(world):
    manifest = await world.publish()
    request = world.parties.request(manifest)
    given = await world.bring(manifest, request)
    faked = world.parties.test_result(manifest, by="stranger")
    admission = await world.evaluate(replace(given, evidence=(*given.evidence, faked)))
    assert (admission.state, admission.dossier) == (AWAITING, None)
    assert faked in [each.envelope for each in await world.staging.held_evidence(manifest)]


async def test_a_failed_result_cannot_be_left_out(world):
    manifest, request, _ = await brought(world)
    failed = await world.attest(manifest, result="FAILED")
    given = await world.bring(manifest, request)
    silent = tuple(each for each in given.evidence if each != failed)
    async with nothing_stored(world, StatementInvalidError, "withheld evidence"):
        await world.evaluate(replace(given, evidence=silent))
    assert (await world.evaluate(given)).state is REFUSED


async def test_an_old_release_statement_is_refused_at_evaluation_and_at_admission(quiet):
    manifest, _, given = await brought(quiet)
    admission = await quiet.evaluate(given)
    await quiet.transfer(manifest)
    quiet.clock.ahead = timedelta(minutes=11)
    async with nothing_stored(quiet, PreconditionFailedError, "get a fresh one"):
        await quiet.evaluate(given)
    async with nothing_stored(quiet, PreconditionFailedError, "get a fresh one"):
        await quiet.admit(admission.promotion, manifest, release=given.release)
    view, _ = await quiet.admit(admission.promotion, manifest)
    assert view.admission.state is ADMITTED


async def test_admission_refuses_what_the_carrier_withholds(quiet):
    manifest, _, given = await brought(quiet)
    admission = await quiet.evaluate(given)
    await quiet.transfer(manifest)
    failed = await quiet.attest(manifest, result="FAILED")
    async with nothing_stored(quiet, StatementInvalidError, "withheld evidence"):
        await quiet.admit(admission.promotion, manifest, evidence=[])
    start = quiet.staging.log.size
    with pytest.raises(GateRefusedError, match="says FAILED"):
        await quiet.admit(admission.promotion, manifest, evidence=[failed])
    assert kinds(await quiet.staging.entries(start)) == ["evidence.added", "decision.made=FAILED"]
    assert await quiet.staging.version() is None


async def test_stamps_are_taken_in_exactly_as_the_source_names_them(quiet):
    manifest, _, given = await brought(quiet)
    admission = await quiet.evaluate(given)
    await quiet.transfer(manifest)
    released = await quiet.release(admission.promotion, manifest)
    fresh = {"release": released.envelope}
    arrival, *_ = released.stamps
    async with nothing_stored(quiet, StatementInvalidError, "withheld stamp"):
        await quiet.admit(admission.promotion, manifest, **fresh, stamps=[])
    async with nothing_stored(quiet, StatementInvalidError, "withheld stamp"):
        await quiet.admit(admission.promotion, manifest, **fresh, stamps=[arrival + b"\n"])
    async with nothing_stored(quiet, StatementInvalidError, "none that dev names"):
        await quiet.admit(admission.promotion, manifest, **fresh, stamps=[arrival, given.request])
    assert await stored_document(quiet, arrival) is None
    view, _ = await quiet.admit(admission.promotion, manifest, **fresh, stamps=[arrival, arrival])
    assert view.admission.state is ADMITTED
    assert await stored_document(quiet, arrival) == arrival


async def stored_document(world, data: bytes) -> bytes | None:
    return await world.staging.log.document(sha256_hex(data))


async def test_a_promotion_id_cannot_be_used_for_something_else(world):
    manifest, request, given = await brought(world)
    await world.evaluate(given)
    promotion = read(request, PromotionRequest).promotion
    other = world.parties.request(manifest, promotion=promotion, alias="")
    async with nothing_stored(world, AlreadyExistsError, "new id"):
        await world.evaluate(await world.bring(manifest, other))


async def test_a_caller_that_is_no_promotion_service_is_refused(world):
    _, _, given = await brought(world)
    async with nothing_stored(world, PermissionDeniedError):
        await world.staging.admission.evaluate(world.staging.caller("ci"), given, epoch=1)


# --- revocation -----------------------------------------------------------------------------------------


async def test_a_version_revoked_at_the_source_is_refused_for_good(world):
    manifest, request, _ = await brought(world)
    await world.dev.models.revoke(world.dev.caller("dave"), ResourceName("risk", "fraud", 1), "leaks")
    start = world.staging.log.size
    admission = await world.evaluate(await world.bring(manifest, request))
    assert admission.state is REFUSED
    decision = read(admission.decision, Decision)
    assert (decision.passed, decision.promotion) == (False, admission.promotion)
    assert kinds(await world.staging.entries(start))[-2:] == ["promotion.requested", "decision.made=FAILED"]


async def test_a_revocation_after_approval_stops_the_admission(world):
    manifest, _, given = await brought(world)
    admission = await world.evaluate(given)
    await world.submit(admission)
    await world.transfer(manifest)
    await world.dev.models.revoke(world.dev.caller("dave"), ResourceName("risk", "fraud", 1), "leaks")
    with pytest.raises(GateRefusedError, match="revoked at dev"):
        await world.admit(admission.promotion, manifest)
    assert await world.staging.version() is None


async def test_a_version_revoked_here_is_not_promoted_again(quiet):
    manifest, _, _ = await brought(quiet)
    await quiet.promote(manifest, alias="")
    await quiet.staging.models.revoke(quiet.staging.caller("dave"), ResourceName("risk", "fraud", 1), "leaks")
    request = quiet.parties.request(manifest, alias="champion")
    admission = await quiet.evaluate(await quiet.bring(manifest, request))
    assert admission.state is REFUSED
    assert admission.evaluation.evaluation.results[-1].message == "the version is revoked at staging"


async def test_a_refused_promotion_stays_refused(world):
    manifest, request, _ = await brought(world)
    await world.attest(manifest, result="FAILED")
    refused = await world.evaluate(await world.bring(manifest, request))
    size = world.staging.log.size
    assert await world.evaluate(await world.bring(manifest, request)) == refused
    async with nothing_stored(world, IllegalTransitionError, "stays so"):
        await world.admit(refused.promotion, manifest)
    assert world.staging.log.size == size


# --- approvals ------------------------------------------------------------------------------------------


async def test_an_approval_of_another_promotion_is_refused(world):
    manifest, request, given = await brought(world)
    first = await world.evaluate(given)
    second = await world.evaluate(
        await world.bring(manifest, world.parties.request(manifest, alias="champion"))
    )
    approval = world.approval(first)
    async with nothing_stored(world, StatementInvalidError, "promotion"):
        await world.submit(second, envelope=approval)


async def test_a_used_approval_cannot_be_replayed_in_other_bytes(world):
    _, _, given = await brought(world)
    admission = await world.evaluate(given)
    approval = world.approval(admission)
    await world.submit(admission, envelope=approval)
    await world.submit(admission, meaning="withdrawn")
    spaced = json.dumps(json.loads(approval), indent=1).encode()
    async with nothing_stored(world, StatementInvalidError, "replay"):
        await world.submit(admission, envelope=spaced)


async def test_the_same_approval_twice_is_kept_once(world):
    _, _, given = await brought(world)
    admission = await world.evaluate(given)
    approval = world.approval(admission)
    first = await world.submit(admission, envelope=approval)
    size = world.staging.log.size
    second = await world.submit(admission, envelope=approval)
    assert (second.approval, world.staging.log.size) == (first.approval, size)
    assert len(second.view.approvals) == 1


async def test_nobody_approves_their_own(world):
    _, _, given = await brought(world)
    admission = await world.evaluate(given)
    async with nothing_stored(world, PermissionDeniedError, "approvers must be other people"):
        await world.submit(admission, by="alice")


async def test_an_approval_is_taken_from_its_signer_only(world):
    _, _, given = await brought(world)
    admission = await world.evaluate(given)
    async with nothing_stored(world, PermissionDeniedError, "write their own"):
        await world.submit(admission, by="carol", envelope=world.approval(admission, by="bob"))
    async with nothing_stored(world, PermissionDeniedError, "role approver"):
        await world.submit(admission, by="sync", envelope=world.approval(admission, by="bob"))


async def test_an_approver_without_a_person_is_heard_and_not_counted(world):
    manifest, request, given = await brought(world)
    admission = await world.evaluate(given)
    kept = await world.submit(admission, by="carol")
    assert kept.approval.person is None
    assert (await world.evaluate(await world.bring(manifest, request))).state is AWAITING


async def test_a_withdrawn_approval_counts_no_longer(world):
    manifest, request, given = await brought(world)
    admission = await world.evaluate(given)
    await world.submit(admission)
    assert (await world.evaluate(await world.bring(manifest, request))).state is READY
    await world.submit(admission, meaning="withdrawn")
    assert (await world.evaluate(await world.bring(manifest, request))).state is AWAITING
    await world.transfer(manifest)
    async with nothing_stored(world, GateAwaitingError, "approvals"):
        await world.admit(admission.promotion, manifest)


async def test_a_rejection_refuses_the_promotion(world):
    manifest, request, given = await brought(world)
    admission = await world.evaluate(given)
    kept = await world.submit(admission, meaning="rejected")
    refused = await world.evaluate(await world.bring(manifest, request))
    assert refused.state is REFUSED
    inputs = {each.digest.sha256 for each in read(refused.decision, Decision).input_attestations}
    assert kept.approval.digest in inputs


async def test_an_approval_that_expires_before_admission_does_not_count(world):
    manifest, request, given = await brought(world)
    admission = await world.evaluate(given)
    await world.submit(admission, expires_at=world.clock() + timedelta(hours=1))
    assert (await world.evaluate(await world.bring(manifest, request))).state is READY
    await world.transfer(manifest)
    world.clock.ahead = timedelta(hours=2)
    with pytest.raises(GateAwaitingError):
        await world.admit(admission.promotion, manifest)


async def test_without_a_dossier_there_is_nothing_to_approve(world):
    manifest, _, given = await brought(world)
    dossier_of_another = await world.evaluate(given)
    bare = await world.publish(version=2)
    admission = await world.evaluate(await world.bring(bare, world.parties.request(bare)))
    async with nothing_stored(world, PreconditionFailedError, "no dossier"):
        await world.submit(admission, envelope=world.approval(dossier_of_another))
    with pytest.raises(NotFoundError):
        await world.submit(replace(dossier_of_another, promotion="0" * 32))


async def test_what_is_trusted_no_longer_counts_no_longer(world):
    manifest, request, given = await brought(world)
    admission = await world.evaluate(given)
    await world.submit(admission)
    assert (await world.evaluate(await world.bring(manifest, request))).state is READY
    await world.transfer(manifest)
    await world.staging.change_trust(people=[{"name": "alice", "subjects": [subject("ci"), subject("bob")]}])
    with pytest.raises(GateAwaitingError, match="published this version"):
        await world.admit(admission.promotion, manifest)
    await world.staging.change_trust(keys=[])
    async with nothing_stored(world, KeyUntrustedError):
        await world.admit(admission.promotion, manifest)


# --- the dossier ----------------------------------------------------------------------------------------


async def test_new_evidence_does_not_reopen_the_dossier(world):
    manifest, request, given = await brought(world)
    first = await world.evaluate(given)
    await world.submit(first)
    await world.attest(manifest, suite="fairness")
    second = await world.evaluate(await world.bring(manifest, request))
    assert (second.dossier, second.state) == (first.dossier, READY)


async def test_a_failed_result_after_approval_refuses(world):
    manifest, request, given = await brought(world)
    await world.submit(await world.evaluate(given))
    await world.attest(manifest, result="FAILED")
    assert (await world.evaluate(await world.bring(manifest, request))).state is REFUSED


async def test_another_policy_issues_another_dossier_and_forgets_the_approvals(world):
    manifest, request, given = await brought(world)
    first = await world.evaluate(given)
    await world.submit(first)
    await world.staging.change_policy(POLICIES["staging"].replace(b"version: 1", b"version: 2"))
    stale = world.approval(first)
    async with nothing_stored(world, PreconditionFailedError, "next dossier"):
        await world.submit(first, envelope=stale)
    second = await world.evaluate(await world.bring(manifest, request))
    assert second.dossier_digest != first.dossier_digest
    assert second.state is AWAITING
    async with nothing_stored(world, ConflictError, "the one that stands"):
        await world.submit(first, envelope=stale)
    await world.submit(second)
    assert (await world.evaluate(await world.bring(manifest, request))).state is READY


async def test_an_expired_dossier_is_issued_anew(world):
    manifest, request, given = await brought(world)
    first = await world.evaluate(given)
    world.clock.ahead = timedelta(days=2, minutes=1)
    second = await world.evaluate(await world.bring(manifest, request))
    assert read_dossier(second.dossier).issued_at > read_dossier(first.dossier).expires_at - timedelta(days=1)
    assert second.dossier_digest != first.dossier_digest


# --- fencing, races and repetition ------------------------------------------------------------------------


async def test_a_worker_whose_epoch_is_over_changes_nothing(quiet):
    manifest, request, given = await brought(quiet)
    admission = await quiet.evaluate(given, epoch=5)
    await quiet.transfer(manifest)
    fresh = await quiet.bring(manifest, request)
    async with nothing_stored(quiet, StaleEpochError):
        await quiet.evaluate(fresh, epoch=4)
    async with nothing_stored(quiet, StaleEpochError):
        await quiet.admit(admission.promotion, manifest, epoch=4)
    await quiet.evaluate(fresh, epoch=6)
    async with nothing_stored(quiet, StaleEpochError):
        await quiet.admit(admission.promotion, manifest, epoch=5)
    view, _ = await quiet.admit(admission.promotion, manifest, epoch=6)
    assert view.admission.epoch == 6


async def test_admission_is_idempotent(quiet):
    manifest, _, given = await brought(quiet)
    admission = await quiet.evaluate(given)
    await quiet.transfer(manifest)
    first, already_first = await quiet.admit(admission.promotion, manifest)
    size = quiet.staging.log.size
    second, already_second = await quiet.admit(admission.promotion, manifest, release=b"whatever")
    assert (already_first, already_second) == (False, True)
    assert second.admission == first.admission
    assert second.receipt.entry_bytes == first.receipt.entry_bytes
    assert (await quiet.evaluate(given)).state is ADMITTED
    assert quiet.staging.log.size == size


async def test_two_admissions_at_once_admit_once(quiet):
    manifest, _, given = await brought(quiet)
    admission = await quiet.evaluate(given)
    await quiet.transfer(manifest)
    answers = await asyncio.gather(*(quiet.admit(admission.promotion, manifest) for _ in range(4)))
    assert sorted(already for _, already in answers) == [False, True, True, True]
    told = kinds(await quiet.staging.entries())
    assert (
        told.count("version.admitted")
        == told.count("alias.moved=1")
        == told.count("decision.made=PASSED")
        == 1
    )


class MovingEngine:
    """Evaluates, but lets something happen after each evaluation and before what it decides is committed."""

    def __init__(self, engine, happen, times=1):
        self._engine, self._happen, self._loop = engine, happen, asyncio.get_running_loop()
        self.evaluations, self._times = 0, times

    def evaluate(self, policy, facts):
        evaluation = self._engine.evaluate(policy, facts)
        self.evaluations += 1
        if self.evaluations <= self._times:
            asyncio.run_coroutine_threadsafe(self._happen(), self._loop).result(10)
        return evaluation


def champion_moves_in(world):
    async def champion_moves():
        move = Move("risk", "fraud", "champion", 2, MoveKind.SET, world.staging.caller("dave").actor)
        await world.staging.writer.commit(lambda tx: move_alias(tx, move))

    return champion_moves


async def interfere(world, happen, times=1):
    world.staging.engine = MovingEngine(world.staging.engine, happen, times)
    world.staging.wire()
    return world.staging.engine


@pytest.mark.parametrize("by_rollout", [False, True], ids=["with the admission", "by rollout"])
async def test_an_alias_moved_between_evaluation_and_admission_is_evaluated_anew(quiet, by_rollout):
    first, _, _ = await brought(quiet)
    await quiet.promote(first)
    second = await quiet.publish(version=2)
    await quiet.attest(second, metrics={"roc_auc": 0.995})
    await quiet.promote(second, alias="challenger")
    third = await quiet.publish(version=3)
    await quiet.attest(third, metrics={"roc_auc": 0.992})
    request = quiet.parties.request(third, alias="champion", by_rollout=by_rollout)
    admission = await quiet.evaluate(await quiet.bring(third, request))
    assert admission.state is READY
    await quiet.transfer(third)
    engine = await interfere(quiet, champion_moves_in(quiet))
    with pytest.raises(GateRefusedError, match="roc_auc is below the champion's"):
        await quiet.admit(admission.promotion, third)
    assert engine.evaluations == 2
    assert await quiet.staging.version(3) is None
    assert (await quiet.staging.alias()).version == 2


async def test_an_alias_that_is_not_moved_may_move_while_it_is_decided_on(tmp_path, engine, storage):
    policy = NO_PEOPLE.replace(b"baseline_alias: champion\n", b"").partition(b"rules:")[0]
    world = await World(tmp_path, engine, {"staging": policy}, storage).start()
    try:
        for number, alias in ((1, "champion"), (2, "challenger")):
            manifest = await world.publish(version=number)
            await world.attest(manifest)
            await world.promote(manifest, alias=alias)
        third = await world.publish(version=3)
        await world.attest(third)
        request = world.parties.request(third, alias="champion", by_rollout=True)
        admission = await world.evaluate(await world.bring(third, request))
        await world.transfer(third)
        moving = await interfere(world, champion_moves_in(world))
        view, _ = await world.admit(admission.promotion, third)
        assert (view.admission.state, moving.evaluations) == (ADMITTED, 1)
        assert (await world.staging.alias()).version == 2
    finally:
        world.stop()


async def test_a_failed_result_that_arrives_while_deciding_is_not_overlooked(quiet):
    manifest, _, given = await brought(quiet)
    admission = await quiet.evaluate(given)
    await quiet.transfer(manifest)

    async def result_arrives():
        await quiet.attest(manifest, where=quiet.staging, result="FAILED")

    await interfere(quiet, result_arrives)
    with pytest.raises(GateRefusedError):
        await quiet.admit(admission.promotion, manifest)
    assert await quiet.staging.version() is None


async def test_facts_that_never_stand_still_end_in_a_conflict(quiet):
    manifest, _, given = await brought(quiet)
    admission = await quiet.evaluate(given)
    await quiet.transfer(manifest)
    number = iter(range(100))

    async def something_moves():
        await quiet.attest(manifest, where=quiet.staging, suite=f"suite-{next(number)}")

    engine = await interfere(quiet, something_moves, times=100)
    with pytest.raises(ConflictError):
        await quiet.admit(admission.promotion, manifest)
    assert engine.evaluations == 5
    assert await quiet.staging.version() is None


async def test_a_cancellation_that_arrives_while_deciding_wins(quiet):
    manifest, request, given = await brought(quiet)
    admission = await quiet.evaluate(given)
    await quiet.transfer(manifest)

    async def cancelled():
        await cancel(quiet, quiet.parties.cancellation(request, manifest))

    await interfere(quiet, cancelled)
    with pytest.raises(IllegalTransitionError, match="cancelled"):
        await quiet.admit(admission.promotion, manifest)
    assert await quiet.staging.version() is None


async def test_without_its_blobs_a_version_is_not_admitted(quiet):
    manifest, _, given = await brought(quiet)
    admission = await quiet.evaluate(given)
    async with nothing_stored(quiet, BlobsMissingError):
        await quiet.admit(admission.promotion, manifest)
    await quiet.transfer(manifest)
    view, _ = await quiet.admit(admission.promotion, manifest)
    assert view.admission.state is ADMITTED


async def test_a_number_that_is_another_bundles_here_is_not_overwritten(tmp_path, quiet):
    manifest, _, _ = await brought(quiet)
    await quiet.promote(manifest)
    await quiet.rebuild_dev(tmp_path / "rebuilt")
    changed, _, given = await brought(quiet, labels={"tier": "low"})
    async with nothing_stored(quiet, AlreadyExistsError, "never changes"):
        await quiet.evaluate(given)
    assert changed.digest != (await quiet.staging.version()).bundle_digest


# --- cancellation ---------------------------------------------------------------------------------------


async def cancel(world, envelope, *, by="sync", promotion=None):
    named = promotion or json_of(envelope)["predicate"]["promotion"]
    return await world.staging.admission.cancel(world.staging.caller(by), named, envelope)


def json_of(envelope):
    return json.loads(parse_envelope(envelope).payload)


async def test_a_late_admission_after_cancellation_is_refused(quiet):
    manifest, request, given = await brought(quiet)
    admission = await quiet.evaluate(given)
    await quiet.transfer(manifest)
    receipt = await cancel(quiet, quiet.parties.cancellation(request, manifest))
    entry = verify_receipt(receipt, quiet.parties.logs["staging"].verifier)
    assert (entry.type, entry.actor.subject) == ("promotion.cancelled", subject("ci"))
    async with nothing_stored(quiet, IllegalTransitionError, "cancelled"):
        await quiet.admit(admission.promotion, manifest)
    async with nothing_stored(quiet, IllegalTransitionError, "cancelled"):
        await quiet.evaluate(given)
    view = await quiet.staging.admission.get(quiet.staging.caller("bob"), admission.promotion)
    assert view.admission.state is CANCELLED


@pytest.mark.parametrize("by", ["ci", "dave"])
async def test_a_promotion_is_cancelled_before_it_is_heard_of(world, by):
    manifest, request, given = await brought(world)
    promotion = read(request, PromotionRequest).promotion
    await cancel(world, world.parties.cancellation(request, manifest, by=by))
    view = await world.staging.admission.get(world.staging.caller("bob"), promotion)
    assert (view.admission.state, view.admission.bundle_digest) == (CANCELLED, manifest.digest)
    async with nothing_stored(world, IllegalTransitionError, "before it came here"):
        await world.evaluate(given)
    async with nothing_stored(world, IllegalTransitionError, "before it was evaluated"):
        await world.admit(promotion, manifest)


async def test_nobody_takes_another_persons_promotion_away(world):
    manifest, request, given = await brought(world)
    foreign = world.parties.cancellation(request, manifest, by="bob")
    await cancel(world, foreign)
    admission = await world.evaluate(given)
    assert admission.state is AWAITING
    async with nothing_stored(world, PermissionDeniedError, "requester or an operator"):
        await cancel(world, foreign)
    await cancel(world, world.parties.cancellation(request, manifest))
    view = await world.staging.admission.get(world.staging.caller("bob"), admission.promotion)
    assert view.admission.state is CANCELLED


CANCELLATIONS = {
    "by a stranger": ({"by": "stranger"}, KeyUntrustedError),
    "by an approver": ({"by": "carol"}, KeyUntrustedError),
    "by another requester": ({"by": "bob"}, PermissionDeniedError),
    "about another bundle": ({"about": ("dev/risk/fraud@1", "ab" * 32)}, StatementInvalidError),
    "about another namespace": ({"about": ("dev/loans/fraud@1", "ab" * 32)}, StatementInvalidError),
}


@pytest.mark.parametrize(("changes", "error"), CANCELLATIONS.values(), ids=CANCELLATIONS)
async def test_a_cancellation_is_refused(world, changes, error):
    manifest, request, given = await brought(world)
    await world.evaluate(given)
    envelope = world.parties.cancellation(request, manifest, **changes)
    async with nothing_stored(world, error):
        await cancel(world, envelope)


async def test_a_cancellation_of_one_promotion_does_not_end_another(world):
    manifest, request, given = await brought(world)
    admission = await world.evaluate(given)
    other = world.parties.cancellation(world.parties.request(manifest), manifest)
    async with nothing_stored(world, StatementInvalidError):
        await cancel(world, other, promotion=admission.promotion)


async def test_what_is_admitted_is_not_cancelled_and_a_repeated_cancellation_changes_nothing(quiet):
    manifest, request, given = await brought(quiet)
    admission = await quiet.evaluate(given)
    first = await cancel(quiet, quiet.parties.cancellation(request, manifest))
    second = await cancel(quiet, quiet.parties.cancellation(request, manifest, by="dave"))
    assert first.index == second.index
    await quiet.promote(manifest, alias="")
    done = await quiet.promote(manifest)
    async with nothing_stored(quiet, IllegalTransitionError, "is admitted"):
        await cancel(quiet, quiet.parties.cancellation(done.admission.request, manifest))
    assert admission.promotion != done.admission.promotion


# --- pulling blobs --------------------------------------------------------------------------------------


class FakeConnection:
    """Stands for the connection to the source: entered, left, and not used by a stand-in for fetching."""

    def __init__(self):
        self.closed = False

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        self.closed = True


@pytest.fixture
def dialled(world, monkeypatch):
    """What the target dials, and what it fetches there."""
    seen = {"connection": FakeConnection()}

    def connect(peer, identity):
        seen.update(peer=peer, identity=identity)
        return seen["connection"]

    async def fetch(connection, namespace, blobs, service, *, capability, progress):
        seen.update(namespace=namespace, blobs=blobs, capability=capability)
        progress(FetchProgress(1, 3, 0))
        await asyncio.sleep(0)
        progress(FetchProgress(3, 3, 1))

    monkeypatch.setattr(pull, "fetch_into_store", fetch)
    world.staging.wire(connect=connect)
    return seen


def pulling(world, promotion, blobs, *, epoch=1, by="sync"):
    caller = world.staging.caller(by)
    return world.staging.admission.pull(caller, promotion, blobs, capability=b"right", epoch=epoch)


async def test_the_target_dials_the_source_that_its_own_trust_document_names(world, dialled):
    manifest, _, given = await brought(world)
    admission = await world.evaluate(given)
    blobs = [Blob(manifest.files[0].digest, 3)]
    told = [progress async for progress in pulling(world, admission.promotion, blobs)]
    assert told[-1] == FetchProgress(3, 3, 1)
    assert (dialled["peer"].environment, dialled["peer"].endpoint) == ("dev", "127.0.0.1:1")
    assert dialled["identity"] is world.staging.state.identity
    assert (dialled["namespace"], dialled["blobs"], dialled["capability"]) == ("risk", blobs, b"right")
    assert dialled["connection"].closed


async def test_only_the_bundles_own_files_are_pulled_by_a_living_worker(world, dialled):
    manifest, request, given = await brought(world)
    admission = await world.evaluate(given)
    blobs = [Blob(manifest.files[0].digest, 3)]
    refusals = [
        (InvalidInputError, {"blobs": [Blob("ab" * 32, 3)]}),
        (InvalidInputError, {"blobs": [Blob(blobs[0].digest, 4)]}),
        (NotFoundError, {"promotion": "0" * 32}),
        (PermissionDeniedError, {"by": "ci"}),
    ]
    for error, changes in refusals:
        with pytest.raises(error):
            await anext(pulling(world, **{"promotion": admission.promotion, "blobs": blobs} | changes))
    assert await anext(pulling(world, admission.promotion, blobs, epoch=3))
    with pytest.raises(StaleEpochError):
        await anext(pulling(world, admission.promotion, blobs, epoch=2))
    await cancel(world, world.parties.cancellation(request, manifest))
    with pytest.raises(IllegalTransitionError):
        await anext(pulling(world, admission.promotion, blobs, epoch=3))


# --- the source's side ----------------------------------------------------------------------------------


async def test_a_release_statement_says_everything_that_the_source_holds(world):
    manifest = await world.publish()
    envelopes = [await world.attest(manifest), await world.attest(manifest, suite="fairness")]
    released = await world.release("1" * 32, manifest)
    said = read(released.envelope, Release)
    held = {each.digest for each in await world.dev.held_evidence(manifest)}
    assert set(said.evidence) == held
    assert len(held) == len(envelopes) + 1
    assert (said.log_size, said.log_origin) == (world.dev.log.size, "carnet.test/dev")
    assert not said.revoked


async def test_a_release_is_taken_that_rests_on_a_smaller_tree_than_the_receipt_before_it(quiet):
    """A receipt leads to the newest checkpoint until a smaller one is witnessed, and then to that."""
    manifest = await quiet.publish()
    witnessed = quiet.dev.log.checkpoint
    await quiet.attest(manifest)
    given = await quiet.bring(manifest, quiet.parties.request(manifest, alias="champion"))
    admission = await quiet.evaluate(given)
    await quiet.transfer(manifest)
    quiet.dev.log.witnessed = lambda: witnessed
    released = await quiet.release(admission.promotion, manifest)
    assert released.receipt.tree_size < given.source_receipt.tree_size
    assert read(released.envelope, Release).log_size == quiet.dev.log.size
    said = read(released.envelope, Release)
    by_a_process_behind = quiet.parties.release(
        given.request, manifest, evidence=said.evidence, log_size=released.receipt.tree_size
    )
    view, _ = await quiet.admit(admission.promotion, manifest, release=by_a_process_behind)
    assert view.admission.state is ADMITTED


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"target": "prod"}, KeyUntrustedError),
        ({"name": ResourceName("risk", "fraud", 9)}, NotFoundError),
        ({"promotion": "short"}, InvalidInputError),
    ],
    ids=["for no peer", "of no version", "for no promotion"],
)
async def test_a_release_statement_is_not_made(world, changes, error):
    await world.publish()
    asked = {"name": ResourceName("risk", "fraud", 1), "promotion": "1" * 32, "target": "staging"} | changes
    with pytest.raises(error):
        await world.dev.release.create_release(world.dev.caller("sync"), asked.pop("name"), **asked)
    with pytest.raises(PermissionDeniedError):
        await world.dev.release.create_release(
            world.dev.caller("ci"), ResourceName("risk", "fraud", 1), promotion="1" * 32, target="staging"
        )


async def capability_for(world, manifest, **changes):
    asked = {"promotion": "1" * 32, "target": "staging", "digests": [manifest.files[0].digest]} | changes
    name = ResourceName("risk", "fraud", 1)
    return await world.dev.release.create_read_capability(world.dev.caller("sync"), name, **asked)


async def test_a_capability_is_worth_something_to_its_holder_only(world):
    manifest = await world.publish()
    granted = await capability_for(world, manifest)
    check = world.dev.blobs._capability_check
    digests = [manifest.files[0].digest]
    holder = world.dev.caller("staging")
    check(granted.envelope, "risk", digests, holder)
    for wrong in (
        ("risk", digests, world.dev.caller("sync")),
        ("risk", ["ab" * 32], holder),
        ("loans", digests, holder),
    ):
        with pytest.raises(PermissionDeniedError):
            check(granted.envelope, *wrong)
    with pytest.raises(CarnetError):
        check(tampered(granted.envelope), "risk", digests, holder)
    with pytest.raises(KeyUntrustedError):
        world.staging.blobs._capability_check(granted.envelope, "risk", digests, holder)
    world.clock.ahead = timedelta(minutes=16)
    with pytest.raises(PermissionDeniedError, match="ended"):
        check(granted.envelope, "risk", digests, holder)


async def test_a_capability_is_for_a_peer_and_the_versions_own_files(world):
    manifest = await world.publish()
    with pytest.raises(KeyUntrustedError):
        await capability_for(world, manifest, target="prod")
    with pytest.raises(PermissionDeniedError):
        await capability_for(world, manifest, digests=["ab" * 32])


async def test_only_a_true_admission_is_recorded(world):
    manifest, _, _ = await brought(world)
    view = await world.promote(manifest)
    good = {"decision": view.admission.decision, "target_receipt": view.receipt}
    refused = await world.publish(version=2)
    await world.attest(refused, result="FAILED")
    failed = await world.evaluate(await world.bring(refused, world.parties.request(refused)))
    own = await world.dev.held_evidence(manifest)
    other_receipt = await world.staging.log.receipt(view.receipt.index - 1)
    dev_receipt = await world.dev.log.receipt(0)
    size = world.dev.log.size
    wrong = [
        (SignatureInvalidError, {"decision": tampered(good["decision"])}),
        (StatementInvalidError, {"decision": failed.decision}),
        (KeyUntrustedError, {"decision": own[0].envelope}),
        (StatementInvalidError, {"target_receipt": await world.staging.log.receipt(0)}),
        (KeyUntrustedError, {"target_receipt": dev_receipt}),
        (StatementInvalidError, {"name": ResourceName("risk", "fraud", 2)}),
        (NotFoundError, {"name": ResourceName("risk", "fraud", 9)}),
        (PermissionDeniedError, {"by": "ci"}),
    ]
    for error, changes in wrong:
        asked = {"name": ResourceName("risk", "fraud", 1), "by": "sync", **good, **changes}
        with pytest.raises(error):
            await world.dev.release.record_admission(
                world.dev.caller(asked.pop("by")), asked.pop("name"), **asked
            )
    assert world.dev.log.size == size
    assert other_receipt.index == view.receipt.index - 1


# --- what an auditor finds ------------------------------------------------------------------------------


async def audited(world, folder):
    """Export both logs with their documents, and verify them offline with pinned keys."""
    for registry in (world.dev, world.staging):
        entries = await registry.log.entries(0, 1000)
        with ExportWriter(folder).environment(registry.name) as export:
            export.write_log([data for _, data, _ in entries], registry.log.checkpoint)
            for digest in {parse_entry(data).envelope_digest for _, data, _ in entries} - {None}:
                export.add_document(await registry.log.document(digest))
    parties = world.parties
    pins = {
        "environments": {
            name: {
                "log_key": parties.logs[name].verifier.vkey,
                "signing_key": parties.keys[name].verification_key.pem,
            }
            for name in ("dev", "staging")
        },
        "people": {
            name: {
                "keys": [parties.keys[each].verification_key.pem for each in signers],
                "subjects": [subject(each) for each in signers],
            }
            for name, signers in {
                "alice": ("alice", "ci"),
                "bob": ("bob",),
                "evaluator": ("evaluator",),
            }.items()
        },
    }
    return verify_export(folder, Pins.from_mapping(pins))


async def test_an_auditor_has_nothing_to_object_to_an_honest_promotion(world, tmp_path):
    manifest, request, given = await brought(world)
    admission = await world.evaluate(given)
    await world.submit(admission)
    await world.submit(admission, meaning="withdrawn")
    await world.submit(admission)
    await world.attest(manifest, suite="fairness")
    await world.transfer(manifest)
    view, _ = await world.admit(admission.promotion, manifest)
    await world.dev.release.record_admission(
        world.dev.caller("sync"),
        ResourceName("risk", "fraud", 1),
        decision=view.admission.decision,
        target_receipt=view.receipt,
    )
    failing = await world.publish(version=2)
    await world.attest(failing, result="FAILED")
    await world.evaluate(await world.bring(failing, world.parties.request(failing)))
    cancelled = world.parties.request(manifest)
    await cancel(world, world.parties.cancellation(cancelled, manifest))
    report = await audited(world, tmp_path / "export")
    assert [finding.message for finding in report.findings] == []
    assert report.ok


async def test_a_version_that_the_target_purged_does_not_come_in_again(quiet):
    manifest = await quiet.publish()
    await quiet.attest(manifest)
    await quiet.promote(manifest, alias="")
    request = quiet.parties.request(manifest, alias="champion", promotion="cd" * 16)
    given = await quiet.bring(manifest, request)
    await quiet.evaluate(given)
    name = ResourceName("risk", "fraud", 1)

    def purge(tx):
        set_stage(
            tx, quiet.staging.caller("sync").actor, name, Stage.ARCHIVED, make_note("old"), expected=None
        )
        assert let_go(tx.connection, name, now=tx.now, until=tx.now, log_index=1)
        tx.touch(model_scope("risk", "fraud"))

    await quiet.staging.writer.commit(purge)
    before = await quiet.staging.entries()
    other = await quiet.bring(manifest, quiet.parties.request(manifest, promotion="ef" * 16))
    for call in (
        quiet.admit("cd" * 16, manifest),
        quiet.evaluate(given),
        quiet.evaluate(given, validate_only=True),
        quiet.evaluate(other),
    ):
        with pytest.raises(PurgedError, match="was purged at"):
            await call
    assert await quiet.staging.entries() == before
    assert (await quiet.staging.version()).purged

"""Promotions by rollout: what they permit, what they leave alone, and when a permit ends.

Service objects over real storage, no transport.
"""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text

from carnet.audit.export import ExportWriter
from carnet.audit.pins import Pins
from carnet.audit.verify import verify_export
from carnet.errors import ConflictError, GateAwaitingError, IllegalTransitionError, PreconditionFailedError
from carnet.references import ResourceName
from carnet.signing.decision import Decision
from carnet.translog.entry import parse_entry
from carnet.translog.receipt import verify_receipt
from carnet_policies.engine import PolicyEngine
from carnet_server.admission.dossier import read_dossier
from carnet_server.admission.permits import find_permit, use_permit
from carnet_server.admission.states import AdmissionState
from carnet_server.aliases.domain import Move, MoveKind
from carnet_server.aliases.moves import move_alias
from tests.support.storage import ALL_FOUR
from tests.unit.carnet_server.admission.parties import read, subject
from tests.unit.carnet_server.admission.registries import NO_PEOPLE, World

INSTANT = timedelta(microseconds=1)


@pytest.fixture(scope="module")
def engine():
    with PolicyEngine() as engine:
        yield engine


@pytest.fixture
async def world(tmp_path, engine, storage):
    """A world in which version 1 is staging's champion, and people are asked."""
    world = await World(tmp_path, engine, storage=storage).start()
    await with_champion(world)
    yield world
    world.stop()


@pytest.fixture
async def quiet(tmp_path, engine, storage):
    """The same, and staging asks no people."""
    world = await World(tmp_path, engine, {"staging": NO_PEOPLE}, storage).start()
    await with_champion(world)
    yield world
    world.stop()


async def with_champion(world):
    await world.promote(await attested(world, 1))


async def attested(world, number):
    manifest = await world.publish(version=number)
    await world.attest(manifest)
    return manifest


async def permitted(world, number=2):
    """A challenger that was promoted by rollout, and what that left."""
    manifest = await attested(world, number)
    view = await world.promote(manifest, by_rollout=True)
    return manifest, view.admission, await permit_of(world, manifest)


async def permit_of(world, manifest, *, alias="champion", model="fraud", now=None):
    at = now or world.clock()
    return await world.staging.database.read(
        lambda connection: find_permit(connection, "risk", model, alias, manifest.digest, now=at)
    )


async def permit_count(world):
    return await world.staging.database.read(
        lambda connection: connection.execute(text("SELECT count(*) FROM alias_permits")).scalar_one()
    )


async def move_on(world, permit):
    """Move the alias on a permit, as a rollout does at its end."""

    def change(tx):
        use_permit(tx, permit)
        move = Move(
            permit.namespace,
            permit.model,
            permit.alias,
            permit.version,
            MoveKind.ROLLOUT,
            world.staging.caller("dave").actor,
            promotion=permit.promotion,
            envelope_digest=permit.decision_digest,
        )
        return move_alias(tx, move)

    return await world.staging.writer.commit(change)


def kinds(entries):
    return [f"{entry.type}{'=' + entry.new if entry.new else ''}" for entry in entries]


@ALL_FOUR
async def test_admission_permits_the_alias_to_move_and_leaves_it_where_it_is(world):
    before = await world.staging.alias()
    start = world.staging.log.size
    manifest, admission, permit = await permitted(world)
    entries = await world.staging.entries(start)
    assert kinds(entries) == [
        "evidence.added",
        "evidence.added",
        "promotion.requested",
        "dossier.issued",
        "approval.recorded=approved",
        "decision.made=PASSED",
        "version.admitted",
        "version.stage-changed=approved",
    ]
    assert {entry.subject["alias"] for entry in entries[2:6]} == {"champion"}
    assert await world.staging.alias() == before
    assert (await world.staging.version(2)).stage == "approved"
    dossier, decision = read_dossier(admission.dossier), read(admission.decision, Decision)
    assert (dossier.alias, dossier.by_rollout) == (decision.alias, decision.by_rollout) == ("champion", True)
    assert decision.permit_expires_at == decision.time_verified + timedelta(days=2)
    assert (permit.promotion, permit.alias, permit.bundle_digest, permit.version) == (
        admission.promotion,
        "champion",
        manifest.digest,
        2,
    )
    assert (permit.decision_digest, permit.log_index) == (admission.decision_digest, start + 5)
    assert (permit.expires_at, permit.used_at) == (decision.permit_expires_at, None)


async def test_the_policy_is_asked_as_for_any_move_of_the_alias(tmp_path, engine, storage):
    policy = NO_PEOPLE + b"approvals: {rule: approvals, when: {aliases: [champion]}, count: 1}\n"
    world = await World(tmp_path, engine, {"staging": policy}, storage).start()
    try:
        manifest = await attested(world, 1)
        request = world.parties.request(manifest, alias="champion", by_rollout=True)
        admission = await world.evaluate(await world.bring(manifest, request))
        assert admission.state is AdmissionState.AWAITING
        await world.transfer(manifest)
        with pytest.raises(GateAwaitingError):
            await world.admit(admission.promotion, manifest)
        assert (await permit_of(world, manifest), await world.staging.alias()) == (None, None)
    finally:
        world.stop()


@ALL_FOUR
async def test_a_permit_is_used_once_by_the_move_that_it_permits(quiet):
    manifest, _, permit = await permitted(quiet)
    moved = await move_on(quiet, permit)
    assert (await quiet.staging.alias()).version == moved.new_version == 2
    assert await permit_of(quiet, manifest) is None
    size = quiet.staging.log.size
    with pytest.raises(ConflictError, match="used meanwhile, or has expired"):
        await move_on(quiet, permit)
    assert quiet.staging.log.size == size


@ALL_FOUR
async def test_a_permit_ends(quiet):
    manifest, _, permit = await permitted(quiet)
    assert await permit_of(quiet, manifest, now=permit.expires_at - INSTANT) == permit
    assert await permit_of(quiet, manifest, now=permit.expires_at) is None
    quiet.clock.ahead += timedelta(days=2)
    with pytest.raises(ConflictError, match="expired"):
        await move_on(quiet, permit)
    assert (await quiet.staging.alias()).version == 1


async def test_a_permit_is_for_one_alias_and_one_bundle(quiet):
    manifest, _, _ = await permitted(quiet)
    other = await attested(quiet, 3)
    await quiet.promote(other, alias="")
    assert await permit_of(quiet, manifest, alias="shadow") is None
    assert await permit_of(quiet, manifest, model="churn") is None
    assert await permit_of(quiet, other) is None


async def test_a_revocation_voids_the_permit(quiet):
    manifest, _, permit = await permitted(quiet)
    staging = quiet.staging
    await staging.models.revoke(staging.caller("dave"), ResourceName("risk", "fraud", 2), "It leaks.")
    assert await permit_of(quiet, manifest) is None
    with pytest.raises(PreconditionFailedError, match="revoked"):
        await move_on(quiet, permit)


async def test_another_policy_leaves_what_was_permitted(quiet):
    manifest, _, permit = await permitted(quiet)
    await quiet.staging.change_policy(NO_PEOPLE.replace(b"version: 1", b"version: 2"))
    assert await permit_of(quiet, manifest) == permit


async def test_a_version_that_is_there_is_permitted_by_a_decision_alone_and_the_longest_permit_counts(quiet):
    manifest, _, first = await permitted(quiet)
    quiet.clock.ahead += timedelta(hours=1)
    start = quiet.staging.log.size
    view = await quiet.promote(manifest, by_rollout=True)
    assert kinds(await quiet.staging.entries(start)) == ["promotion.requested", "decision.made=PASSED"]
    entry = verify_receipt(view.receipt, quiet.parties.logs["staging"].verifier)
    assert entry.type == "decision.made"
    second = await permit_of(quiet, manifest)
    assert (second.promotion, second.log_index) == (view.admission.promotion, start + 1)
    assert second.expires_at > first.expires_at
    await move_on(quiet, second)
    assert await permit_of(quiet, manifest) == first


async def test_admission_by_rollout_is_idempotent(quiet):
    manifest, admission, permit = await permitted(quiet)
    size = quiet.staging.log.size
    again, already = await quiet.admit(admission.promotion, manifest, release=b"whatever")
    assert (again.admission, already) == (admission, True)
    assert (await permit_of(quiet, manifest), await permit_count(quiet)) == (permit, 1)
    assert quiet.staging.log.size == size


async def test_what_was_cancelled_or_moves_with_its_admission_permits_nothing(quiet):
    manifest = await attested(quiet, 2)
    request = quiet.parties.request(manifest, alias="champion", by_rollout=True)
    admission = await quiet.evaluate(await quiet.bring(manifest, request))
    assert admission.by_rollout
    await quiet.transfer(manifest)
    await quiet.staging.admission.cancel(
        quiet.staging.caller("sync"), admission.promotion, quiet.parties.cancellation(request, manifest)
    )
    with pytest.raises(IllegalTransitionError, match="cancelled"):
        await quiet.admit(admission.promotion, manifest)
    view = await quiet.promote(manifest)
    assert not view.admission.by_rollout
    assert await permit_count(quiet) == 0


async def audited(world, folder):
    """Export both logs with their documents, and verify them offline with pinned keys."""
    for registry in (world.dev, world.staging):
        entries = await registry.log.entries(0, 1000)
        with ExportWriter(folder).environment(registry.name) as export:
            export.write_log([data for _, data, _ in entries], registry.log.checkpoint)
            for digest in {parse_entry(data).envelope_digest for _, data, _ in entries} - {None}:
                export.add_document(await registry.log.document(digest))
    parties = world.parties
    people = {"alice": ("alice", "ci"), "bob": ("bob",), "evaluator": ("evaluator",)}
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
            for name, signers in people.items()
        },
    }
    return verify_export(folder, Pins.from_mapping(pins))


async def test_an_auditor_has_nothing_to_object_to_what_was_permitted(world, tmp_path):
    await permitted(world)
    report = await audited(world, tmp_path / "export")
    assert [finding.message for finding in report.findings] == []
    assert report.ok


async def test_an_auditor_finds_a_move_that_was_permitted_and_that_no_rollout_made(world, tmp_path):
    _, _, permit = await permitted(world)
    moved = await move_on(world, permit)
    (finding,) = (await audited(world, tmp_path / "export")).findings
    assert finding.index == moved.log_index
    assert "names no rollout of the alias that began before it" in finding.message

"""Stamps: what a target keeps of the way before, what it gives of it, and what it takes from nobody.

Service objects over real storage, no transport.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from carnet.audit.pins import Pins
from carnet.bundle.manifest import parse_manifest
from carnet.canonical import sha256_hex
from carnet.errors import (
    IntegrityError,
    KeyUntrustedError,
    NotFoundError,
    PreconditionFailedError,
    StatementInvalidError,
)
from carnet.references import ResourceName
from carnet.signing.keys import SigningKey
from carnet.signing.release import Release
from carnet.stamps.stamp import read_receipt, read_statement
from carnet.stamps.verify import verify_list, verify_stamps
from carnet.translog.entry import EntryType
from carnet.translog.receipt import format_receipt, verify_receipt
from carnet_policies.engine import PolicyEngine
from carnet_server.admission.states import AdmissionState
from carnet_server.stamps import gathering
from carnet_server.stamps.service import StampsService
from tests.contract.test_admission import brought, nothing_stored
from tests.contract.test_break_glass import admitted as admitted_by_breaking
from tests.contract.test_break_glass import policy as emergency_policy
from tests.unit.carnet_server.admission.parties import read, subject
from tests.unit.carnet_server.admission.registries import NO_PEOPLE, World

VERSION = ResourceName("risk", "fraud", 1)
CHAMPION = ResourceName("risk", "fraud", alias="champion")
PEOPLE = {
    "alice": ("alice", "ci"),
    "evaluator": ("evaluator",),
    **{name: (name,) for name in ("bob", "dave", "erin")},
}


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
async def quiet(tmp_path, engine):
    """Staging asks no people."""
    world = await World(tmp_path, engine, {"staging": NO_PEOPLE}).start()
    yield world
    world.stop()


@pytest.fixture
async def emergency(tmp_path, engine):
    """In staging two people may stand in for what is missing."""
    world = await World(tmp_path, engine, {"staging": emergency_policy(2)}).start()
    yield world
    world.stop()


def pins_of(world, people=PEOPLE, **environments) -> Pins:
    keys = world.parties.keys
    known = {
        name: {
            "log_key": world.parties.logs[name].verifier.vkey,
            "signing_key": keys[name].verification_key.pem,
        }
        for name in ("dev", "staging")
    }
    return Pins.from_mapping(
        {
            "environments": known | environments,
            "people": {
                name: {
                    "keys": [keys[each].verification_key.pem for each in signers],
                    "subjects": [subject(each) for each in signers],
                }
                for name, signers in people.items()
            },
        }
    )


async def stamps_of(world, registry, name):
    """What a registry gives, read: the signed list, and all documents with the evidence that it names."""
    found = await StampsService(registry.state, registry.database, registry.log, clock=world.clock).get(name)
    documents = [read_statement(data) for data in found.statements]
    documents += [read_receipt(data) for data in found.receipts]
    manifest = world.manifest
    documents += [read_statement(each.envelope) for each in await registry.held_evidence(manifest)]
    return read_statement(found.list), {each.digest: each for each in documents}


async def verified(world, registry, name, pins=None):
    pins = pins or pins_of(world)
    signed, documents = await stamps_of(world, registry, name)
    return verify_stamps(world.manifest, verify_list(signed, world.manifest, pins), documents, pins)


async def attested(world, **published):
    world.manifest = await world.publish(**published)
    await world.attest(world.manifest)
    return world.manifest


async def test_the_way_from_home_is_kept_at_the_target_and_given(world):
    view = await world.promote(await attested(world))
    stamps = await verified(world, world.staging, CHAMPION)
    assert [stop.environment for stop in stamps.stops] == ["dev", "staging"]
    last = stamps.stops[-1]
    assert (last.promotion, last.requested_by, last.approved_by) == (
        view.admission.promotion,
        "alice",
        ("bob",),
    )
    assert last.policy_digest == world.staging.state.policy.digest
    assert (stamps.alias.name, stamps.alias.promotion) == ("champion", view.admission.promotion)
    assert stamps.as_of_size == world.staging.log.size
    home = await verified(world, world.dev, VERSION)
    assert [stop.arrival for stop in home.stops] == ["published"]


async def test_evidence_that_comes_later_is_listed_and_by_nobody_known_counts_for_nothing(world):
    await world.promote(await attested(world))
    await world.attest(world.manifest, where=world.staging, suite="fairness")
    before = await verified(world, world.staging, VERSION)
    assert before.unknown_evidence == 0
    people = {name: each for name, each in PEOPLE.items() if name != "evaluator"}
    after = await verified(world, world.staging, VERSION, pins_of(world, people))
    assert (after.evidence_count, after.unknown_evidence) == (before.evidence_count, 2)


async def test_who_broke_the_glass_is_told(emergency):
    admission = await admitted_by_breaking(emergency)
    emergency.manifest = parse_manifest(admission.manifest)
    stamps = await verified(emergency, emergency.staging, CHAMPION)
    assert sorted(stamps.stops[-1].broken_by) == ["bob", "dave"]
    assert stamps.stops[-1].skipped == ("approvals",)


async def test_who_approved_their_own_work_is_found_out(world):
    await world.promote(await attested(world))
    one_person = {"alice": ("alice", "ci", "bob"), "evaluator": ("evaluator",)}
    with pytest.raises(StatementInvalidError, match="alice approved what they published or asked for"):
        await verified(world, world.staging, VERSION, pins_of(world, one_person))
    nobody = {"bob": ("bob",), "evaluator": ("evaluator",)}
    with pytest.raises(KeyUntrustedError):
        await verified(world, world.staging, VERSION, pins_of(world, nobody))


@pytest.mark.parametrize("name", ["dev", "staging"])
async def test_an_environment_with_other_keys_is_not_believed(world, name):
    await world.promote(await attested(world))
    other = SigningKey.generate().verification_key.pem
    log_key = world.parties.logs[name].verifier.vkey
    with pytest.raises(KeyUntrustedError):
        await verified(
            world,
            world.staging,
            VERSION,
            pins_of(world, **{name: {"log_key": log_key, "signing_key": other}}),
        )


async def test_what_is_not_here_has_no_stamps(world):
    await attested(world)
    for name in (VERSION, CHAMPION):
        with pytest.raises(NotFoundError):
            await stamps_of(world, world.staging, name)


async def test_a_version_from_before_stamps_were_kept_is_admitted_and_has_none(quiet):
    manifest, request, given = await brought(quiet)
    quiet.manifest = manifest
    admission = await quiet.evaluate(given)
    await quiet.transfer(manifest)
    released = await quiet.release(admission.promotion, manifest)
    said = read(released.envelope, Release)
    older = quiet.parties.release(request, manifest, evidence=said.evidence, log_size=said.log_size)
    view, _ = await quiet.admit(admission.promotion, manifest, release=older)
    assert view.admission.state is AdmissionState.ADMITTED
    with pytest.raises(PreconditionFailedError, match="before stamps were kept"):
        await stamps_of(quiet, quiet.staging, VERSION)


async def test_stamps_that_no_message_takes_stop_no_promotion(quiet, monkeypatch):
    await quiet.promote(await attested(quiet))
    monkeypatch.setattr(gathering, "MAX_BYTES", 1000)
    with pytest.raises(PreconditionFailedError, match="a message takes 1000"):
        await stamps_of(quiet, quiet.staging, VERSION)
    assert (await verified(quiet, quiet.dev, VERSION)).environment == "dev"


async def test_a_source_that_names_no_whole_way_is_refused(quiet):
    manifest, request, given = await brought(quiet)
    admission = await quiet.evaluate(given)
    await quiet.transfer(manifest)
    released = await quiet.release(admission.promotion, manifest)
    said = read(released.envelope, Release)
    (arrival,) = released.stamps
    receipt = read_receipt(arrival).receipt
    other = await quiet.publish(version=2)
    foreign = (await quiet.release("ab" * 16, other)).stamps[0]
    forged = quiet.parties.arrival(manifest, log="staging")
    admitted = quiet.parties.arrival(manifest, kind=EntryType.VERSION_ADMITTED)
    broken = replace(receipt, proof=tuple(bytes(32) for _ in receipt.proof) or (bytes(32),))
    for stamps in (
        [given.request],
        [foreign],
        [arrival, foreign],
        [arrival, given.request],
        [format_receipt(forged).encode()],
        [format_receipt(admitted).encode()],
        [format_receipt(broken).encode()],
        [b"no stamp"],
    ):
        digests = tuple(sorted(sha256_hex(each) for each in stamps))
        release = quiet.parties.release(
            request, manifest, evidence=said.evidence, log_size=said.log_size, stamps=digests
        )
        async with nothing_stored(quiet, IntegrityError):
            await quiet.admit(admission.promotion, manifest, release=release, stamps=stamps)
    view, _ = await quiet.admit(admission.promotion, manifest)
    assert view.admission.state is AdmissionState.ADMITTED


async def test_a_refusal_and_an_admission_have_the_receipt_of_their_decision(quiet):
    manifest, _, given = await brought(quiet)
    admission = await quiet.evaluate(given)
    await quiet.transfer(manifest)
    view, _ = await quiet.admit(admission.promotion, manifest)
    log = quiet.parties.logs["staging"].verifier
    entry = verify_receipt(view.decision_receipt, log)
    assert (entry.type, entry.new, entry.envelope_digest) == (
        EntryType.DECISION_MADE,
        "PASSED",
        view.admission.decision_digest,
    )
    assert verify_receipt(view.receipt, log).type is EntryType.VERSION_ADMITTED
    refused, _, given = await brought(quiet, version=2)
    await quiet.dev.models.revoke(quiet.dev.caller("dave"), ResourceName("risk", "fraud", 2), "leaks")
    request = quiet.parties.request(refused, alias="champion")
    stands = await quiet.evaluate(await quiet.bring(refused, request))
    view = await quiet.staging.admission.get(quiet.staging.caller("sync"), stands.promotion)
    entry = verify_receipt(view.decision_receipt, log)
    assert (entry.new, entry.envelope_digest, view.receipt) == ("FAILED", stands.decision_digest, None)

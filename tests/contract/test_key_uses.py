"""A signing key that was compromised: what rests on it is found, and nothing new is admitted on it.

Service objects over real storage, no transport.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event

from carnet.client.messages import key_use_of
from carnet.client.results import KeyUse
from carnet.errors import CarnetError, GateAwaitingError, InvalidInputError, KeyUntrustedError
from carnet.references import Reference, ResourceName
from carnet.registry.v1 import identity_pb2
from carnet_policies.engine import PolicyEngine
from carnet_server.admission.states import AdmissionState
from carnet_server.identity.domain import UseKind
from carnet_server.identity.queries import list_uses
from carnet_server.identity.servicer import IdentityServicer
from carnet_server.identity.uses import KeyUsesService
from tests.unit.carnet_server.admission.parties import subject
from tests.unit.carnet_server.admission.registries import World

BUNDLE, EVIDENCE, REQUEST, APPROVAL = UseKind


@pytest.fixture(scope="module")
def engine():
    with PolicyEngine() as engine:
        yield engine


@pytest.fixture
async def world(tmp_path, engine, storage):
    world = await World(tmp_path, engine, storage=storage).start()
    yield world
    world.stop()


def key_id(world, name):
    return world.parties.keys[name].verification_key.key_id


async def uses(registry, *, page_size=0, page_token="", **of):
    service = KeyUsesService(registry.database, registry.state)
    asked = {"key_id": "", "subject": "", **of}
    return await service.list_page(**asked, page_size=page_size, page_token=page_token)


async def all_uses(registry, **of):
    found, token = await uses(registry, **of)
    assert token == ""
    return found


async def revoke(world, name, *, since, registry=None):
    entry = {"key": key_id(world, name), "since": since.isoformat(), "reason": "lost"}
    await (registry or world.staging).change_trust(version=2, revoked=[entry])


async def promoted(world, *, alias="champion"):
    manifest = await world.publish()
    await world.attest(manifest)
    view = await world.promote(manifest, alias=alias)
    assert view.admission.state is AdmissionState.ADMITTED
    return manifest, view.admission.promotion


async def test_everything_that_a_key_signed_is_found_with_what_became_of_it(world):
    manifest, promotion = await promoted(world)
    log = await world.staging.entries()
    for name, kinds in (("ci", {BUNDLE, REQUEST}), ("evaluator", {EVIDENCE}), ("bob", {APPROVAL})):
        found = await all_uses(world.staging, key_id=key_id(world, name))
        assert {each.use.kind for each in found} == kinds
        for each in found:
            use = each.use
            assert (use.namespace, use.model, use.version) == ("risk", "fraud", 1)
            assert (use.bundle_digest, use.subject, use.live) == (manifest.digest, subject(name), True)
            assert (each.aliases, each.since_compromise) == (("champion",), False)
            assert use.promotion == ("" if use.kind is EVIDENCE else promotion)
            expected = {
                BUNDLE: "version.admitted",
                EVIDENCE: "evidence.added",
                REQUEST: "promotion.requested",
                APPROVAL: "approval.recorded",
            }
            assert log[use.log_index].type == expected[use.kind]
        assert await all_uses(world.staging, subject=subject(name)) == found
    assert await all_uses(world.staging, key_id=key_id(world, "stranger")) == []


async def test_the_client_reads_what_the_servicer_answers(world):
    manifest, promotion = await promoted(world)
    servicer = IdentityServicer(None, KeyUsesService(world.staging.database, world.staging.state))
    request = identity_pb2.ListKeyUsesRequest(key_id=key_id(world, "bob"))
    answer = await servicer.ListKeyUses(request, None)
    (found,) = await all_uses(world.staging, key_id=key_id(world, "bob"))
    (message,) = answer.uses
    assert key_use_of(message, "staging") == KeyUse(
        kind="approval",
        reference=Reference("staging", "risk", "fraud", version=1),
        bundle_digest=manifest.digest,
        key_id=key_id(world, "bob"),
        subject=subject("bob"),
        promotion=promotion,
        created_at=found.use.created_at,
        log_index=found.use.log_index,
        since_compromise=False,
        live=True,
        aliases=("champion",),
    )


async def test_pages_are_the_newest_first_and_lose_nothing(world):
    await promoted(world)
    second = await world.publish(version=2)
    await world.attest(second)
    await world.promote(second, alias="")
    whole = await all_uses(world.staging, key_id=key_id(world, "ci"))
    assert len(whole) == 4
    assert [each.use.created_at for each in whole] == sorted(
        (each.use.created_at for each in whole), reverse=True
    )
    paged, token = [], ""
    for _ in range(4):
        page, token = await uses(world.staging, key_id=key_id(world, "ci"), page_size=1, page_token=token)
        paged += page
    assert (paged, token) == (whole, "")
    _, token = await uses(world.staging, key_id=key_id(world, "ci"), page_size=1)
    with pytest.raises(InvalidInputError, match="page_token"):
        await uses(world.staging, key_id=key_id(world, "bob"), page_token=token)


async def test_a_version_on_a_key_that_is_revoked_is_not_promoted_and_stays_where_it_is(world):
    manifest = await world.publish()
    await world.attest(manifest)
    request = world.parties.request(manifest, by="bob", alias="champion")
    given = await world.bring(manifest, request)
    await revoke(world, "ci", since=datetime(2026, 1, 31, 8, 0, tzinfo=UTC))
    with pytest.raises(KeyUntrustedError, match="revoked here, compromised since 2026-01-31 08:00 UTC"):
        await world.evaluate(given)
    assert await world.staging.version() is None
    (found,) = [
        each for each in await all_uses(world.dev, key_id=key_id(world, "ci")) if each.use.kind is BUNDLE
    ]
    assert found.use.live


async def test_an_approval_by_a_key_that_was_revoked_since_counts_no_more(world):
    manifest = await world.publish()
    await world.attest(manifest)
    admission = await world.evaluate(await world.bring(manifest, world.parties.request(manifest)))
    await world.submit(admission, by="bob")
    await world.transfer(manifest)
    await revoke(world, "bob", since=datetime.now(UTC))
    with pytest.raises(GateAwaitingError):
        await world.admit(admission.promotion, manifest)
    (found,) = await all_uses(world.staging, key_id=key_id(world, "bob"))
    assert (found.use.kind, found.since_compromise, found.use.live) == (APPROVAL, False, False)


async def test_evidence_by_a_key_that_was_revoked_since_counts_no_more(world):
    manifest = await world.publish()
    await world.attest(manifest)
    given = await world.bring(manifest, world.parties.request(manifest))
    await revoke(world, "evaluator", since=datetime.now(UTC) - timedelta(days=1))
    admission = await world.evaluate(given)
    assert admission.state is AdmissionState.AWAITING
    assert admission.dossier is None
    found = await all_uses(world.staging, key_id=key_id(world, "evaluator"))
    assert [(each.use.kind, each.since_compromise, each.use.live) for each in found] == [
        (EVIDENCE, True, False)
    ]


async def test_only_what_arrived_since_the_compromise_is_marked(world):
    manifest, _ = await promoted(world)
    before = datetime.now(UTC)
    world.clock.ahead = timedelta(minutes=1)
    late = world.parties.test_result(manifest, suite="again")
    name = ResourceName("risk", "fraud", 1)
    await world.staging.evidence.add(world.staging.caller("evaluator"), name, late)
    await revoke(world, "evaluator", since=before + timedelta(seconds=30))
    found = await all_uses(world.staging, key_id=key_id(world, "evaluator"))
    assert [each.since_compromise for each in found] == [True, False]


async def test_evidence_that_arrived_before_its_signer_was_known_is_found(world):
    manifest, _ = await promoted(world)
    strange = world.parties.test_result(manifest, by="stranger")
    name = ResourceName("risk", "fraud", 1)
    await world.staging.evidence.add(world.staging.caller("sync"), name, strange)
    (found,) = await all_uses(world.staging, key_id=key_id(world, "stranger"))
    assert (found.use.kind, found.use.subject) == (EVIDENCE, "")


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"key_id": "a" * 64, "subject": "spiffe://carnet.test/service/ci"},
        {"key_id": "short"},
        {"key_id": "A" * 64},
        {"subject": "x" * 1025},
        {"subject": "x", "page_size": -1},
        {"subject": "x", "page_token": "nonsense"},
    ],
    ids=str,
)
async def test_a_malformed_question_is_refused(world, asked):
    with pytest.raises(CarnetError) as caught:
        await uses(world.staging, **asked)
    assert isinstance(caught.value, InvalidInputError)


@pytest.mark.parametrize("storage", ["sqlite-directory"], indirect=True)
async def test_the_uses_of_a_key_are_looked_up_and_not_searched_for(world):
    statements = []

    def explain(connection):
        event.listen(
            connection, "before_cursor_execute", lambda *given: statements.append((given[2], given[3]))
        )
        list_uses(connection, keys=["a" * 64], subjects=["s"], before=None, limit=5)
        said, values = statements[-1]
        return [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {said}", values)]

    plan = await world.staging.database.read(explain)
    for table in ("versions", "evidence", "admissions", "approvals"):
        assert not [step for step in plan if step == f"SCAN {table}"], plan

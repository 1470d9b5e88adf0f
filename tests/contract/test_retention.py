"""Holds, quotas, archival by itself and hygiene, as a registry keeps them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update
from sqlmodel import SQLModel

from carnet.bundle.manifest import File
from carnet.canonical import sha256_hex
from carnet.errors import (
    AlreadyExistsError,
    InvalidInputError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionFailedError,
    ResourceExhaustedError,
)
from carnet.references import ResourceName
from carnet.stages import Stage
from carnet.translog.entry import EntryType, parse_entry
from carnet.translog.receipt import verify_receipt
from carnet_server.blobs.domain import Blob
from carnet_server.blobs.service import BlobsService
from carnet_server.models.queries import VERSIONS, names_blob
from carnet_server.retention.hygiene_rules import HygieneKind
from carnet_server.retention.queries import may_read_blob
from carnet_server.retention.quotas import StorageQuotas
from carnet_server.retention.schedule import ScheduledArchival
from tests.support.registry import FRAUD, OPERATOR, READER, SYNC, Registry, make_policy, make_version

KIB = 1024
NOON = datetime(2031, 5, 4, 12, tzinfo=UTC)
PERSON = "spiffe://carnet.test/person/erin"


@pytest.fixture
async def registry(tmp_path, storage):
    registry = Registry(
        tmp_path, storage=storage, policy=make_policy(quotas=[{"namespaces": ["risk"], "storage": "2KiB"}])
    )
    await registry.start()
    yield registry
    registry.stop()


@pytest.fixture
def blobs(registry):
    service = BlobsService(
        registry.store,
        registry.database,
        registry.writer,
        readable=may_read_blob,
        is_named=names_blob,
        capability_check=lambda *_: None,
        quota_check=StorageQuotas(registry.state),
    )
    yield service
    service.close()


def named(number, model="fraud"):
    return ResourceName("risk", model, version=number)


async def change(registry, statement):
    await registry.writer.commit(lambda tx: tx.connection.execute(statement).rowcount)


async def entries(registry, kind):
    rows = await registry.log.entries(0, 1000)
    return [entry for entry in (parse_entry(data) for _, data, _ in rows) if entry.type is kind]


# --- holds ------------------------------------------------------------------------------------------------------


async def hold(registry, name=FRAUD, **options):
    asked = {"reason": "case 7", "expires_at": None, "request_id": ""} | options
    return await registry.holds.place(registry.caller(PERSON), name, **asked)


async def release(registry, name, number, reason="closed"):
    return await registry.holds.release(registry.caller(PERSON), name, number, reason)


async def held(registry, place=FRAUD, *, caller=READER, include_ended=False, page_size=0, page_token=""):
    return await registry.holds.list_page(
        registry.caller(caller),
        place,
        include_ended=include_ended,
        page_size=page_size,
        page_token=page_token,
    )


async def test_a_hold_is_placed_and_released_with_an_entry_each(registry):
    await registry.add_version(1)
    until = datetime.now(UTC) + timedelta(days=30)
    placed = await hold(registry, named(1), expires_at=until)
    entry = verify_receipt(placed.receipt, registry.state.log_key.verifier)
    version = await registry.models.get_version(named(1))
    assert entry.type is EntryType.HOLD_PLACED
    assert (entry.subject, entry.new) == (version.subject | {"hold": 1}, until.isoformat())
    assert entry.actor.subject == PERSON
    assert "case 7" not in entry.to_bytes().decode()
    ((listed,), _) = await held(registry)
    assert (listed.hold, listed.name, listed.note, listed.actor) == (1, str(named(1)), "case 7", PERSON)
    assert (listed.expires_at, listed.log_index) == (until, placed.receipt.index)

    ended = await release(registry, named(1), 1)
    entry = verify_receipt(ended.receipt, registry.state.log_key.verifier)
    assert (entry.type, entry.subject) == (EntryType.HOLD_RELEASED, version.subject | {"hold": 1})
    assert await held(registry) == ([], "")
    ((listed,), _) = await held(registry, include_ended=True)
    assert (listed.releaser, listed.released_at) == (PERSON, entry.time)
    again = await release(registry, named(1), 1)
    assert again.receipt.index == ended.receipt.index
    assert len(await entries(registry, EntryType.HOLD_RELEASED)) == 1


async def test_a_repeated_request_is_the_same_hold_and_another_one_is_refused(registry):
    await registry.add_version(1)
    first = await hold(registry, request_id="case-7")
    again = await hold(registry, request_id="case-7")
    assert (again.hold, again.receipt.index) == (first.hold, first.receipt.index)
    with pytest.raises(AlreadyExistsError, match="was used for another request") as caught:
        await hold(registry, named(1), request_id="case-7")
    assert caught.value.metadata == {"field": "request_id", "hold": "1"}
    await release(registry, FRAUD, 1)
    assert (await hold(registry, request_id="case-7")).hold.hold == 1
    assert (await hold(registry)).hold.hold == 2
    assert len(await entries(registry, EntryType.HOLD_PLACED)) == 2


async def test_holds_that_are_placed_at_once_have_numbers_of_their_own(registry):
    await registry.add_version(1)
    placed = await asyncio.gather(*(hold(registry) for _ in range(8)))
    assert sorted(each.hold.hold for each in placed) == list(range(1, 9))
    first, token = await held(registry, page_size=5)
    rest, end = await held(registry, page_size=5, page_token=token)
    assert [each.hold for each in first + rest] == list(range(8, 0, -1))
    assert end == ""


async def test_a_hold_ends_by_itself(registry):
    await registry.add_version(1)
    await hold(registry, expires_at=datetime.now(UTC) + timedelta(days=1))
    await change(registry, update(SQLModel.metadata.tables["holds"]).values(expires_at=datetime.now(UTC)))
    assert await held(registry) == ([], "")
    assert len((await held(registry, include_ended=True))[0]) == 1
    with pytest.raises(PreconditionFailedError, match="ended by itself"):
        await release(registry, FRAUD, 1)


async def test_only_what_one_may_read_is_listed(registry):
    await registry.add_version(1)
    await registry.add_version(1, namespace="sales")
    await hold(registry)
    await hold(registry, ResourceName("sales", "fraud"))
    assert [each.hold for each in (await held(registry, None))[0]] == [1]
    assert [each.hold for each in (await held(registry, None, caller=OPERATOR))[0]] == [2, 1]
    assert await held(registry, ResourceName("sales")) == ([], "")
    assert await held(registry, ResourceName("risk", "churn")) == ([], "")


async def test_bad_holds_are_refused_and_nothing_changes(registry):
    await registry.add_version(1)
    await hold(registry)
    now = datetime.now(UTC)
    before = await registry.entries()
    for options, field in (
        ({"reason": " "}, "reason"),
        ({"reason": "x" * 2001}, "reason"),
        ({"expires_at": now}, "expire_time"),
        ({"request_id": "x" * 65}, "request_id"),
    ):
        with pytest.raises(InvalidInputError) as caught:
            await hold(registry, **options)
        assert caught.value.metadata["field"] == field
    with pytest.raises(InvalidInputError):
        await release(registry, FRAUD, 1, reason="")
    for name in (named(9), ResourceName("risk", "none")):
        with pytest.raises(NotFoundError):
            await hold(registry, name)
    for name, number in ((named(1), 1), (FRAUD, 2), (FRAUD, 0)):
        with pytest.raises(NotFoundError, match="there is no hold"):
            await release(registry, name, number)
    assert await registry.entries() == before


# --- quotas -----------------------------------------------------------------------------------------------------


def blob_of(size, seed=b"x"):
    data = (seed * size)[:size]
    return Blob(sha256_hex(data), size), data


async def write(blobs, *made, namespace="risk"):
    await blobs.write_small(namespace, [(blob.digest, data) for blob, data in made])


async def test_a_namespace_is_held_to_its_quota_and_nothing_is_half_stored(registry, blobs):
    first, last, more = blob_of(KIB), blob_of(KIB, b"y"), blob_of(1, b"z")
    await write(blobs, first)
    with pytest.raises(ResourceExhaustedError, match="stores 1.0 KiB of its quota of 2.0 KiB") as caught:
        await write(blobs, last, more)
    assert caught.value.metadata == {
        "namespace": "risk",
        "usedBytes": "1024",
        "quotaBytes": "2048",
        "moreBytes": "1025",
    }
    assert await blobs.find_missing("risk", [last[0], more[0]]) == [last[0], more[0]]
    await write(blobs, last)
    await write(blobs, first, last)
    await write(blobs, more, namespace="sales")
    with pytest.raises(ResourceExhaustedError, match="purge archived versions"):
        await write(blobs, more)


async def test_an_upload_without_room_is_refused_at_its_first_message(registry, blobs):
    blob, _ = blob_of(3 * KIB)
    before = registry.bench.leftovers()
    with pytest.raises(ResourceExhaustedError):
        async with blobs.open_upload("risk", blob):
            raise AssertionError("it was opened")
    assert registry.bench.leftovers() == before
    assert await registry.count("blob_possessions") == 0


async def test_of_two_uploads_that_each_had_room_only_one_is_given(registry, blobs):
    made = [blob_of(1500, seed) for seed in (b"x", b"y")]

    async def upload(blob, data):
        async with blobs.open_upload("risk", blob) as stream:
            await both.wait()
            await stream.append(0, data)
            await stream.finish()

    both = asyncio.Barrier(2)
    outcomes = await asyncio.gather(*(upload(*each) for each in made), return_exceptions=True)
    assert sorted(type(each).__name__ for each in outcomes) == ["NoneType", "ResourceExhaustedError"]
    assert await registry.count("blob_possessions") == 1


async def test_the_first_entry_that_fits_a_namespace_is_its_quota(registry, blobs):
    registry.set_policy(
        quotas=[
            {"namespaces": ["risk-*", "sales"], "storage": "1KiB"},
            {"namespaces": ["*"], "storage": "4KiB"},
        ]
    )
    blobs._quota_check = StorageQuotas(registry.state)
    await write(blobs, blob_of(3 * KIB))
    with pytest.raises(ResourceExhaustedError):
        await write(blobs, blob_of(3 * KIB), namespace="risk-eu")
    registry.set_policy()
    blobs._quota_check = StorageQuotas(registry.state)
    await write(blobs, blob_of(9 * KIB))


# --- archival by itself -----------------------------------------------------------------------------------------


class Clock:
    def __init__(self):
        self.now = NOON

    def __call__(self):
        return self.now


def scheduled(registry, clock):
    return ScheduledArchival(
        registry.database, registry.writer, registry.state, registry.models.archival, clock=clock
    )


async def archived(run):
    return None if run is None else [each.version.version for each in run]


async def make_old(registry, *numbers):
    at = datetime.now(UTC) - timedelta(days=200)
    await change(
        registry,
        update(VERSIONS).where(VERSIONS.c.version.in_(numbers)).values(created_at=at, staged_at=at),
    )
    await change(registry, update(SQLModel.metadata.tables["evidence"]).values(created_at=at))


async def test_what_the_policy_says_is_archived_once_a_day_by_the_environment_itself(registry):
    registry.set_policy(retention={"archive": {"older_than": "90d", "unused_for": "30d"}})
    for number in (1, 2, 3):
        await registry.add_version(number)
    await make_old(registry, 1)
    clock = Clock()
    archival, other = scheduled(registry, clock), scheduled(registry, clock)

    runs = await asyncio.gather(archival.run(), other.run())
    assert sorted(await asyncio.gather(*map(archived, runs)), key=bool) == [None, [1]]
    (entry,) = await entries(registry, EntryType.VERSION_STAGE_CHANGED)
    assert (entry.actor.subject, entry.actor.method) == ("urn:carnet:environment:dev", "local")
    assert (entry.subject["version"], entry.new) == (1, "archived")
    note = await registry.log.document(entry.envelope_digest)
    assert b"the policy's retention.archive: arrived at least 90 days ago, and not used for 30 days" in note

    await make_old(registry, 2)
    clock.now = NOON + timedelta(hours=11)
    assert await archived(await archival.run()) is None
    clock.now = NOON + timedelta(hours=12)
    assert await archived(await archival.run()) == [2]
    assert await archived(await other.run()) is None
    assert (await registry.models.get_version(named(3))).stage is Stage.REGISTERED


async def test_a_version_that_is_on_its_way_is_not_archived_by_itself(registry):
    registry.set_policy(retention={"archive": {"older_than": "90d"}})
    for number in (1, 2):
        await registry.add_version(number)
    await registry.release.create_release(
        registry.caller(SYNC), named(1), promotion="ab" * 16, target="staging"
    )
    await make_old(registry, 1, 2)
    clock = Clock()
    clock.now = datetime.now(UTC)
    assert await archived(await scheduled(registry, clock).run()) == [2]


async def test_without_terms_nothing_is_archived_and_no_run_is_taken(registry):
    await registry.add_version(1)
    await make_old(registry, 1)
    archival = scheduled(registry, Clock())
    assert await archival.run() is None
    assert await registry.count("scheduled_runs") == 0
    await archival.run_due()


# --- hygiene ----------------------------------------------------------------------------------------------------


async def report(registry, namespace="", *, caller=OPERATOR, stale_days=0):
    return await registry.hygiene.report(registry.caller(caller), namespace, stale_days=stale_days)


def told(report, kind):
    return [(each.subject, each.related) for each in report.findings if each.kind is kind]


async def test_a_tidy_environment_has_no_findings(registry):
    await registry.add_version(1)
    found = await report(registry)
    assert (found.findings, found.truncated) == ((), False)
    (storage,) = found.storage
    assert (storage.namespace, storage.quota_bytes) == ("risk", 2 * KIB)
    assert (storage.size_bytes, storage.blob_count) == (len(b"risk/fraud@1"), 1)
    assert (storage.model_count, storage.version_count) == (1, 1)


async def test_a_protected_alias_whose_rollback_nobody_rehearsed_is_told(registry):
    champion, shadow = (ResourceName("risk", "fraud", alias=alias) for alias in ("champion", "shadow"))
    digests = {number: (await registry.add_version(number)).digest for number in (1, 2)}

    async def unrehearsed(**asked):
        found = (await report(registry, **asked)).findings
        return [
            (each.subject, each.message) for each in found if each.kind is HygieneKind.UNREHEARSED_ROLLBACK
        ]

    async def point(alias, number):
        await registry.aliases.set_alias(
            registry.caller(OPERATOR), alias, number, expected_revision=None, note="", request_id=""
        )

    await point(champion, 1)
    registry.set_policy(protected_aliases=["champion"])
    assert await unrehearsed() == [], "there is nothing to roll back to"
    registry.set_policy()
    for alias in (champion, shadow):
        await point(alias, 1)
        await point(alias, 2)
    assert await unrehearsed() == [], "nothing is protected"
    registry.set_policy(protected_aliases=["champion"])
    assert await unrehearsed() == [(str(champion), "a rollback of it was never rehearsed")]
    drill = registry.aliases.drill(
        registry.caller(OPERATOR), champion, note="", confirmed=True, request_id=""
    )
    assert (await drill) is not None
    assert await unrehearsed() == []
    moves = SQLModel.metadata.tables["alias_moves"]
    old = datetime.now(UTC) - timedelta(days=40)
    await change(registry, update(moves).where(moves.c.kind == "drilled").values(created_at=old))
    assert await unrehearsed() == [(str(champion), "a rollback of it was last rehearsed 40 days ago")]
    assert await unrehearsed(stale_days=50) == []
    await registry.aliases.report_serving(
        registry.caller(READER), champion, instance="host-a", bundle_digest=digests[2], revision=2
    )
    assert await unrehearsed() == [], "hosts follow it: it is rehearsed elsewhere"


async def test_blobs_that_nobody_names_are_orphans_beyond_their_grace(registry):
    manifest, contents = make_version(7)
    await registry.add_version(1)
    await registry.give_blobs(manifest, contents)
    assert told(await report(registry), HygieneKind.ORPHAN) == []
    possessions = SQLModel.metadata.tables["blob_possessions"]
    old = datetime.now(UTC) - timedelta(days=2)
    await change(registry, update(possessions).values(created_at=old))
    (digest,) = contents
    assert told(await report(registry), HygieneKind.ORPHAN) == [(digest, ("namespaces/risk",))]
    later = datetime.now(UTC) + timedelta(days=1)
    await change(registry, update(possessions).values(keep_until=later))
    assert told(await report(registry), HygieneKind.ORPHAN) == []


async def test_stale_aliases_models_without_an_owner_and_odd_names_are_told(registry):
    registry.set_policy(metadata={"required": ["home"]})
    for model, owner in (("fraud", "risk-team"), ("fraud-2", ""), ("fraud_3", "x"), ("churn", "x")):
        manifest, contents = make_version(1, model=model)
        manifest = manifest.model_copy(update={"owner": owner})
        await registry.give_blobs(manifest, contents)
        await registry.publish(manifest)
    operator = registry.caller(OPERATOR)
    for alias in ("latest", "champion"):
        await registry.aliases.set_alias(
            operator,
            ResourceName("risk", "churn", alias=alias),
            1,
            expected_revision=None,
            note="",
            request_id="",
        )
    aliases = SQLModel.metadata.tables["aliases"]
    old = datetime.now(UTC) - timedelta(days=40)
    await change(registry, update(aliases).where(aliases.c.alias == "champion").values(updated_at=old))

    found = await report(registry, "risk")

    place = "namespaces/risk/models"
    assert told(found, HygieneKind.STALE_ALIAS) == [(f"{place}/churn/aliases/champion", ())]
    assert told(found, HygieneKind.UNOWNED_MODEL) == [(f"{place}/fraud-2", ())]
    assert told(found, HygieneKind.NAME) == [
        (f"{place}/churn/aliases/latest", ()),
        (f"{place}/fraud", (f"{place}/fraud-2", f"{place}/fraud_3")),
        (f"{place}/fraud_3", ()),
    ]
    assert told(await report(registry, stale_days=50), HygieneKind.STALE_ALIAS) == []
    assert [each.kind for each in found.findings] == sorted(
        (each.kind for each in found.findings), key=list(HygieneKind).index
    )


async def test_the_same_model_file_in_several_places_is_a_duplicate_where_one_may_read(registry):
    files = {}
    for namespace, model in (("risk", "fraud"), ("risk", "churn"), ("sales", "fraud"), ("sales", "other")):
        manifest, contents = make_version(1, namespace=namespace, model=model)
        notes = File(path="NOTES", role="documentation", size_bytes=5, digest=sha256_hex(b"notes"))
        shared = files.setdefault("model", (manifest.files[0], contents)) if model != "other" else None
        file, data = shared or (manifest.files[0], contents)
        manifest = manifest.model_copy(update={"files": (notes, file)})
        await registry.give_blobs(manifest, data | {notes.digest: b"notes"})
        await registry.publish(manifest)
    digest = files["model"][0].digest
    everywhere = ("risk/models/churn", "risk/models/fraud", "sales/models/fraud")
    assert told(await report(registry), HygieneKind.DUPLICATE) == [
        (digest, tuple(f"namespaces/{place}" for place in everywhere))
    ]
    assert told(await report(registry, caller=READER), HygieneKind.DUPLICATE) == [
        (digest, tuple(f"namespaces/{place}" for place in everywhere[:2]))
    ]
    assert [each.namespace for each in (await report(registry, caller=READER)).storage] == ["risk"]
    with pytest.raises(PermissionDeniedError):
        await report(registry, "sales", caller=READER)


async def test_a_namespace_near_its_quota_is_told(registry, blobs):
    await write(blobs, blob_of(1600))
    assert told(await report(registry), HygieneKind.QUOTA) == []
    await write(blobs, blob_of(40, b"y"))
    found = await report(registry)
    assert told(found, HygieneKind.QUOTA) == [("namespaces/risk", ())]
    assert "80%" in found.findings[-1].message


async def test_days_that_are_none_are_refused(registry):
    for days in (-1, 36_501):
        with pytest.raises(InvalidInputError) as caught:
            await report(registry, stale_days=days)
        assert caught.value.metadata["field"] == "stale_days"

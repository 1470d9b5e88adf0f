"""Purging, holding and hygiene, as the client believes them: with receipts."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from carnet import errors
from carnet.registry.v1 import models_pb2
from carnet.sync.v1 import promotions_pb2
from carnet.translog.entry import EntryType

NAME = "namespaces/risk/models/fraud/versions/1"
FRAUD = "dev/risk/fraud@1"


@pytest.fixture
def archived(federation, fraud):
    (version,) = federation.dev.versions.values()
    version.stage = models_pb2.STAGE_ARCHIVED
    return version


async def test_a_dry_run_tells_and_a_purge_shows_its_receipt(client, archived):
    for where in ("dev", "dev/risk", "dev/risk/fraud", FRAUD):
        (told,) = await client.purge(where, dry_run=True)
        assert (str(told.reference), told.purged, told.why, told.receipt) == (FRAUD, True, "old", None)
    (done,) = await client.purge("dev", reason="space")
    assert done.receipt.entry.type == "version.purged"
    assert (done.freed_bytes, done.bundle_digest) == (3 << 20, archived.manifest.digest)
    (version,) = await client.versions("dev/risk/fraud")
    assert (version.purged_at, version.purge_log_index) == (archived.purged[0], archived.purged[1])


async def test_a_receipt_for_something_else_is_refused(client, archived, federation):
    def answer_with_the_arrival(answer):
        answer.versions[0].receipt.CopyFrom(federation.dev.log.receipt(archived.log_index))

    federation.dev.lies["PurgeVersions"] = answer_with_the_arrival
    with pytest.raises(errors.LogTamperedError, match=r"version\.purged is wanted"):
        await client.purge("dev", reason="space")

    def answer_with_another_hold(answer):
        subject = {"namespace": "risk", "model": "fraud", "hold": 9}
        index = federation.dev.log.append(EntryType.HOLD_PLACED, subject)
        answer.receipt.CopyFrom(federation.dev.log.receipt(index))

    federation.dev.lies["PlaceHold"] = answer_with_another_hold
    with pytest.raises(errors.LogTamperedError, match="hold"):
        await client.place_hold("dev/risk/fraud", "case")


async def test_versions_of_running_promotions_are_left_alone_and_without_an_answer_nothing_is_purged(
    client, archived, federation
):
    federation.sync.promotions["promotions/p"] = promotions_pb2.Promotion(
        name="promotions/p",
        source="dev",
        target="staging",
        version=NAME,
        state=promotions_pb2.PROMOTION_STATE_AWAITING,
    )
    assert await client.purge("dev", dry_run=True) == ()
    federation.servers["sync"].stop(None).wait()
    with pytest.raises(errors.UnavailableError):
        await client.purge("dev", reason="space")
    assert archived.purged is None


async def test_what_was_purged_is_not_pulled_or_verified_but_resolved(client, archived, federation, tmp_path):
    await client.purge("dev", reason="space")
    resolved = await client.resolve(FRAUD)
    assert resolved.version.purged_at is not None
    for call in (client.pull(FRAUD, tmp_path / "fraud"), client.verify(FRAUD)):
        with pytest.raises(errors.PurgedError, match="was purged at") as caught:
            await call
        assert caught.value.metadata == {
            "subject": NAME,
            "purgeTime": resolved.version.purged_at.isoformat(),
        }
    assert not (tmp_path / "fraud").exists()
    assert "ReadBlob" not in federation.dev.calls


async def test_holds_are_placed_listed_and_released(client, fraud):
    until = datetime(2040, 1, 1, tzinfo=UTC)
    placed = await client.place_hold(FRAUD, "case 7", expires_at=until)
    assert placed.receipt.entry.type == "hold.placed"
    assert (placed.hold.expires_at, str(placed.hold.reference)) == (until, FRAUD)
    assert await client.holds("dev/risk") == (placed.hold,)
    released = await client.release_hold(FRAUD, placed.hold.hold, "closed")
    assert released.receipt.entry.type == "hold.released"
    assert released.hold.released_at is not None
    assert await client.holds("dev") == ()


async def test_what_cannot_be_meant_is_refused_before_anything_is_asked(client, fraud, federation):
    champion = "dev/risk/fraud@champion"
    for call in (
        client.purge(champion, reason="x"),
        client.purge("dev/risk/fraud/1", reason="x"),
        client.purge("dev/Risk", reason="x"),
        client.place_hold(champion, "x"),
        client.place_hold("dev/risk", "x"),
        client.holds(FRAUD),
        client.hygiene("dev", namespace="Risk"),
    ):
        with pytest.raises(errors.ReferenceInvalidError):
            await call
    asked = {"PurgeVersions", "PlaceHold", "ListHolds", "GetHygiene"}
    assert not asked & set(federation.dev.calls)


NOTE = b'{"note": "Jane Doe asked", "salt": "00"}'


async def test_a_document_is_erased_with_a_receipt_and_once(client, fraud, federation):
    log = federation.dev.log
    digest = log.store(NOTE)
    index = log.append(EntryType.ALIAS_REMOVED, {"alias": "challenger"}, envelope_digest=digest)
    assert await client.entry_note("dev", index) == digest
    done = await client.erase_document("dev", digest, "person-request")
    assert (done.environment, done.digest, done.reason_code) == ("dev", digest, "person-request")
    assert (done.erased_before, done.receipt.entry.type) == (False, EntryType.DOCUMENT_ERASED)
    again = await client.erase_document("dev", digest, "another-reason")
    assert (again.erased_before, again.reason_code) == (True, "person-request")
    assert again.receipt.receipt.index == done.receipt.receipt.index


@pytest.mark.parametrize("lie", ["document", "reason", "type"])
async def test_an_erasure_of_something_else_is_refused(client, fraud, federation, lie):
    log = federation.dev.log
    digest = log.store(NOTE)

    def answer_with_another(answer):
        kind = EntryType.ALIAS_REMOVED if lie == "type" else EntryType.DOCUMENT_ERASED
        about = "ab" * 32 if lie == "document" else digest
        index = log.append(kind, {"document": about}, new="other" if lie == "reason" else "person-request")
        answer.receipt.CopyFrom(log.receipt(index))

    federation.dev.lies["EraseDocument"] = answer_with_another
    with pytest.raises(errors.LogTamperedError):
        await client.erase_document("dev", digest, "person-request")


async def test_the_note_of_a_rollout_is_found_in_what_its_entry_rests_on(client, fraud, federation):
    log = federation.dev.log
    plan = log.store(b'{"note_digest":"' + b"cd" * 32 + b'"}')
    index = log.append(EntryType.ROLLOUT_STARTED, {"alias": "champion"}, envelope_digest=plan)
    assert await client.entry_note("dev", index) == "cd" * 32
    bare = log.append(EntryType.ROLLOUT_STARTED, {}, envelope_digest=log.store(b"{}"))
    for without in (bare, log.append(EntryType.ALIAS_REMOVED, {"alias": "x"})):
        with pytest.raises(errors.NotFoundError, match="rests on no note"):
            await client.entry_note("dev", without)

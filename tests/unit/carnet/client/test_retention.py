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

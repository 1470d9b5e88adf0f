"""Purging as a registry does it: what may go and what must stay, what is left of it, and what is refused then."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, select, update
from sqlmodel import SQLModel

from carnet.canonical import canonical_json
from carnet.errors import (
    InvalidInputError,
    KeyUntrustedError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionFailedError,
    PurgedError,
)
from carnet.references import ResourceName
from carnet.stages import Stage
from carnet.translog.entry import EntryType, parse_entry
from carnet.translog.receipt import verify_receipt
from carnet_server.blobs.service import BlobsService
from carnet_server.models.queries import VERSIONS, names_blob
from carnet_server.retention.queries import may_read_blob
from tests.support.registry import (
    CI,
    FRAUD,
    OPERATOR,
    READER,
    SYNC,
    Registry,
    make_policy,
    make_test_result,
    make_version,
)

PURGE = {"keep_last": 1, "archived_for": "90d", "min_age": "365d", "grace": "2d"}
PROMOTION = "ab" * 16


@pytest.fixture
async def registry(tmp_path, storage):
    registry = Registry(tmp_path, storage=storage, policy=make_policy(retention={"purge": PURGE}))
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
    )
    yield service
    service.close()


def named(number, model="fraud", namespace="risk"):
    return ResourceName(namespace, model, version=number)


def alias(name, model="fraud"):
    return ResourceName("risk", model, alias=name)


async def change(registry, statement):
    await registry.writer.commit(lambda tx: tx.connection.execute(statement).rowcount)


async def age(registry, *numbers, arrived=400, staged=100, model="fraud"):
    """Make versions as old as if they had arrived, and been staged, days ago."""
    now = datetime.now(UTC)
    await change(
        registry,
        update(VERSIONS)
        .where(VERSIONS.c.version.in_(numbers), VERSIONS.c.model == model)
        .values(created_at=now - timedelta(days=arrived), staged_at=now - timedelta(days=staged)),
    )


async def archive(registry, *numbers, model="fraud", namespace="risk"):
    for number in numbers:
        await registry.models.set_stage(
            registry.caller(OPERATOR), named(number, model, namespace), Stage.ARCHIVED, "out of use"
        )


async def publish_archived(registry, *numbers, model="fraud"):
    for number in numbers:
        await registry.add_version(number, model=model)
    await archive(registry, *numbers, model=model)
    await age(registry, *numbers, model=model)


async def point(registry, name, number):
    caller = registry.caller(OPERATOR)
    return await registry.aliases.set_alias(
        caller, name, number, expected_revision=None, note="", request_id=""
    )


async def purge(registry, place=FRAUD, *, caller=OPERATOR, dry_run=False, **options):
    asked = {
        "keep_last": None,
        "excluded": (),
        "reason": "no longer needed",
        "page_size": 0,
        "page_token": "",
    }
    return await registry.purge.run(
        registry.caller(caller), place, validate_only=dry_run, **(asked | options)
    )


async def purged(registry, place=FRAUD, **options):
    """The numbers of the versions that went."""
    told, _ = await purge(registry, place, **options)
    return [each.version.version for each in told if each.purged]


async def why(registry, number, **options):
    """Why a version would go, or is kept."""
    ((told,), _) = await purge(registry, named(number), dry_run=True, reason="", **options)
    return told.purged, told.why


async def files_of(registry, number, model="fraud"):
    files = SQLModel.metadata.tables["version_files"]
    asked = select(files.c.digest).where(files.c.version == number, files.c.model == model)
    return await registry.database.read(lambda c: list(c.execute(asked).scalars()))


async def read_blob(registry, blobs, digest):
    return await blobs.read_small(registry.caller(READER), "risk", [digest])


async def test_a_dry_run_names_what_and_why_and_changes_nothing(registry):
    await publish_archived(registry, 1, 2)
    await registry.add_version(3)
    before = await registry.entries()

    told, token = await purge(registry, dry_run=True, reason="")

    assert token == ""
    assert [(each.version.version, each.purged, each.receipt) for each in told] == [
        (1, True, None),
        (2, False, None),
    ]
    assert told[0].why == ("archived 100 days ago, arrived 400 days ago, not among the 1 newest archived")
    assert told[0].freed_bytes == told[0].version.size_bytes
    assert (told[1].why, told[1].freed_bytes) == ("one of the 1 newest archived versions of its model", 0)
    assert await registry.entries() == before
    assert len(await files_of(registry, 1)) == 1


async def test_a_purge_takes_the_files_and_leaves_the_tombstone(registry):
    manifest, contents = make_version(1)
    await registry.give_blobs(manifest, contents)
    await registry.publish(manifest)
    await registry.evidence.add(
        registry.caller(CI), named(1), make_test_result(manifest, registry.evaluator).to_bytes()
    )
    await publish_archived(registry, 2)
    await archive(registry, 1)
    await age(registry, 1)
    before = await registry.models.get_version(named(1))

    (one, two), _ = await purge(registry)

    entry = verify_receipt(one.receipt, registry.state.log_key.verifier)
    assert (entry.type, entry.old, entry.new) == ("version.purged", "archived", "purged")
    assert (entry.subject, entry.actor.subject) == (before.subject, OPERATOR)
    after = await registry.models.get_version(named(1))
    assert (after.stage, after.purged_at, after.purge_log_index) == (
        Stage.ARCHIVED,
        entry.time,
        one.receipt.index,
    )
    assert (after.manifest, after.signature) == (before.manifest, before.signature)
    assert await files_of(registry, 1) == []
    assert (one.purged, two.purged, two.receipt) == (True, False, None)
    evidence, _ = await registry.evidence.list_page(
        named(1), before.bundle_digest, page_size=0, page_token=""
    )
    assert len(evidence) == 2
    document = json.loads(await registry.log.document(entry.envelope_digest))
    assert canonical_json(document) == await registry.log.document(entry.envelope_digest)
    assert document["note"] == "no longer needed"
    assert document["rule"] == {
        "keep_last": 1,
        "archived_for_seconds": 90 * 86400,
        "min_age_seconds": 365 * 86400,
        "grace_seconds": 2 * 86400,
    }
    assert (document["file_count"], document["blob_count"]) == (1, 1)
    assert document["freed_bytes"] == document["size_bytes"] == before.size_bytes == one.freed_bytes
    listed, _ = await registry.models.list_versions(FRAUD, page_size=0, page_token="")
    assert [each.purged for each in listed] == [False, True]


async def test_a_second_purge_finds_nothing_and_one_by_name_answers_as_the_first(registry):
    await publish_archived(registry, 1, 2)
    ((first, _), _) = await purge(registry)
    told, _ = await purge(registry)
    assert [each.version.version for each in told] == [2]
    ((again,), _) = await purge(registry, named(1))
    assert (again.purged, again.receipt.index) == (True, first.receipt.index)
    assert (await registry.entries()).count("version.purged") == 1


async def test_bytes_go_after_the_grace_of_the_policy_and_not_by_the_age_of_the_upload(registry, blobs):
    await publish_archived(registry, 1, 2)
    (digest,) = await files_of(registry, 1)
    await purge(registry)
    now = datetime.now(UTC)
    for days in (0, 1.9):
        collected = await blobs.collect(now + timedelta(days=days))
        assert (collected.possessions, collected.blobs) == (0, 0)
    assert registry.store.find(digest) is not None
    collected = await blobs.collect(now + timedelta(days=2.1))
    assert (collected.possessions, collected.blobs) == (1, 1)
    assert registry.store.find(digest) is None


async def test_a_blob_that_another_version_names_is_no_purges_business(registry, blobs):
    one, contents = make_version(1)
    await registry.give_blobs(one, contents)
    await registry.publish(one)
    two, more = make_version(2, description="the same file", metrics=())
    shared = two.model_copy(update={"files": one.files})
    await registry.give_blobs(shared, contents)
    await registry.publish(shared)
    await publish_archived(registry, 3)
    await archive(registry, 1)
    await age(registry, 1)
    del more

    ((told, *_), _) = await purge(registry)

    assert (told.purged, told.freed_bytes) == (True, 0)
    assert (await blobs.collect(datetime.now(UTC) + timedelta(days=9))).blobs == 0
    assert await read_blob(registry, blobs, one.files[0].digest) == list(contents.items())


async def test_what_needs_the_files_is_refused_and_told_when_they_went(registry, blobs):
    await publish_archived(registry, 1, 2)
    manifest, _ = make_version(1)
    await point(registry, alias("champion"), 1)
    await point(registry, alias("champion"), 2)
    await registry.add_version(3)
    await point(registry, alias("champion"), 3)
    await age(registry, 1, 2)
    (digest,) = await files_of(registry, 1)
    assert await purged(registry) == [1]
    version = await registry.models.get_version(named(1))
    sync, operator = registry.caller(SYNC), registry.caller(OPERATOR)
    before = await registry.entries()

    for attempt in (
        lambda: read_blob(registry, blobs, digest),
        lambda: point(registry, alias("shadow"), 1),
        lambda: registry.aliases.roll_back(
            operator, alias("champion"), version=1, reason_code="drift", note="", request_id=""
        ),
        lambda: registry.models.set_stage(operator, named(1), Stage.REGISTERED, "back"),
        lambda: registry.release.create_release(sync, named(1), promotion=PROMOTION, target="staging"),
        lambda: registry.release.create_read_capability(
            sync, named(1), promotion=PROMOTION, target="staging", digests=[digest]
        ),
        lambda: registry.publish(manifest),
        lambda: registry.publish(manifest, validate_only=True),
        lambda: registry.holds.place(operator, named(1), reason="x", expires_at=None, request_id=""),
    ):
        with pytest.raises(PurgedError, match="was purged at") as caught:
            await attempt()
        assert caught.value.metadata["purgeTime"] == version.purged_at.isoformat()
    assert await registry.entries() == before
    assert await registry.count("releases") == 0
    state = await registry.aliases.get_state(alias("champion"), warm=5)
    assert [number for number, _ in state.warm] == [3, 2]
    resolution = await registry.models.resolve(named(1))
    assert resolution.version.purged
    with pytest.raises(NotFoundError):
        await read_blob(registry, blobs, "f" * 64)


async def test_a_rollback_passes_over_what_was_purged(registry):
    await publish_archived(registry, 1, 2, 3)
    for number in (3, 1, 2):
        await point(registry, alias("champion"), number)
    await age(registry, 1, 3)
    await change(
        registry, update(VERSIONS).where(VERSIONS.c.version == 1).values(purged_at=datetime.now(UTC))
    )
    moved = await registry.aliases.roll_back(
        registry.caller(OPERATOR), alias("champion"), version=0, reason_code="drift", note="", request_id=""
    )
    assert moved.alias.version == 3
    assert "was purged" in moved.check.passed_over[0][1]


@pytest.mark.parametrize("semantic_version", ["", "1.0.0"])
async def test_the_same_content_is_published_again_under_a_new_number(registry, blobs, semantic_version):
    manifest, contents = make_version(1, semantic_version=semantic_version)
    await registry.give_blobs(manifest, contents)
    await registry.publish(manifest)
    await archive(registry, 1)
    later = "1.1.0" if semantic_version else ""
    other, more = make_version(2, semantic_version=later)
    await registry.give_blobs(other, more)
    await registry.publish(other)
    await archive(registry, 2)
    await age(registry, 1, 2)
    assert await purged(registry) == [1]
    await blobs.collect(datetime.now(UTC) + timedelta(days=9))

    proposal = await registry.models.propose_version(FRAUD, manifest.content_digest)
    assert (proposal.version, proposal.published) == (3, False)
    again = manifest.with_version(3)
    assert again.content_digest == manifest.content_digest
    await registry.give_blobs(again, contents)
    published = await registry.publish(again)
    assert (published.version.version, published.already_published) == (3, False)
    proposal = await registry.models.propose_version(FRAUD, manifest.content_digest)
    assert (proposal.version, proposal.published) == (3, True)
    assert await read_blob(registry, blobs, manifest.files[0].digest) == list(contents.items())
    await archive(registry, 3)
    await registry.add_version(4)
    await archive(registry, 4)
    await age(registry, 3, 4)
    assert await purged(registry) == [2, 3]


async def test_revoked_content_stays_barred_after_its_purge(registry):
    manifest = await registry.add_version(1)
    await registry.models.revoke(registry.caller(OPERATOR), named(1), "leaked data")
    await age(registry, 1)
    assert await purged(registry) == [1]
    with pytest.raises(PreconditionFailedError, match="is revoked"):
        await registry.models.propose_version(FRAUD, manifest.content_digest)


async def test_what_is_live_is_refused_by_name_and_nothing_changes(registry):
    await publish_archived(registry, 1, 2)
    await point(registry, alias("shadow"), 1)
    before = await registry.entries()
    with pytest.raises(
        PreconditionFailedError, match="version 1 of risk/fraud is not purged: deployed"
    ) as caught:
        await purge(registry, named(1))
    assert caught.value.metadata == {"field": "parent", "subject": str(named(1))}
    assert await registry.entries() == before
    assert len(await files_of(registry, 1)) == 1


async def test_a_revoked_version_that_an_alias_points_at_is_kept(registry):
    await publish_archived(registry, 1, 2)
    await point(registry, alias("shadow"), 1)
    await registry.models.revoke(registry.caller(OPERATOR), named(1), "leak")
    await age(registry, 1)
    assert await why(registry, 1) == (False, "the alias shadow points at it")


async def test_what_a_rollback_would_lead_to_is_kept(registry):
    await publish_archived(registry, 1, 2, 3, 4)
    for number in (4, 1, 2, 3):
        await point(registry, alias("champion"), number)
    await age(registry, 1, 2, 4)
    assert await why(registry, 2) == (False, "a rollback of the alias champion leads to it")
    assert (await why(registry, 1))[0]
    await registry.models.revoke(registry.caller(OPERATOR), named(2), "leak")
    await age(registry, 2)
    assert await why(registry, 1) == (False, "a rollback of the alias champion leads to it")


async def test_what_hosts_run_is_kept(registry):
    await publish_archived(registry, 1, 2, 3)
    digest = (await registry.models.get_version(named(1))).bundle_digest
    await point(registry, alias("champion"), 1)
    await registry.aliases.report_serving(
        registry.caller(READER), alias("champion"), instance="host-a", bundle_digest=digest, revision=1
    )
    for number in (2, 3):
        await point(registry, alias("champion"), number)
    await age(registry, 1)
    assert await why(registry, 1) == (False, "serving hosts of the alias champion say that they run it")


async def test_what_is_held_is_kept_until_the_hold_ends(registry):
    await publish_archived(registry, 1, 2, 3)
    operator = registry.caller(OPERATOR)

    async def hold(name, **options):
        placed = await registry.holds.place(
            operator, name, reason="case 7", **({"expires_at": None, "request_id": ""} | options)
        )
        return placed.hold.hold

    first, second = await hold(named(1)), await hold(FRAUD)
    assert await why(registry, 1) == (False, "hold 2 is on its model; hold 1 is on it")
    assert await why(registry, 2) == (False, "hold 2 is on its model")
    await registry.holds.release(operator, FRAUD, second, "closed")
    assert (await why(registry, 2))[0]
    await registry.holds.release(operator, named(1), first, "closed")
    assert (await why(registry, 1))[0]
    third = await hold(named(1), expires_at=datetime.now(UTC) + timedelta(days=1))
    assert await why(registry, 1) == (False, f"hold {third} is on it")
    holds = SQLModel.metadata.tables["holds"]
    await change(registry, update(holds).values(expires_at=datetime.now(UTC)))
    assert (await why(registry, 1))[0]


async def test_what_promotions_may_still_need_is_kept(registry):
    registry.follows_log = False
    await publish_archived(registry, 1, 2, 3)
    released = {"promotion": PROMOTION, "target": "staging"}
    await registry.release.create_release(registry.caller(SYNC), named(1), **released)
    await registry.release.create_release(registry.caller(SYNC), named(1), **released)
    assert await why(registry, 1) == (
        False,
        f"promotion {PROMOTION} of it to staging is not known to have ended",
    )
    releases = SQLModel.metadata.tables["releases"]
    month_ago = datetime.now(UTC) - timedelta(days=31)
    await change(registry, update(releases).values(released_at=month_ago))
    assert (await why(registry, 1))[0]
    (digest,) = await files_of(registry, 1)
    await registry.release.create_read_capability(
        registry.caller(SYNC), named(1), digests=[digest], **released
    )
    assert not (await why(registry, 1))[0]
    version = await registry.models.get_version(named(1))
    record = {
        "namespace": "risk",
        "model": "fraud",
        "version": 1,
        "bundle_digest": version.bundle_digest,
        "decision_digest": "d" * 64,
        "target_receipt": "",
        "created_at": version.created_at,
        "log_index": 0,
    }
    await change(registry, insert(SQLModel.metadata.tables["promotion_records"]).values(record | released))
    assert (await why(registry, 1))[0]


async def test_what_a_promotion_into_here_is_about_is_kept(registry):
    registry.follows_log = False
    await publish_archived(registry, 1, 2)
    admissions = SQLModel.metadata.tables["admissions"]
    version = await registry.models.get_version(named(1))
    row = {column.name: "" for column in admissions.c} | {
        "promotion": "p",
        "by_rollout": False,
        "state": "AWAITING",
        "namespace": "risk",
        "model": "fraud",
        "version": 1,
        "bundle_digest": version.bundle_digest,
        "epoch": 1,
        "request": b"",
        "manifest": b"",
        "signature": b"",
        "request_log_index": 1,
        "log_index": None,
        "decision": None,
        "dossier": None,
        "dossier_expires_at": None,
        "created_at": version.created_at,
        "updated_at": version.created_at,
    }
    await change(registry, insert(admissions).values(row))
    assert await why(registry, 1) == (False, "promotion p of it into this environment has not ended")
    await change(registry, update(admissions).values(state="ADMITTED"))
    assert (await why(registry, 1))[0]


async def test_what_is_young_recent_or_among_the_newest_is_kept(registry):
    await publish_archived(registry, 1, 2, 3)
    assert await purged(registry, dry_run=True, keep_last=2) == [1]
    assert await why(registry, 1, excluded=[str(named(1))]) == (False, "it was asked to be left alone")
    await age(registry, 1, arrived=100, staged=10)
    assert await why(registry, 1, keep_last=3) == (
        False,
        (
            "arrived 100 days ago, and is kept for 365 days; archived 10 days ago, and is kept for 90 days; "
            "one of the 3 newest archived versions of its model"
        ),
    )
    await registry.models.revoke(registry.caller(OPERATOR), named(3), "leak")
    await age(registry, 3)
    assert await purged(registry, dry_run=True) == [3]


async def test_every_model_keeps_its_own_newest_in_all_namespaces_page_by_page(registry):
    await publish_archived(registry, 1, 2, 3)
    await publish_archived(registry, 1, 2, model="churn")
    await registry.add_version(1, namespace="sales")
    await archive(registry, 1, namespace="sales")
    seen, token, calls = [], "", 0
    while calls == 0 or token:
        told, token = await purge(registry, None, page_size=2, page_token=token)
        seen += [(each.version.name.split("/", 1)[1], each.purged) for each in told]
        calls += 1
    assert calls == 3
    assert seen == [
        ("risk/models/churn/versions/1", True),
        ("risk/models/churn/versions/2", False),
        ("risk/models/fraud/versions/1", True),
        ("risk/models/fraud/versions/2", True),
        ("risk/models/fraud/versions/3", False),
        ("sales/models/fraud/versions/1", False),
    ]
    assert await purge(registry, ResourceName("sales")) != ([], "")
    assert await purge(registry, None, caller=CI) == ([], "")


async def test_what_came_into_use_between_the_look_and_the_act_is_left_alone(registry, monkeypatch):
    await publish_archived(registry, 1, 2, 3)
    inner = registry.writer.commit

    async def commit(write):
        monkeypatch.setattr(registry.purge._writer, "commit", inner)
        await point(registry, alias("champion"), 1)
        return await inner(write)

    monkeypatch.setattr(registry.purge._writer, "commit", commit)
    (one, two, three), _ = await purge(registry)
    assert (one.purged, two.purged, three.purged) == (False, True, False)
    assert one.why.startswith("deployed")
    assert len(await files_of(registry, 1)) == 1


async def test_bad_questions_are_refused(registry):
    await publish_archived(registry, 1)
    for options, field in (
        ({"reason": " "}, "reason"),
        ({"keep_last": 0}, "keep_last"),
        ({"keep_last": 10_001}, "keep_last"),
        ({"excluded": ["fraud@1"]}, "excluded"),
        ({"page_size": -1}, "page_size"),
        ({"page_token": "x"}, "page_token"),
    ):
        with pytest.raises(InvalidInputError) as caught:
            await purge(registry, **options)
        assert caught.value.metadata["field"] == field
    for place in (named(9), ResourceName("risk", "none")):
        with pytest.raises(NotFoundError):
            await purge(registry, place)
    with pytest.raises(PermissionDeniedError):
        await purge(registry, caller=CI)
    assert "version.purged" not in await registry.entries()


@pytest.mark.parametrize("retention", [{}, {"archive": {"older_than": "90d"}}])
async def test_without_terms_in_the_policy_nothing_is_purged_and_that_is_said(registry, retention):
    await publish_archived(registry, 1, 2)
    registry.set_policy(**({"retention": retention} if retention else {}))
    for dry_run in (True, False):
        with pytest.raises(PreconditionFailedError, match="it has no `retention.purge`") as caught:
            await purge(registry, dry_run=dry_run)
        assert caught.value.metadata["field"] == "retention.purge"


async def test_purging_keeps_the_newest_and_never_touches_production_or_staging(registry):
    await publish_archived(registry, 1, 2, 3, 4, 5, 6)
    await point(registry, alias("production"), 1)
    await point(registry, alias("staging"), 2)

    assert await purged(registry, keep_last=2) == [3, 4]

    assert [bool(await files_of(registry, number)) for number in range(1, 7)] == [
        True,
        True,
        False,
        False,
        True,
        True,
    ]


async def test_the_entries_of_a_purge_say_what_they_are_about(registry):
    await publish_archived(registry, 1, 2)
    await purge(registry)
    rows = await registry.log.entries(0, 1000)
    (entry,) = [
        parsed
        for parsed in (parse_entry(data) for _, data, _ in rows)
        if parsed.type is EntryType.VERSION_PURGED
    ]
    assert "needed" not in entry.to_bytes().decode()


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"promotion": "short"}, InvalidInputError),
        ({"target": "prod"}, KeyUntrustedError),
        ({"digests": ["f" * 64]}, PermissionDeniedError),
    ],
)
async def test_what_is_not_released_is_not_on_its_way(registry, asked, error):
    manifest = await registry.add_version(1)
    good = {"promotion": PROMOTION, "target": "staging", "digests": [manifest.files[0].digest]}
    sync = registry.caller(SYNC)
    with pytest.raises(error):
        await registry.release.create_read_capability(sync, named(1), **(good | asked))
    if "digests" not in asked:
        released = {key: value for key, value in (good | asked).items() if key != "digests"}
        with pytest.raises(error):
            await registry.release.create_release(sync, named(1), **released)
    assert await registry.count("releases") == 0

"""Stages as a registry keeps them: by hand, with the aliases, by age; each move one entry, or nothing."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, select, update
from sqlmodel import SQLModel

from carnet.bundle.manifest import parse_manifest
from carnet.errors import (
    ConflictError,
    IllegalTransitionError,
    InvalidInputError,
    NotFoundError,
    PermissionDeniedError,
)
from carnet.references import ResourceName
from carnet.stages import Stage
from carnet.translog.entry import EntryType, parse_entry
from carnet.translog.receipt import verify_receipt
from carnet_server.models.archival_rules import ArchivalRule
from carnet_server.models.queries import VERSIONS
from tests.support.registry import CI, EVALUATOR, FRAUD, OPERATOR, Registry, make_test_result

ANY_AGE = ArchivalRule(timedelta(0), timedelta(0))
QUARTER = ArchivalRule(timedelta(days=90), timedelta(days=30))
CHAMPION = ResourceName("risk", "fraud", alias="champion")
SHADOW = ResourceName("risk", "fraud", alias="shadow")


@pytest.fixture
async def registry(tmp_path, storage):
    registry = Registry(tmp_path, storage=storage)
    await registry.start()
    for number in (1, 2, 3):
        await registry.add_version(number)
    yield registry
    registry.stop()


def named(number):
    return ResourceName("risk", "fraud", version=number)


async def stage_of(registry, number):
    return str((await registry.models.get_version(named(number))).stage)


async def set_stage(registry, number, stage, *, expected=None, reason="looked at"):
    return await registry.models.set_stage(
        registry.caller(OPERATOR), named(number), Stage(stage), reason, expected=expected and Stage(expected)
    )


async def point(registry, alias, number):
    caller = registry.caller(OPERATOR)
    if not number:
        return await registry.aliases.delete_alias(
            caller, alias, expected_revision=None, note="", request_id=""
        )
    return await registry.aliases.set_alias(
        caller, alias, number, expected_revision=None, note="", request_id=""
    )


async def changes(registry):
    """What the log tells of stages: (version, old, new)."""
    log = SQLModel.metadata.tables["log_entries"]
    kept = select(log.c.entry).order_by(log.c.index)
    entries = await registry.database.read(
        lambda connection: [parse_entry(data) for data in connection.execute(kept).scalars()]
    )
    return [
        (entry.subject["version"], entry.old, entry.new)
        for entry in entries
        if entry.type is EntryType.VERSION_STAGE_CHANGED
    ]


async def archive(registry, rule=ANY_AGE, *, caller=OPERATOR, namespace="risk", **options):
    asked = {"excluded": (), "reason": "old", "validate_only": False, "page_size": 0, "page_token": ""}
    return await registry.models.archival.run(registry.caller(caller), namespace, rule, **(asked | options))


async def age(registry, number, days, *, column="created_at"):
    """Make a version as old as if it had arrived, or been staged, days ago."""
    at = datetime.now(UTC) - timedelta(days=days)

    def write(tx):
        tx.connection.execute(update(VERSIONS).where(VERSIONS.c.version == number).values({column: at}))
        # What its publication left is as old as it is.
        evidence = SQLModel.metadata.tables["evidence"]
        tx.connection.execute(update(evidence).where(evidence.c.version == number).values(created_at=at))

    await registry.writer.commit(write)


async def test_a_version_is_moved_by_hand_with_an_entry_a_receipt_and_a_time(registry):
    before = await registry.models.get_version(named(1))
    assert (before.stage, before.stage_log_index, before.staged_at) == (
        Stage.REGISTERED,
        before.log_index,
        before.created_at,
    )
    staged = await set_stage(registry, 1, "candidate", expected="registered")
    entry = verify_receipt(staged.receipt, registry.state.log_key.verifier)
    assert (entry.type, entry.old, entry.new) == ("version.stage-changed", "registered", "candidate")
    assert entry.subject == before.subject
    assert entry.envelope_digest is not None
    after = await registry.models.get_version(named(1))
    assert (after.stage, after.stage_log_index) == (Stage.CANDIDATE, staged.receipt.index)
    assert after.staged_at == entry.time


async def test_a_repeated_move_leaves_no_second_entry_and_answers_with_the_first(registry):
    first = await set_stage(registry, 1, "approved")
    again = await set_stage(registry, 1, "approved")
    assert again.receipt.index == first.receipt.index
    assert await changes(registry) == [(1, "registered", "approved")]
    untouched = await set_stage(registry, 2, "registered")
    assert verify_receipt(untouched.receipt, registry.state.log_key.verifier).type == "version.published"


async def test_a_move_compares_and_sets(registry):
    await set_stage(registry, 1, "candidate")
    with pytest.raises(ConflictError, match="is candidate, and registered was expected") as caught:
        await set_stage(registry, 1, "archived", expected="registered")
    assert caught.value.metadata["stage"] == "candidate"
    outcomes = await asyncio.gather(
        *(set_stage(registry, 2, stage, expected="registered") for stage in ("candidate", "approved")),
        return_exceptions=True,
    )
    assert sorted(type(each).__name__ for each in outcomes) == ["ConflictError", "Staging"]
    assert len(await changes(registry)) == 2


async def test_what_is_refused_changes_nothing(registry):
    await point(registry, CHAMPION, 2)
    await set_stage(registry, 3, "archived")
    before = await changes(registry)
    for number, stage, error, message in (
        (1, "deployed", IllegalTransitionError, "candidate, approved, archived"),
        (1, "revoked", IllegalTransitionError, "carnet revoke"),
        (2, "archived", IllegalTransitionError, "once the last one is moved or removed"),
        (3, "approved", IllegalTransitionError, "it can become registered"),
        (9, "archived", NotFoundError, "no version 9"),
    ):
        with pytest.raises(error, match=message):
            await set_stage(registry, number, stage)
    for reason in ("", " ", "x" * 2001):
        with pytest.raises(InvalidInputError, match="reason"):
            await set_stage(registry, 1, "archived", reason=reason)
    assert await changes(registry) == before


async def test_the_deployed_one_follows_the_aliases_and_the_one_it_replaces_is_archived_whole(registry):
    await point(registry, CHAMPION, 1)
    assert [await stage_of(registry, number) for number in (1, 2)] == ["deployed", "registered"]
    await point(registry, CHAMPION, 2)
    assert [await stage_of(registry, number) for number in (1, 2)] == ["archived", "deployed"]
    await registry.aliases.roll_back(
        registry.caller(OPERATOR), CHAMPION, version=0, reason_code="drift", note="", request_id=""
    )
    assert [await stage_of(registry, number) for number in (1, 2)] == ["deployed", "archived"]
    await point(registry, CHAMPION, 0)
    assert [await stage_of(registry, number) for number in (1, 2)] == ["archived", "archived"]
    assert await changes(registry) == [
        (1, "registered", "deployed"),
        (1, "deployed", "archived"),
        (2, "registered", "deployed"),
        (2, "deployed", "archived"),
        (1, "archived", "deployed"),
        (1, "deployed", "archived"),
    ]


async def test_a_version_stays_deployed_until_its_last_alias_leaves(registry):
    await point(registry, CHAMPION, 1)
    await point(registry, SHADOW, 1)
    await point(registry, CHAMPION, 2)
    assert await stage_of(registry, 1) == "deployed"
    await point(registry, SHADOW, 2)
    assert await stage_of(registry, 1) == "archived"
    await point(registry, SHADOW, 2)
    assert len(await changes(registry)) == 3


async def test_a_revoked_version_stays_revoked_wherever_aliases_go(registry):
    await point(registry, CHAMPION, 1)
    revoked = await registry.models.revoke(registry.caller(OPERATOR), named(1), "leak")
    entry = verify_receipt(revoked.receipt, registry.state.log_key.verifier)
    assert (entry.type, entry.old, entry.new) == ("version.revoked", "deployed", "revoked")
    await point(registry, CHAMPION, 2)
    version = await registry.models.get_version(named(1))
    assert (version.stage, version.revoked_log_index, version.stage_log_index) == (
        Stage.REVOKED,
        revoked.receipt.index,
        revoked.receipt.index,
    )
    with pytest.raises(IllegalTransitionError, match="withdrawn for good"):
        await set_stage(registry, 1, "registered")


async def test_a_move_of_an_alias_that_is_refused_leaves_the_stages(registry):
    await point(registry, CHAMPION, 1)
    with pytest.raises(ConflictError):
        await registry.aliases.set_alias(
            registry.caller(OPERATOR), CHAMPION, 2, expected_revision=7, note="", request_id=""
        )
    assert [await stage_of(registry, number) for number in (1, 2)] == ["deployed", "registered"]


async def test_versions_are_listed_by_stage_page_by_page(registry):
    for number in (1, 3):
        await set_stage(registry, number, "archived")

    async def listed(stage, token=""):
        page, token = await registry.models.list_versions(FRAUD, page_size=1, page_token=token, stage=stage)
        return [version.version for version in page], token

    first, token = await listed(Stage.ARCHIVED)
    assert (first, await listed(Stage.ARCHIVED, token)) == ([3], ([1], ""))
    assert await listed(Stage.DEPLOYED) == ([], "")
    with pytest.raises(InvalidInputError):
        await listed(Stage.REGISTERED, token)
    with pytest.raises(NotFoundError):
        await registry.models.list_versions(
            ResourceName("risk", "none"), page_size=0, page_token="", stage=Stage.ARCHIVED
        )


async def test_archival_names_what_and_why_and_a_dry_run_changes_nothing(registry):
    await age(registry, 1, 200)
    await age(registry, 1, 120, column="staged_at")
    await age(registry, 2, 200)
    await set_stage(registry, 2, "candidate")
    told, _ = await archive(registry, QUARTER, validate_only=True, reason="")
    (only,) = told
    assert (only.version.version, only.receipt, str(only.version.stage)) == (1, None, "registered")
    assert (
        only.why == "registered, no alias; arrived 200 days ago, last used 120 days ago (became registered)"
    )
    assert await changes(registry) == [(2, "registered", "candidate")]
    done, token = await archive(registry, QUARTER)
    assert ([each.version.version for each in done], token) == ([1], "")
    assert verify_receipt(done[0].receipt, registry.state.log_key.verifier).new == "archived"
    assert await stage_of(registry, 1) == "archived"
    assert await archive(registry, QUARTER) == ([], "")


async def test_evidence_and_an_admission_elsewhere_are_uses(registry):
    registry.follows_log = False
    for number in (1, 2, 3):
        await age(registry, number, 200)
        await age(registry, number, 200, column="staged_at")
    version = await registry.models.get_version(named(3))

    def write(tx):
        tx.connection.execute(
            insert(SQLModel.metadata.tables["promotion_records"]).values(
                promotion="p",
                target="staging",
                namespace="risk",
                model="fraud",
                version=3,
                bundle_digest=version.bundle_digest,
                decision_digest="d" * 64,
                target_receipt="",
                created_at=tx.now,
                log_index=0,
            )
        )

    await registry.writer.commit(write)
    manifest = parse_manifest((await registry.models.get_version(named(2))).manifest)
    envelope = make_test_result(manifest, registry.evaluator)
    await registry.evidence.add(registry.caller(EVALUATOR), named(2), envelope.to_bytes())
    told, _ = await archive(registry, QUARTER, validate_only=True)
    assert [each.version.version for each in told] == [1]
    anyway, _ = await archive(registry, ArchivalRule(timedelta(days=90), timedelta(0)), validate_only=True)
    assert ["evidence arrived" in each.why for each in anyway] == [False, True, False]
    assert "was admitted elsewhere" in anyway[2].why


async def test_archival_leaves_what_is_live_held_excluded_or_archived(registry):
    registry.follows_log = False
    await registry.add_version(4)
    await registry.add_version(5)
    await point(registry, CHAMPION, 1)
    await set_stage(registry, 2, "archived")
    admissions = SQLModel.metadata.tables["admissions"]
    version = await registry.models.get_version(named(3))
    row = {column.name: "" for column in admissions.c} | {
        "promotion": "p",
        "by_rollout": False,
        "state": "AWAITING",
        "namespace": "risk",
        "model": "fraud",
        "version": 3,
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
    await registry.writer.commit(lambda tx: tx.connection.execute(insert(admissions).values(row)).rowcount)
    told, _ = await archive(registry, excluded=[str(named(5))], validate_only=True)
    assert [each.version.version for each in told] == [4]
    ended = update(admissions).values(state="CANCELLED")
    await registry.writer.commit(lambda tx: tx.connection.execute(ended).rowcount)
    done, _ = await archive(registry, excluded=[str(named(5))])
    assert [each.version.version for each in done] == [3, 4]


async def test_archival_goes_on_page_by_page(registry):
    seen, token = [], ""
    for _ in range(3):
        page, token = await archive(registry, page_size=1, page_token=token)
        seen += [each.version.version for each in page]
    assert (seen, token) == ([1, 2, 3], "")


async def test_what_came_into_use_between_the_look_and_the_act_is_left_alone(registry, monkeypatch):
    inner = registry.writer.commit

    async def commit(change):
        monkeypatch.setattr(registry.models.archival._writer, "commit", inner)
        await point(registry, CHAMPION, 1)
        return await inner(change)

    monkeypatch.setattr(registry.models.archival._writer, "commit", commit)
    done, _ = await archive(registry)
    assert [each.version.version for each in done] == [2, 3]
    assert await stage_of(registry, 1) == "deployed"


async def test_bad_questions_about_archival_are_refused(registry):
    for options in (
        {"reason": ""},
        {"excluded": ["fraud@1"]},
        {"excluded": [str(named(1))] * 10_001},
        {"page_size": -1},
        {"page_token": "x"},
    ):
        with pytest.raises(InvalidInputError):
            await archive(registry, **options)
    for times in ((timedelta(days=-1), timedelta(0)), (timedelta(0), timedelta(days=36501))):
        with pytest.raises(InvalidInputError, match="is not a time"):
            ArchivalRule(*times)
    with pytest.raises(PermissionDeniedError):
        await archive(registry, caller=CI)
    assert await archive(registry, caller=CI, namespace="") == ([], "")
    assert await changes(registry) == []

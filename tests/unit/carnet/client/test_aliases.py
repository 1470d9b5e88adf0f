"""Moving, reading and following aliases."""

from __future__ import annotations

import contextlib

import pytest

from carnet import errors

CHAMPION = "dev/risk/fraud@champion"


@pytest.fixture
def two_versions(federation, fraud, tmp_path):
    return federation.publish(tmp_path, seed=2, version=2)


async def test_a_move_comes_back_with_its_receipt(client, fraud):
    change = await client.set_alias(CHAMPION, 1, expected_revision=0, note="first")
    assert (change.alias.version, change.alias.revision) == (1, 1)
    assert change.receipt.entry.new == "1"
    assert (await client.alias(CHAMPION)).bundle_digest == fraud.digest
    assert [each.revision for each in await client.aliases("dev/risk/fraud")] == [1]


async def test_a_move_over_another_is_a_conflict(client, two_versions):
    await client.set_alias(CHAMPION, 1)
    with pytest.raises(errors.ConflictError):
        await client.set_alias(CHAMPION, 2, expected_revision=0)
    assert (await client.alias(CHAMPION)).version == 1


async def test_a_rollback_says_what_was_left(client, two_versions):
    await client.set_alias(CHAMPION, 1)
    await client.set_alias(CHAMPION, 2)
    change = await client.rollback(CHAMPION, "metric-degradation", note="recall fell")
    assert (change.alias.version, change.rolled_back_version) == (1, 2)
    newest = (await client.alias_history(CHAMPION))[0]
    assert (newest.kind, newest.reason_code, newest.note) == (
        "rolled_back",
        "metric-degradation",
        "recall fell",
    )
    assert len(await client.alias_history(CHAMPION, limit=2)) == 2


async def test_a_removal_comes_back_with_its_receipt(client, fraud):
    await client.set_alias(CHAMPION, 1)
    receipt = await client.delete_alias(CHAMPION)
    assert str(receipt.entry.type) == "alias.removed"


@pytest.mark.parametrize("method", ["SetAlias", "RollbackAlias", "DeleteAlias"])
async def test_a_change_with_the_receipt_of_another_is_refused(federation, client, two_versions, method):
    await client.set_alias(CHAMPION, 1)
    await client.set_alias(CHAMPION, 2)

    def another_receipt(answer):
        answer.receipt.CopyFrom(federation.dev.log.receipt(0))

    federation.dev.lies[method] = another_receipt
    calls = {
        "SetAlias": lambda: client.set_alias(CHAMPION, 1),
        "RollbackAlias": lambda: client.rollback(CHAMPION, "test"),
        "DeleteAlias": lambda: client.delete_alias(CHAMPION),
    }
    with pytest.raises(errors.LogTamperedError, match=r"policy\.changed"):
        await calls[method]()


async def test_watching_outlives_a_registry_that_goes_away(federation, client, two_versions):
    await client.set_alias(CHAMPION, 1)
    federation.dev.watches_to_break = 2
    seen = []
    async with contextlib.aclosing(client.watch_alias(CHAMPION)) as states:
        async for state in states:
            seen.append((state.revision, state.version))
            if len(seen) == 2:
                break
            await client.set_alias(CHAMPION, 2)
    assert seen == [(1, 1), (2, 2)]


@pytest.mark.parametrize("reference", ["dev/risk/fraud@1", "dev/risk/fraud"])
async def test_what_is_no_alias_is_refused(client, reference):
    with pytest.raises(errors.ReferenceInvalidError):
        await client.set_alias(reference, 1)


async def test_version_numbers_start_at_one(client, fraud):
    with pytest.raises(errors.ReferenceInvalidError):
        await client.set_alias(CHAMPION, 0)


async def test_a_drill_comes_back_with_both_receipts(client, two_versions):
    await client.set_alias(CHAMPION, 1)
    await client.set_alias(CHAMPION, 2)
    drill = await client.drill_rollback(CHAMPION, note="monthly")
    assert (drill.drilled_version, drill.alias.version, drill.alias.revision) == (1, 2, 4)
    assert (drill.back.entry.new, drill.forward.entry.new) == ("1", "2")
    assert (drill.check.blob_count, drill.check.smoke_test) == (2, "PASSED")
    assert [each.kind for each in await client.alias_history(CHAMPION, limit=2)] == ["drilled", "drilled"]


@pytest.mark.parametrize("receipt", ["back_receipt", "forward_receipt"])
async def test_a_drill_with_the_receipt_of_another_move_is_refused(federation, client, two_versions, receipt):
    await client.set_alias(CHAMPION, 1)
    await client.set_alias(CHAMPION, 2)
    federation.dev.lies["DrillAlias"] = lambda answer: getattr(answer, receipt).CopyFrom(
        federation.dev.log.receipt(0)
    )
    with pytest.raises(errors.LogTamperedError):
        await client.drill_rollback(CHAMPION)


async def test_what_a_host_reports_is_seen_in_the_alias(client, fraud):
    change = await client.set_alias(CHAMPION, 1)
    said = await client.report_serving(CHAMPION, instance="a", bundle_digest=fraud.digest, revision=1)
    assert (said.drifted, said.ttl_seconds) == (False, 120)
    seen = await client.wait_until_served(CHAMPION, change.alias.revision, timeout=0)
    assert (seen.serving.instance_count, seen.serving.current_count) == (1, 1)
    assert seen.serving.revisions[0].bundle_digest == fraud.digest


async def test_waiting_ends_at_the_timeout_and_says_who_lags(client, two_versions, fraud):
    await client.set_alias(CHAMPION, 1)
    await client.set_alias(CHAMPION, 2)
    await client.report_serving(CHAMPION, instance="slow", bundle_digest=fraud.digest, revision=1)
    seen = await client.wait_until_served(CHAMPION, 2, timeout=0.01)
    assert (seen.serving.current_count, seen.serving.lagging) == (0, ("slow",))
    with pytest.raises(errors.ConflictError, match="was moved on"):
        await client.wait_until_served(CHAMPION, 1, timeout=0.01)


async def test_the_warm_set_and_stale_aliases_are_read(client, fraud):
    await client.set_alias(CHAMPION, 1)
    assert [each.version for each in await client.warm_versions(CHAMPION, 1)] == [1]
    (stale,) = await client.stale_aliases("dev", days=7)
    assert (str(stale.alias.reference), stale.reasons, stale.resolve_count) == (CHAMPION, ("unresolved",), 7)


async def test_a_report_of_no_digest_is_refused(client, fraud):
    with pytest.raises(errors.InvalidInputError):
        await client.report_serving(CHAMPION, instance="a", bundle_digest="sha256:0", revision=1)


async def test_a_mark_comes_back_with_its_receipt_and_is_told(client, two_versions):
    await client.set_alias(CHAMPION, 1)
    change = await client.mark_champion(CHAMPION, 1, note="a quiet quarter")
    assert (change.alias.marked_version, change.old_marked_version) == (1, 0)
    assert (change.receipt.entry.type, change.receipt.entry.old, change.receipt.entry.new) == (
        "alias.marked",
        "",
        "1",
    )
    told = await client.alias(CHAMPION)
    assert (told.marked_version, told.mark_note) == (1, "a quiet quarter")
    assert told.marked_at is not None
    await client.set_alias(CHAMPION, 2)
    assert (await client.rollback(CHAMPION, "drift", to_mark=True)).alias.version == 1
    cleared = await client.unmark_champion(CHAMPION)
    assert (cleared.alias.marked_version, cleared.old_marked_version) == (0, 1)
    assert cleared.receipt.entry.new == ""


@pytest.mark.parametrize(
    ("method", "lie", "message"),
    [
        ("MarkChampion", "another entry", r"policy\.changed"),
        ("UnmarkChampion", "another entry", r"policy\.changed"),
        ("MarkChampion", "a mark of another version", "says '2'"),
        ("UnmarkChampion", "a mark of another version", "says '2'"),
    ],
)
async def test_a_mark_with_the_receipt_of_another_is_refused(
    federation, client, two_versions, method, lie, message
):
    await client.set_alias(CHAMPION, 1)
    await client.set_alias(CHAMPION, 2)
    other = (await client.mark_champion(CHAMPION, 2)).receipt.receipt.index
    index = 0 if lie == "another entry" else other

    def another_receipt(answer):
        answer.receipt.CopyFrom(federation.dev.log.receipt(index))

    federation.dev.lies[method] = another_receipt
    with pytest.raises(errors.LogTamperedError, match=message):
        await (
            client.mark_champion(CHAMPION, 1)
            if method == "MarkChampion"
            else client.unmark_champion(CHAMPION)
        )


async def test_a_mark_of_no_version_is_refused(client, fraud):
    with pytest.raises(errors.ReferenceInvalidError):
        await client.mark_champion(CHAMPION, 0)

"""Before a rollback: the stored bytes are whole, and nothing shows that the version would not load."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta

import pytest

from carnet.errors import AlreadyExistsError, DataLossError, PreconditionFailedError, UnavailableError
from carnet.references import ResourceName
from carnet_server.aliases.blob_checks import BlobChecks
from carnet_server.blobs.domain import Blob
from tests.support.registry import EVALUATOR, OPERATOR, make_test_result

CHAMPION = ResourceName("risk", "fraud", alias="champion")
NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
async def manifests(registry):
    """Three versions, each of which was live; the third is now."""
    made = {}
    for number in (1, 2, 3):
        made[number] = await registry.add_version(number)
        await registry.aliases.set_alias(
            registry.caller(OPERATOR), CHAMPION, number, expected_revision=None, note="", request_id=""
        )
    return made


async def roll_back(registry, version=0, **fields):
    asked = {"reason_code": "bad-metrics", "note": "", "request_id": ""} | fields
    return await registry.aliases.roll_back(registry.caller(OPERATOR), CHAMPION, version=version, **asked)


async def smoke_test(registry, manifest, result, *, suite="smoke-test", key=None, **fields):
    envelope = make_test_result(manifest, key or registry.evaluator, result=result, suite=suite, **fields)
    name = ResourceName("risk", "fraud", version=manifest.version)
    await registry.evidence.add(registry.caller(EVALUATOR), name, envelope.to_bytes())


def digest_of(manifest):
    return manifest.files[0].digest


async def test_the_answer_says_what_was_checked(registry, manifests):
    moved = await roll_back(registry)
    assert moved.alias.version == 2
    assert (moved.check.blob_count, moved.check.hashed_count, moved.check.smoke_test) == (1, 1, "")
    assert moved.check.oldest_at is not None
    assert moved.check.passed_over == ()


async def test_what_was_hashed_lately_is_not_hashed_again(registry, manifests):
    await registry.aliases.check_ahead()
    assert (await roll_back(registry)).check.hashed_count == 0


async def test_a_damaged_blob_refuses_a_named_version_and_names_one_that_will_do(registry, manifests):
    registry.bench.damage(digest_of(manifests[2]), b"x" * manifests[2].files[0].size_bytes)
    with pytest.raises(DataLossError, match="damaged; version 1 will do") as caught:
        await roll_back(registry, version=2)
    assert caught.value.metadata["digest"] == digest_of(manifests[2])
    assert caught.value.metadata["alternative"] == "1"
    assert (await registry.aliases.get(CHAMPION)).version == 3


async def test_the_last_good_one_is_behind_a_damaged_one(registry, manifests):
    registry.bench.damage(digest_of(manifests[2]), b"x" * manifests[2].files[0].size_bytes)
    moved = await roll_back(registry)
    assert moved.alias.version == 1
    ((version, reason),) = moved.check.passed_over
    assert version == 2
    assert digest_of(manifests[2]) in reason


async def test_where_nothing_will_do_every_fault_is_named(registry, manifests):
    registry.bench.damage(digest_of(manifests[2]), b"x" * manifests[2].files[0].size_bytes)
    registry.bench.lose(digest_of(manifests[1]))
    with pytest.raises(DataLossError, match=r"version 2 is not whole.*version 1 is not whole"):
        await roll_back(registry)
    assert await registry.count("alias_moves") == 3


@pytest.mark.parametrize("result", ["PASSED", "WARNED"])
async def test_the_latest_smoke_test_is_told(registry, manifests, result):
    await smoke_test(registry, manifests[2], result)
    assert (await roll_back(registry)).check.smoke_test == result


async def test_a_failed_smoke_test_refuses(registry, manifests):
    await smoke_test(registry, manifests[2], "FAILED")
    with pytest.raises(PreconditionFailedError, match="failed its latest smoke test.*version 1 will do"):
        await roll_back(registry, version=2)
    moved = await roll_back(registry)
    assert (moved.alias.version, [version for version, _ in moved.check.passed_over]) == (1, [2])


async def test_the_latest_smoke_test_counts_and_other_suites_and_strangers_do_not(registry, manifests):
    await smoke_test(registry, manifests[2], "FAILED", suite="evaluation")
    with pytest.raises(Exception, match="known here"):
        await smoke_test(registry, manifests[2], "FAILED", key=registry.stranger)
    assert (await roll_back(registry, version=2)).check.smoke_test == ""


async def test_without_a_history_there_is_nothing_to_go_back_to(registry):
    await registry.add_version(1)
    await registry.aliases.set_alias(
        registry.caller(OPERATOR), CHAMPION, 1, expected_revision=None, note="", request_id=""
    )
    with pytest.raises(PreconditionFailedError, match="nothing to roll back to"):
        await roll_back(registry)


async def test_the_repeated_request_is_answered_without_another_look(registry, manifests):
    first = await roll_back(registry, request_id="once")
    registry.bench.lose(digest_of(manifests[2]))
    again = await roll_back(registry, request_id="once")
    assert (again.alias, again.check) == (first.alias, None)


# --- where the policy requires a smoke test -----------------------------------------------------------------

REQUIRED = {"rollback": {"smoke_test": "required"}}
UNTESTED = "holds no smoke test by a signer who is trusted here"


@pytest.mark.parametrize("result", ["PASSED", "WARNED"])
async def test_a_version_without_a_smoke_test_is_passed_over(registry, manifests, result):
    registry.set_policy(**REQUIRED)
    await smoke_test(registry, manifests[1], result)
    moved = await roll_back(registry)
    assert (moved.alias.version, moved.check.smoke_test) == (1, result)
    assert moved.check.passed_over == ((2, UNTESTED),)


async def test_a_named_version_without_a_smoke_test_is_refused_and_another_is_named(registry, manifests):
    registry.set_policy(**REQUIRED)
    with pytest.raises(
        PreconditionFailedError, match=f"version 2 {UNTESTED}; in an emergency .*--without-smoke"
    ):
        await roll_back(registry, version=2)
    await smoke_test(registry, manifests[1], "PASSED")
    with pytest.raises(PreconditionFailedError, match=f"version 2 {UNTESTED}; version 1 will do") as caught:
        await roll_back(registry, version=2)
    assert caught.value.metadata["alternative"] == "1"
    assert (await registry.aliases.get(CHAMPION)).version == 3


async def test_where_no_version_was_tested_every_one_is_named_and_nothing_moves(registry, manifests):
    registry.set_policy(**REQUIRED)
    with pytest.raises(PreconditionFailedError, match=f"version 2 {UNTESTED}, version 1 {UNTESTED}"):
        await roll_back(registry)
    with pytest.raises(PreconditionFailedError, match=UNTESTED):
        await registry.aliases.drill(
            registry.caller(OPERATOR), CHAMPION, note="", confirmed=False, request_id=""
        )
    assert await registry.count("alias_moves") == 3


async def test_a_test_whose_signer_is_not_trusted_any_more_is_none(registry, manifests):
    registry.set_policy(**REQUIRED)
    await smoke_test(registry, manifests[2], "PASSED")
    keys = [key for key in registry.trust_document()["keys"] if "evidence" not in key]
    registry.trust_anew(keys=keys)
    with pytest.raises(PreconditionFailedError, match=f"version 2 {UNTESTED}"):
        await roll_back(registry, version=2)


async def last_move(registry):
    ((move, *_), _) = await registry.aliases.list_moves(CHAMPION, page_size=1, page_token="")
    return move


async def test_in_an_emergency_it_is_accepted_and_the_move_says_so(registry, manifests):
    registry.set_policy(**REQUIRED)
    moved = await roll_back(registry, accept_untested=True, note="on fire", request_id="once")
    assert (moved.alias.version, moved.check.smoke_test, moved.check.passed_over) == (2, "", ())
    move = await last_move(registry)
    assert (move.accepted_untested, move.note, move.reason_code) == (True, "on fire", "bad-metrics")
    document = await registry.log.document(move.note_digest)
    assert b'"accepted_untested":true' in document
    with pytest.raises(AlreadyExistsError):
        await roll_back(registry, note="on fire", request_id="once")


async def test_what_needed_no_leave_is_not_said_to_have_been_accepted(registry, manifests):
    await roll_back(registry, accept_untested=True)
    assert not (await last_move(registry)).accepted_untested
    registry.set_policy(**REQUIRED)
    await smoke_test(registry, manifests[1], "PASSED")
    await roll_back(registry, accept_untested=True)
    assert not (await last_move(registry)).accepted_untested


async def test_accepting_an_untested_version_opens_nothing_else(registry, manifests):
    registry.set_policy(**REQUIRED)
    await smoke_test(registry, manifests[2], "FAILED")
    registry.bench.lose(digest_of(manifests[1]))
    with pytest.raises(
        PreconditionFailedError, match=r"failed its latest smoke test.*version 1 is not whole"
    ):
        await roll_back(registry, accept_untested=True)


async def test_checking_ahead_names_the_aliases_that_could_not_be_rolled_back(registry, manifests, caplog):
    await registry.aliases.check_ahead()
    assert not caplog.records
    registry.set_policy(**REQUIRED)
    await registry.aliases.check_ahead()
    assert (
        f"a rollback of {CHAMPION} would be refused: version 2 {UNTESTED}, version 1 {UNTESTED}"
        in caplog.text
    )
    caplog.clear()
    await smoke_test(registry, manifests[1], "PASSED")
    await registry.aliases.check_ahead()
    assert not caplog.records
    assert (await roll_back(registry)).check.hashed_count == 0


# --- the checks themselves ----------------------------------------------------------------------------------


class Store:
    """A store whose readings are counted, and wait where a test says so."""

    def __init__(self):
        self.read, self.missing, self.damaged = [], set(), set()
        self.error = None
        self.let_go = threading.Event()
        self.let_go.set()

    def find_missing(self, blobs):
        return [blob for blob in blobs if blob.digest in self.missing]

    def open_blob(self, blob):
        return Reading(self, blob)


class Reading:
    def __init__(self, store, blob):
        self._store, self._blob = store, blob

    def next_piece(self):
        self._store.let_go.wait(5)
        self._store.read.append(self._blob.digest)
        if self._store.error:
            raise self._store.error
        if self._blob.digest in self._store.damaged:
            raise DataLossError("damaged")

    def close(self):
        pass


class Clock:
    now = NOW

    def __call__(self):
        return self.now


@pytest.fixture
def made():
    store, clock = Store(), Clock()
    checks = BlobChecks(store, fresh_for=timedelta(hours=1), clock=clock)
    yield store, clock, checks
    store.let_go.set()
    checks.close()


BLOBS = [Blob(f"{number:064x}", 1) for number in range(6)]


async def test_a_check_counts_for_its_time_and_no_longer(made):
    store, clock, checks = made
    assert (await checks.check(BLOBS)).hashed_count == 6
    clock.now += timedelta(hours=1)
    assert (await checks.check(BLOBS)).hashed_count == 0
    clock.now += timedelta(seconds=1)
    found = await checks.check(BLOBS)
    assert (found.hashed_count, found.oldest_at, found.fault) == (6, clock.now, "")
    assert (await checks.check(BLOBS, fresh_for=timedelta(seconds=-1))).hashed_count == 6


async def test_damage_and_loss_are_found_and_never_remembered_as_whole(made):
    store, _, checks = made
    await checks.check(BLOBS)
    store.missing, store.damaged = {BLOBS[1].digest}, {BLOBS[2].digest}
    found = await checks.check(BLOBS, fresh_for=timedelta(seconds=-1))
    assert (found.missing, found.damaged) == ((BLOBS[1],), (BLOBS[2],))
    assert BLOBS[1].digest in found.fault
    store.missing, store.damaged = set(), set()
    assert (await checks.check(BLOBS)).hashed_count == 2


async def test_a_blob_is_read_once_for_all_who_ask_and_the_loop_goes_on(made):
    store, _, checks = made
    store.let_go.clear()
    asking = [asyncio.create_task(checks.check([BLOBS[0], BLOBS[0]])) for _ in range(5)]
    await asyncio.sleep(0.05)
    asking[0].cancel()
    store.let_go.set()
    found = await asyncio.gather(*asking[1:])
    assert store.read == [BLOBS[0].digest]
    assert all(each.blob_count == 1 and not each.fault for each in found)


async def test_a_store_that_fails_says_nothing_of_the_blobs(made):
    store, _, checks = made
    store.error = UnavailableError("away")
    with pytest.raises(UnavailableError):
        await checks.check(BLOBS)
    store.error = None
    assert (await checks.check(BLOBS)).fault == ""


async def test_checking_ahead_names_what_is_damaged_and_raises_nothing(registry, manifests, caplog):
    registry.bench.damage(digest_of(manifests[2]), b"x" * manifests[2].files[0].size_bytes)
    await registry.aliases.check_ahead()
    assert digest_of(manifests[2]) in caplog.text
    assert "champion" in caplog.text

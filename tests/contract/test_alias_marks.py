"""Marks: one known-good version an alias, only of what was live, logged, and where a rollback can be sent.

Service objects over real storage, no transport.
"""

from __future__ import annotations

import asyncio

import pytest

from carnet.errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
    PreconditionFailedError,
)
from carnet.references import ResourceName
from carnet.translog.entry import EntryType, parse_entry
from carnet.translog.receipt import verify_receipt
from carnet_server.aliases.mark_queries import read_marked
from carnet_server.log.revisions import model_scope, read_revisions
from tests.support.registry import OPERATOR, Registry

CHAMPION = ResourceName("risk", "fraud", alias="champion")
SHADOW = ResourceName("risk", "fraud", alias="shadow")


class House(Registry):
    """A registry with the calls that these tests make."""

    async def set(self, version, name=CHAMPION):
        return await self.aliases.set_alias(
            self.caller(OPERATOR), name, version, expected_revision=None, note="", request_id=""
        )

    async def mark(self, version, name=CHAMPION, **fields):
        asked = {"expected_marked_version": None, "note": "", "request_id": ""} | fields
        return await self.aliases.marks.mark(self.caller(OPERATOR), name, version, **asked)

    async def unmark(self, name=CHAMPION, **fields):
        asked = {"expected_marked_version": None, "note": "", "request_id": ""} | fields
        return await self.aliases.marks.unmark(self.caller(OPERATOR), name, **asked)

    async def roll_back(self, **fields):
        asked = {"version": 0, "reason_code": "bad", "note": "", "request_id": "", "to_mark": True} | fields
        return await self.aliases.roll_back(self.caller(OPERATOR), CHAMPION, **asked)

    async def revoke(self, number):
        await self.models.revoke(self.caller(OPERATOR), ResourceName("risk", "fraud", number), "poisoned")

    async def marked(self, name=CHAMPION):
        mark = (await self.aliases.get_state(name)).mark
        return mark.marked_version if mark else 0

    async def logged_marks(self):
        entries = [parse_entry(data) for _, data, _ in await self.log.entries(0, 1000)]
        return [each for each in entries if each.type is EntryType.ALIAS_MARKED]


@pytest.fixture
async def house(tmp_path, storage):
    """Champion was moved along versions 1, 2 and 3; version 4 never was live."""
    house = House(tmp_path, storage=storage)
    await house.start()
    house.manifests = {number: await house.add_version(number) for number in (1, 2, 3, 4)}
    for number in (1, 2, 3):
        await house.set(number)
    yield house
    house.stop()


async def test_an_alias_has_one_mark_which_is_told_with_who_when_and_why(house):
    assert await house.marked() == 0
    first = await house.mark(1, note="a quiet quarter")
    assert (first.alias.version, first.mark.marked_version, first.mark.old_marked_version) == (3, 1, 0)
    await house.mark(2, note="quieter still")
    state = await house.aliases.get_state(CHAMPION)
    assert (state.mark.marked_version, state.mark.actor, state.mark.note) == (2, OPERATOR, "quieter still")
    (listed,) = await house.aliases.describe(CHAMPION, [state.alias])
    assert listed.mark == state.mark
    assert (await house.unmark()).mark.old_marked_version == 2
    assert await house.marked() == 0
    await house.mark(3)
    assert await house.marked() == 3


async def test_each_change_is_an_entry_from_old_to_new_with_its_note(house):
    marked = await house.mark(1, note="a quiet quarter", request_id="once")
    unmarked = await house.unmark(request_id="twice")
    first, second = await house.logged_marks()
    assert (first.old, first.new, first.actor.subject) == ("", "1", OPERATOR)
    assert first.subject == {
        "namespace": "risk",
        "model": "fraud",
        "alias": "champion",
        "version": 1,
        "bundle_digest": house.manifests[1].digest,
    }
    assert b"a quiet quarter" in await house.log.document(first.envelope_digest)
    # The digest of a request with a note would tell whoever guesses the note.
    assert (first.request_digest, marked.mark.request_digest is None) == (None, False)
    assert second.request_digest == unmarked.mark.request_digest is not None
    assert (second.old, second.new, second.envelope_digest) == ("1", "", None)
    assert "version" not in second.subject
    assert verify_receipt(marked.receipt, house.state.log_key.verifier) == first


async def test_a_mark_moves_nothing_and_is_seen_by_what_rests_on_the_model(house):
    scope = model_scope("risk", "fraud")

    async def touched():
        return (await house.database.read(lambda connection: read_revisions(connection, [scope])))[scope]

    before = await touched()
    await house.mark(1)
    assert await touched() == before + 1
    assert (await house.aliases.get(CHAMPION)).version == 3
    assert await house.count("alias_moves") == 3


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ({"version": 4}, PreconditionFailedError, "never pointed at version 4.* one of 1, 2, 3"),
        ({"version": 9}, PreconditionFailedError, "never pointed at version 9"),
        ({"version": 1, "name": SHADOW}, NotFoundError, "never was set"),
        ({"version": 0}, InvalidInputError, "version"),
        ({"version": 1, "expected_marked_version": -1}, InvalidInputError, "expected_marked_version"),
        ({"version": 1, "expected_marked_version": 2}, ConflictError, "has no version marked"),
        ({"version": 1, "note": "x" * 2001}, InvalidInputError, "note"),
        ({"version": 1, "request_id": "x" * 65}, InvalidInputError, "request_id"),
    ],
)
async def test_what_cannot_be_marked_changes_nothing(house, asked, error, message):
    with pytest.raises(error, match=message):
        await house.mark(**asked)
    assert await house.count("alias_marks") == 0
    assert await house.logged_marks() == []


async def test_what_was_live_under_another_alias_is_not_known_good_under_this_one(house):
    await house.set(4, SHADOW)
    await house.mark(4, SHADOW)
    with pytest.raises(PreconditionFailedError, match="never pointed at version 4"):
        await house.mark(4)


async def test_a_revoked_version_is_not_marked(house):
    await house.revoke(2)
    with pytest.raises(PreconditionFailedError, match="version 2 of risk/fraud is revoked"):
        await house.mark(2)
    assert await house.count("alias_marks") == 0


async def test_a_mark_is_compared_and_swapped(house):
    await house.mark(1, expected_marked_version=0)
    with pytest.raises(ConflictError, match="has version 1 marked, and no version was expected") as caught:
        await house.mark(2, expected_marked_version=0)
    assert caught.value.metadata["marked_version"] == "1"
    with pytest.raises(ConflictError):
        await house.unmark(expected_marked_version=2)
    await house.mark(2, expected_marked_version=1)
    await house.unmark(expected_marked_version=2)
    with pytest.raises(NotFoundError, match="has no marked version"):
        await house.unmark()
    assert await house.count("alias_marks") == 3


async def test_a_repeated_request_is_the_same_request(house):
    first = await house.mark(1, note="why", request_id="once")
    await house.mark(2)
    again = await house.mark(1, note="why", request_id="once")
    assert (again.mark, again.receipt.index) == (first.mark, first.receipt.index)
    assert await house.marked() == 2
    for asked in ({"note": "another"}, {"note": "why", "expected_marked_version": 1}):
        with pytest.raises(AlreadyExistsError):
            await house.mark(1, request_id="once", **asked)
    outcomes = await asyncio.gather(*(house.mark(3, request_id="twice") for _ in range(4)))
    assert len({each.mark.log_index for each in outcomes}) == 1
    assert await house.count("alias_marks") == 3


async def test_many_who_mark_at_once_make_one_history(house):
    await asyncio.gather(*(house.mark(number) for number in (1, 2, 3) * 4))
    told = ""
    for entry in await house.logged_marks():
        assert entry.old == told
        told = entry.new
    assert await house.marked() == int(told)
    assert await house.count("alias_marks") == 12


async def test_a_mark_outlives_the_removal_of_its_alias(house):
    await house.mark(1)
    await house.aliases.delete_alias(
        house.caller(OPERATOR), CHAMPION, expected_revision=None, note="", request_id=""
    )
    moved = await house.roll_back()
    assert (moved.alias.version, await house.marked()) == (1, 1)


async def test_the_marked_versions_of_a_model_are_those_of_all_its_aliases(house):
    async def read(model="fraud"):
        return await house.database.read(lambda connection: read_marked(connection, "risk", model))

    assert await read() == set()
    await house.set(4, SHADOW)
    await house.mark(1)
    await house.mark(4, SHADOW)
    assert await read() == {1, 4}
    await house.mark(2)
    await house.aliases.delete_alias(
        house.caller(OPERATOR), SHADOW, expected_revision=None, note="", request_id=""
    )
    assert await read() == {2, 4}
    await house.unmark(SHADOW)
    assert await read() == {2}
    assert await read("other") == set()


# --- where rollbacks and hosts follow it --------------------------------------------------------------------


async def test_a_rollback_to_the_mark_passes_by_what_was_live_last(house):
    await house.mark(1)
    moved = await house.roll_back(request_id="incident")
    assert (moved.alias.version, moved.old_version, moved.check.blob_count) == (1, 3, 1)
    again = await house.roll_back(request_id="incident")
    assert (again.alias, again.check) == (moved.alias, None)
    with pytest.raises(AlreadyExistsError):
        await house.roll_back(request_id="incident", to_mark=False)


async def test_a_rollback_to_the_mark_says_what_is_in_its_way(house):
    with pytest.raises(PreconditionFailedError, match="has no marked version to go back to"):
        await house.roll_back()
    await house.mark(3)
    with pytest.raises(PreconditionFailedError, match="points at version 3 already, which is the marked one"):
        await house.roll_back()
    with pytest.raises(InvalidInputError, match="name one of the two"):
        await house.roll_back(version=1)
    await house.mark(1)
    await house.revoke(1)
    with pytest.raises(PreconditionFailedError, match="version 1: version 1 is revoked; version 2 will do"):
        await house.roll_back()
    await house.mark(2)
    house.bench.lose(house.manifests[2].files[0].digest)
    with pytest.raises(PreconditionFailedError, match="version 2: version 2 is not whole"):
        await house.roll_back()
    assert await house.count("alias_moves") == 3


async def test_a_mark_that_is_moved_meanwhile_is_followed(house, monkeypatch):
    await house.mark(1)
    loop, looked = asyncio.get_running_loop(), []
    find_missing = house.store.find_missing

    def find_and_mark(blobs):
        looked.append(blobs)
        if len(looked) == 1:
            asyncio.run_coroutine_threadsafe(house.mark(2), loop).result(10)
        return find_missing(blobs)

    monkeypatch.setattr(house.store, "find_missing", find_and_mark)
    assert (await house.roll_back()).alias.version == 2


async def test_the_warm_set_has_the_mark_in_its_last_place(house):
    async def warm(count):
        return [version for version, _ in (await house.aliases.get_state(CHAMPION, warm=count)).warm]

    for number in (2, 3, 2, 3):
        await house.set(number)
    assert await warm(2) == [3, 2]
    await house.mark(1)
    assert await warm(20) == [3, 2, 1]
    assert await warm(2) == [3, 1]
    assert await warm(1) == [3]
    await house.mark(2)
    assert await warm(2) == [3, 2]
    await house.revoke(2)
    assert await warm(20) == [3, 1]


async def test_what_the_mark_leads_to_is_hashed_ahead(house, caplog):
    await house.mark(1)
    await house.aliases.check_ahead()
    assert (await house.roll_back()).check.hashed_count == 0
    file = house.manifests[1].files[0]
    await house.set(3)
    house.bench.lose(file.digest)
    await house.aliases.check_ahead()
    assert (
        "version 1, which namespaces/risk/models/fraud/aliases/champion may be rolled back to" in caplog.text
    )

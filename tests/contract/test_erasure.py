"""Erasing documents of the log: what may go, what must be kept and why, and that nothing else changes.

Service objects over real storage, no transport.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlmodel import SQLModel

from carnet.errors import AlreadyExistsError, ErasedError, InvalidInputError, MustBeKeptError, NotFoundError
from carnet.references import ResourceName
from carnet.translog.entry import EntryType
from carnet.translog.receipt import verify_receipt
from carnet_server.models.notes import ERASED, read_note
from tests.support.registry import OPERATOR
from tests.support.rollouts import CHAMPION, RolloutRegistry

DAY = timedelta(days=1)
DPO = "spiffe://carnet.test/person/dpo"
TEXT = "Jane Doe of branch 12 complained about her credit limit"
TERMS = {"erase": {"notes_after": "1d", "statements_after": "30d"}}


@pytest.fixture
async def registry(tmp_path, storage):
    """Versions 1 to 3, and ``champion`` at 1."""
    registry = RolloutRegistry(tmp_path, storage=storage, policy_fields={"retention": TERMS})
    await registry.start()
    await registry.fill()
    yield registry
    registry.stop()


async def erase(registry, digest, *, by=DPO, reason_code="person-request", note=""):
    return await registry.erasing.erase(registry.caller(by), digest, reason_code=reason_code, note=note)


async def noted(registry, text=TEXT, *, version=2, request_id=""):
    """Move ``champion`` with a note, and return the entry's index and the note's digest."""
    moved = await registry.aliases.set_alias(
        registry.caller(OPERATOR),
        CHAMPION,
        version,
        expected_revision=None,
        note=text,
        request_id=request_id,
    )
    entry = verify_receipt(moved.receipt, registry.state.log_key.verifier)
    return moved.receipt.index, entry.envelope_digest


async def notes(registry):
    moves, _ = await registry.aliases.list_moves(CHAMPION, page_size=0, page_token="")
    return [move.note for move in moves]


async def everything(registry):
    """Every row of every table, as text."""

    def read(connection):
        rows = [connection.execute(select(table)).all() for table in SQLModel.metadata.sorted_tables]
        return repr([tuple(value for value in row) for table in rows for row in table])

    return await registry.database.read(read)


async def refused(registry, digest, because, says=""):
    """Insist that a document must be kept, and that nothing changes."""
    before, size = await everything(registry), registry.log.size
    with pytest.raises(MustBeKeptError, match=says) as caught:
        await erase(registry, digest)
    assert caught.value.metadata == {"digest": digest, "because": because}
    assert (await everything(registry), registry.log.size) == (before, size)


# --- notes ------------------------------------------------------------------------------------------------------


async def test_a_note_goes_for_good_and_its_entry_and_receipt_stay(registry):
    index, digest = await noted(registry)
    receipt = await registry.log.receipt(index)
    registry.clock.now += 2 * DAY
    assert TEXT in await everything(registry)
    gone = await erase(registry, digest, note="asked on paper")
    assert not gone.erased_before

    entry = verify_receipt(gone.receipt, registry.state.log_key.verifier)
    assert entry.type is EntryType.DOCUMENT_ERASED
    assert (entry.actor.subject, entry.old, entry.new) == (DPO, None, "person-request")
    assert entry.subject == {"document": digest, "namespace": "risk", "model": "fraud", "version": 2}
    assert read_note(await registry.log.document(entry.envelope_digest)) == "asked on paper"

    assert await registry.log.document(digest) is None
    assert await registry.log.documents([digest]) == []
    assert TEXT not in await everything(registry)
    assert await notes(registry) == [ERASED, ""]
    again = await registry.log.receipt(index)
    assert again.entry_bytes == receipt.entry_bytes
    assert verify_receipt(again, registry.state.log_key.verifier).envelope_digest == digest


async def test_a_second_erasure_says_so_and_changes_nothing(registry):
    _, digest = await noted(registry)
    registry.clock.now += 2 * DAY
    first = await erase(registry, digest)
    size = registry.log.size
    again = await erase(registry, digest, reason_code="another-reason")
    assert (again.erased_before, again.receipt.index) == (True, first.receipt.index)
    assert registry.log.size == size


async def test_of_two_erasures_at_once_one_is_the_second(registry):
    _, digest = await noted(registry)
    registry.clock.now += 2 * DAY
    both = await asyncio.gather(erase(registry, digest), erase(registry, digest))
    assert sorted(each.erased_before for each in both) == [False, True]
    assert both[0].receipt.index == both[1].receipt.index
    assert len(await registry.told(EntryType.DOCUMENT_ERASED)) == 1


async def test_a_note_is_kept_as_long_as_the_policy_says(registry):
    index, digest = await noted(registry)
    registry.clock.now += DAY - timedelta(seconds=1)
    await refused(registry, digest, "window", f"keeps notes for 1d, this one of entry {index}, alias.moved")
    registry.clock.now += timedelta(seconds=1)
    await erase(registry, digest)


async def test_without_terms_in_the_policy_nothing_may_be_erased(tmp_path, storage):
    registry = RolloutRegistry(tmp_path, storage=storage)
    await registry.start()
    await registry.fill()
    _, digest = await noted(registry)
    registry.clock.now += 1000 * DAY
    await refused(registry, digest, "policy", "lets no document be erased")
    registry.stop()


async def test_what_is_held_is_kept_and_the_reason_of_the_hold_too(registry):
    await noted(registry)
    hold = {"expires_at": None, "request_id": ""}
    await registry.holds.place(registry.caller(DPO), named(2), reason="case of Jane Doe", **hold)
    _, digest = await noted(registry, "again", version=1)
    (placed,) = await registry.told(EntryType.HOLD_PLACED)
    registry.clock.now += 2 * DAY
    await refused(registry, placed.envelope_digest, "hold", "hold 1 is on risk/fraud@2")
    await erase(registry, digest)  # what is about another version
    await registry.holds.release(registry.caller(DPO), named(2), 1, "closed")
    await erase(registry, placed.envelope_digest)
    (listed,), _ = await registry.holds.list_page(
        registry.caller(OPERATOR), None, include_ended=True, page_size=0, page_token=""
    )
    assert listed.note == ERASED


async def test_a_hold_on_a_model_holds_what_is_said_of_its_versions(registry):
    _, digest = await noted(registry)
    await registry.holds.place(
        registry.caller(DPO),
        ResourceName("risk", "fraud"),
        reason="case",
        expires_at=registry.clock.now + 3 * DAY,
        request_id="",
    )
    registry.clock.now += 2 * DAY
    await refused(registry, digest, "hold", "hold 1 is on risk/fraud")
    registry.clock.now += 2 * DAY
    await erase(registry, digest)


async def test_a_repeated_request_is_told_by_its_id_alone_once_its_note_is_gone(registry):
    _, digest = await noted(registry, request_id="once")
    (_, moved) = await registry.told(EntryType.ALIAS_MOVED)
    assert moved.request_digest is None, "it would tell who guesses the text that it was this one"
    assert (await noted(registry, request_id="once"))[1] == digest
    registry.clock.now += 2 * DAY
    await erase(registry, digest)
    with pytest.raises(AlreadyExistsError):
        await noted(registry, request_id="once")


async def test_a_rollouts_notes_go_and_what_it_rests_on_stays(registry):
    rollout = await registry.begin(0.1, note=TEXT)
    await registry.rollouts.stop_rollout(
        registry.caller(OPERATOR), rollout.name, reason_code="", note="Jane Doe again"
    )
    started, changed = await registry.told(EntryType.ROLLOUT_STARTED, EntryType.ROLLOUT_CHANGED)
    digests = await registry.database.read(noted_by_rollouts)
    assert len(digests) == 2
    registry.clock.now += 2 * DAY
    for kept in (started.envelope_digest, changed.envelope_digest):
        await refused(registry, kept, "kind", "rests on it: only notes")
    for digest in digests:
        await erase(registry, digest)
    assert "Jane Doe" not in await everything(registry)
    shown = await registry.at(rollout)
    assert shown.note == ERASED
    assert shown.message.endswith(f": {ERASED}")
    assert await registry.log.document(changed.envelope_digest) is not None


def noted_by_rollouts(connection):
    documents = SQLModel.metadata.tables["documents"]
    rows = connection.execute(select(documents.c.digest, documents.c.data)).all()
    return [digest for digest, data in rows if b'"salt"' in data]


async def test_what_was_erased_does_not_come_back(registry):
    _, digest = await noted(registry)
    data = await registry.log.document(digest)
    registry.clock.now += 2 * DAY
    gone = await erase(registry, digest)
    with pytest.raises(ErasedError, match=f"erased by entry {gone.receipt.index}") as caught:
        await registry.writer.commit(lambda tx: tx.store_document(data, "text/plain"))
    assert caught.value.metadata == {"digest": digest, "log_index": str(gone.receipt.index)}
    assert await registry.log.document(digest) is None


async def test_policies_and_what_nothing_rests_on_are_kept(registry):
    for kind in (EntryType.POLICY_CHANGED, EntryType.TRUST_CHANGED):
        (entry,) = await registry.told(kind, since=0)
        await refused(registry, entry.envelope_digest, "kind", f"{kind}, rests on it")
    loose = await registry.writer.commit(lambda tx: tx.store_document(b"a release statement", "text/plain"))
    await refused(registry, loose, "kind", "no entry of this log rests on it")


async def test_what_is_malformed_or_not_here_is_refused(registry):
    with pytest.raises(NotFoundError, match="there is no document"):
        await erase(registry, "ab" * 32)
    with pytest.raises(InvalidInputError, match="digest"):
        await erase(registry, "AB" * 32)
    with pytest.raises(InvalidInputError, match="reason_code"):
        await erase(registry, "ab" * 32, reason_code="Because Jane asked")
    with pytest.raises(InvalidInputError, match="stands for what was erased"):
        await noted(registry, ERASED)


def named(number):
    return ResourceName("risk", "fraud", version=number)

"""What the comparison of a database with its log makes of erased documents: gone is right, and back is found.

Two registries as service objects over real storage, no transport.
"""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import update
from sqlmodel import SQLModel

from carnet.audit.report import Verdict
from carnet.translog.checkpoint import unverified_checkpoint
from carnet.translog.entry import EntryType
from carnet_policies.engine import PolicyEngine
from carnet_server.folding.compare import compare
from carnet_server.log.queries import ERASED_MEDIA_TYPE, tombstone
from carnet_server.retention.erasing import Erasing
from tests.unit.carnet_server.admission.registries import POLICIES, World

MONTHS = timedelta(days=60)
TERMS = b"""retention:
  erase: {notes_after: 1d, statements_after: 30d}
"""
APPROVALS, DOCUMENTS = (SQLModel.metadata.tables[name] for name in ("approvals", "documents"))


@pytest.fixture(scope="module")
def engine():
    with PolicyEngine() as engine:
        yield engine


@pytest.fixture
async def world(tmp_path, engine, storage):
    """A promotion that bob approved and that was admitted."""
    world = await World(tmp_path, engine, {"staging": POLICIES["staging"] + TERMS}, storage).start()
    manifest = await world.publish()
    await world.attest(manifest)
    request = world.parties.request(manifest, alias="champion")
    admission = await world.evaluate(await world.bring(manifest, request))
    await world.submit(admission, by="bob", reason="Jane Doe says so")
    await world.transfer(manifest)
    await world.admit(admission.promotion, manifest)
    yield world
    world.stop()


async def erased(world):
    """Erase bob's approval: its digest, its bytes, and the entry."""
    staging = world.staging
    (digest,) = [
        each.envelope_digest for each in await staging.entries() if each.type is EntryType.APPROVAL_RECORDED
    ]
    data = await staging.log.document(digest)
    world.clock.ahead = MONTHS
    erasing = Erasing(staging.database, staging.writer, staging.log, staging.state)
    gone = await erasing.erase(staging.caller("dave"), digest, reason_code="person-request")
    return digest, data, gone.receipt.index


async def change(world, statement):
    await world.staging.writer.commit(lambda tx: tx.connection.execute(statement).rowcount)


async def found(world):
    signed = unverified_checkpoint(world.staging.writer.checkpoint)
    return await world.staging.database.read(lambda connection: compare(connection, "staging", signed))


async def test_what_was_erased_need_not_be_there(world):
    assert await found(world) == []
    await erased(world)
    assert await found(world) == []


async def test_an_approval_without_its_envelope_is_found_while_no_entry_erased_it(world):
    await change(world, update(APPROVALS).values(envelope=b""))
    (finding,) = await found(world)
    assert finding.verdict is Verdict.TAMPERED
    assert "the table approvals" in finding.message


async def test_a_document_that_is_back_is_found(world):
    digest, data, index = await erased(world)
    row = update(DOCUMENTS).where(DOCUMENTS.c.digest == digest)
    await change(world, row.values(data=data, media_type="application/json"))
    (finding,) = await found(world)
    assert (finding.verdict, finding.index) == (Verdict.POLICY_VIOLATED, index)
    assert f"the document {digest} is there" in finding.message


@pytest.mark.parametrize("other", [{"data": tombstone(1)}, {"data": b""}, {"media_type": "text/plain"}])
async def test_what_does_not_say_who_erased_a_document_is_found(world, other):
    digest, _, index = await erased(world)
    await change(world, update(DOCUMENTS).where(DOCUMENTS.c.digest == digest).values(**other))
    (finding,) = await found(world)
    assert (finding.verdict, finding.index) == (Verdict.TAMPERED, index)
    assert f"does not say that entry {index} erased" in finding.message


async def test_a_document_that_is_hidden_without_an_entry_is_found(world):
    (entry,) = [each for each in await world.staging.entries() if each.type is EntryType.DOSSIER_ISSUED]
    row = update(DOCUMENTS).where(DOCUMENTS.c.digest == entry.envelope_digest)
    await change(world, row.values(media_type=ERASED_MEDIA_TYPE))
    (finding,) = await found(world)
    assert finding.verdict is Verdict.TAMPERED
    assert "and no entry says so" in finding.message


@pytest.mark.parametrize("column", ["envelope", "reason"])
async def test_words_that_are_back_in_the_row_of_an_erased_approval_are_found(world, column):
    digest, data, _ = await erased(world)
    back = {"envelope": data, "reason": "Jane Doe says so"}[column]
    await change(world, update(APPROVALS).where(APPROVALS.c.digest == digest).values({column: back}))
    (finding,) = await found(world)
    assert "the table approvals" in finding.message

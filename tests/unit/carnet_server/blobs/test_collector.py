"""The collector takes what nobody needs, and never what somebody has."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta

import pytest

from carnet.errors import CarnetError, ConflictError, UnavailableError
from carnet_server.blobs import queries
from carnet_server.blobs.domain import MAX_CHUNK_BYTES, Blob, Collected
from carnet_server.blobs.objects.names import PART_BYTES
from carnet_server.blobs.service import BlobsService

NOW = datetime.now(UTC)
LATER = NOW + timedelta(days=2)
NOTHING = Collected(uploads=0, possessions=0, blobs=0)


@pytest.fixture
def give(service, make_blob):
    async def give(namespace: str, seed: int = 0, size: int = 100) -> Blob:
        blob, data = make_blob(size, seed)
        await service.write_small(namespace, [(blob.digest, data)])
        return blob

    return give


async def test_an_abandoned_upload_is_collected_later_and_not_before(service, make_blob):
    blob, data = make_blob(PART_BYTES + 5000)
    async with service.open_upload("risk", blob) as stream:
        while stream.offset < PART_BYTES:
            await stream.append(stream.offset, data[stream.offset :][:MAX_CHUNK_BYTES])
    assert await service.collect(NOW) == NOTHING
    assert (await service.upload_state("risk", blob)).committed_bytes >= PART_BYTES
    assert await service.collect(LATER) == Collected(uploads=1, possessions=0, blobs=0)
    assert (await service.upload_state("risk", blob)).committed_bytes == 0


async def test_an_upload_that_is_under_way_is_not_collected_however_old(service, make_blob):
    blob, data = make_blob(5000)
    async with service.open_upload("risk", blob) as stream:
        await stream.append(0, data[:100])
        assert await service.collect(LATER) == NOTHING
        await stream.append(100, data[100:])
        await stream.finish()
    assert await service.find_missing("risk", [blob]) == []


async def test_a_blob_that_no_version_names_goes_after_its_grace(service, holds, give):
    blob = await give("risk")
    assert await service.collect(NOW) == NOTHING
    assert await service.collect(LATER) == Collected(uploads=0, possessions=1, blobs=1)
    assert not holds(blob)
    assert await service.find_missing("risk", [blob]) == [blob]
    assert await service.collect(LATER) == NOTHING


async def test_a_named_blob_stays(service, holds, named, give):
    blob = await give("risk")
    named.add(("risk", blob.digest))
    assert await service.collect(LATER) == NOTHING
    assert holds(blob)


async def test_bytes_stay_as_long_as_any_namespace_has_it(service, holds, named, give):
    blob = await give("risk")
    await give("growth")
    named.add(("growth", blob.digest))
    assert await service.collect(LATER) == Collected(uploads=0, possessions=1, blobs=0)
    assert await service.find_missing("risk", [blob]) == [blob]
    assert await service.find_missing("growth", [blob]) == []
    assert holds(blob)


async def test_what_was_stored_and_never_given_to_anybody_goes(service, holds, make_blob, put):
    blob, data = make_blob(5000)
    put(blob, data)
    assert await service.collect(NOW) == NOTHING
    assert await service.collect(LATER) == Collected(uploads=0, possessions=0, blobs=1)
    assert not holds(blob)


async def test_many_are_collected_in_several_changes(service, make_blob):
    made = [make_blob(10, seed=seed) for seed in range(250)]
    await service.write_small("risk", [(blob.digest, data) for blob, data in made])
    assert await service.collect(LATER) == Collected(uploads=0, possessions=250, blobs=250)


async def test_a_version_that_comes_in_the_last_moment_keeps_its_blob(
    store, database, writer, granted, named, give, holds
):
    blob = await give("risk")
    asked = []

    def named_when_asked_again(_connection, namespace, digest):
        asked.append(digest)
        return len(asked) > 1

    late = BlobsService(
        store,
        database,
        writer,
        readable=named_when_asked_again,
        is_named=named_when_asked_again,
        capability_check=granted,
    )
    assert await late.collect(LATER) == NOTHING
    late.close()
    assert holds(blob)
    assert len(asked) == 2


class Meddling:
    """A writer that first lets something else happen."""

    def __init__(self, writer, before):
        self._writer = writer
        self._before = before

    async def commit(self, change):
        await self._before()
        return await self._writer.commit(change)


@pytest.mark.parametrize("small", [True, False])
async def test_a_blob_that_is_collected_before_it_is_given_is_written_again(
    service, store, database, writer, granted, make_blob, small
):
    """The bytes are durable, the possession is about to be noted, and the collector comes in between."""
    blob, data = make_blob(5000)

    async def collect() -> None:
        assert await service.collect(LATER) == Collected(uploads=0, possessions=0, blobs=1)

    unlucky = BlobsService(
        store,
        database,
        Meddling(writer, collect),
        readable=lambda *_: False,
        is_named=lambda *_: False,
        capability_check=granted,
    )

    async def write() -> None:
        if small:
            await unlucky.write_small("risk", [(blob.digest, data)])
            return
        async with unlucky.open_upload("risk", blob) as stream:
            await stream.append(0, data)
            await stream.finish()

    with pytest.raises(ConflictError, match="write it again"):
        await write()
    unlucky.close()
    assert await service.find_missing("risk", [blob]) == [blob]
    await service.write_small("risk", [(blob.digest, data)])
    assert await service.find_missing("risk", [blob]) == []


@pytest.mark.parametrize("collector_first", [True, False])
async def test_in_one_batch_a_possession_and_a_removal_never_both_succeed(
    service, holds, database, writer, make_blob, put, collector_first
):
    """The writer commits both changes in one transaction; whichever comes second sees the first."""
    blob, data = make_blob(100)
    put(blob, data)
    busy, gate = threading.Event(), threading.Event()

    def hold(_transaction) -> None:
        busy.set()
        gate.wait(10)

    holding = asyncio.create_task(writer.commit(hold))
    await asyncio.to_thread(busy.wait, 10)
    generations = await service._begin("risk", [blob])
    removing = service._collector._remove_unowned_of([blob.digest])
    giving = service._possess("risk", [blob], generations)
    tasks = []
    for work in (removing, giving) if collector_first else (giving, removing):
        tasks.append(asyncio.create_task(work))
        while len(writer._inbox) < len(tasks):
            await asyncio.sleep(0.01)
    gate.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    await holding
    owned = database.read_now(lambda connection: queries.read_owned(connection, [blob.digest]))
    if collector_first:
        assert outcomes[0] == 1
        assert isinstance(outcomes[1], ConflictError)
        assert (owned, holds(blob)) == (set(), False)
    else:
        assert outcomes == [None, 0]
        assert (owned, holds(blob)) == ({blob.digest}, True)


async def test_whoever_has_a_blob_has_its_file_however_writers_and_collections_meet(
    service, store, database, make_blob
):
    made = [make_blob(100, seed=seed) for seed in range(3)]

    async def write(blob: Blob, data: bytes) -> None:
        try:
            async with service.open_upload("risk", blob) as stream:
                if not stream.complete:
                    await stream.append(stream.offset, data[stream.offset :])
                await stream.finish()
        except ConflictError:
            pass

    for _ in range(25):
        outcomes = await asyncio.gather(
            *(write(blob, data) for blob, data in made),
            service.collect(LATER),
            service.write_small("growth", [(made[0][0].digest, made[0][1])]),
            service.collect(LATER),
            return_exceptions=True,
        )
        # This clock is so far ahead that even a small blob's file of this instant may count as abandoned.
        allowed = ConflictError | UnavailableError | list | Collected | None
        assert all(isinstance(each, allowed) for each in outcomes), outcomes
        digests = [blob.digest for blob, _ in made]
        owned = database.read_now(lambda connection, d=digests: queries.read_owned(connection, d))
        for blob, data in made:
            if blob.digest in owned:
                assert store.read_small(blob) == data


async def test_a_failed_collection_is_typed_and_the_next_one_works(service, store, give, monkeypatch):
    await give("risk")

    def broken(_before):
        raise CarnetError("broken")

    monkeypatch.setattr(store, "discard_uploads", broken)
    with pytest.raises(CarnetError):
        await service.collect(LATER)
    monkeypatch.undo()
    assert (await service.collect(LATER)).blobs == 1

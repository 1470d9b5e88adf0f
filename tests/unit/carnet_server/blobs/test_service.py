"""Possession is per namespace and comes last; reading takes a right and a version that names the blob."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from carnet.errors import (
    BlobsMissingError,
    ConflictError,
    DataLossError,
    DigestMismatchError,
    MessageTooLargeError,
    NotFoundError,
    OffsetOutOfRangeError,
    PermissionDeniedError,
)
from carnet_server.blobs import queries
from carnet_server.blobs.domain import MAX_CHUNK_BYTES, PIECE_BYTES, Blob, UploadState
from tests.support.storage import IN_A_DIRECTORY


class Caller:
    """A caller with roles in one namespace."""

    subject = "spiffe://carnet.test/person/alice"

    def __init__(self, *roles, namespace="risk"):
        self.held = frozenset(roles)
        self.namespace = namespace

    @property
    def trust(self):
        """The trust document, as far as it is about this caller."""
        return self

    def roles(self, _subject, namespace):
        return self.held if namespace in (None, self.namespace) else frozenset()


READER = Caller("reader")
PEER = Caller("peer")


async def upload(service, namespace, blob, data, *, piece=1000, offset=None):
    async with service.open_upload(namespace, blob, offset=offset) as stream:
        while stream.offset < blob.size_bytes:
            await stream.append(stream.offset, data[stream.offset :][:piece])
        await stream.finish()


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def read(service, blob, *, caller=READER, namespace="risk", **arguments):
    return b"".join([piece.data async for piece in service.read(caller, namespace, blob.digest, **arguments)])


# --- writing ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 999, 1000, 1001, 50_000])
async def test_what_was_uploaded_is_possessed_and_read(service, named, make_blob, size):
    blob, data = make_blob(size)
    assert await service.find_missing("risk", [blob]) == [blob]
    await upload(service, "risk", blob, data)
    assert await service.find_missing("risk", [blob]) == []
    assert await service.upload_state("risk", blob) == UploadState(size, complete=True)
    named.add(("risk", blob.digest))
    assert await read(service, blob) == data


async def test_having_a_digest_is_no_right_to_its_bytes(service, named, make_blob):
    blob, data = make_blob(2000)
    await upload(service, "risk", blob, data)
    assert await service.find_missing("growth", [blob]) == [blob]
    assert await service.upload_state("growth", blob) == UploadState(0, complete=False)
    async with service.open_upload("growth", blob) as stream:
        assert (stream.complete, stream.offset) == (False, 0)
        with pytest.raises(OffsetOutOfRangeError):
            await stream.finish()
    assert await service.find_missing("growth", [blob]) == [blob]
    await upload(service, "growth", blob, data)
    assert await service.find_missing("growth", [blob]) == []


async def test_a_blob_that_is_there_takes_nothing_more(service, make_blob):
    blob, data = make_blob(2000)
    await upload(service, "risk", blob, data)
    async with service.open_upload("risk", blob, offset=0) as stream:
        assert stream.complete
        await stream.finish()


async def test_missing_ones_are_told_in_their_order(service, make_blob):
    made = [make_blob(10, seed=seed) for seed in range(5)]
    await service.write_small("risk", [(blob.digest, data) for blob, data in made[1::2]])
    blobs = [blob for blob, _ in made]
    assert await service.find_missing("risk", blobs) == blobs[::2]
    assert await service.find_missing("risk", []) == []


async def test_another_size_is_another_blob(service, make_blob):
    blob, data = make_blob(10)
    await service.write_small("risk", [(blob.digest, data)])
    other = Blob(blob.digest, 11)
    assert await service.find_missing("risk", [other]) == [other]


async def test_a_blob_that_was_lost_counts_as_missing_and_is_mended(service, bench, store, make_blob):
    blob, data = make_blob(2000)
    await upload(service, "risk", blob, data)
    bench.lose(blob.digest)
    assert await service.find_missing("risk", [blob]) == [blob]
    await upload(service, "risk", blob, data)
    assert store.read_small(blob) == data


async def test_a_batch_is_written_whole(service, named, make_blob):
    made = [make_blob(size, seed=size) for size in (0, 5, 60_000)]
    contents = [(blob.digest, data) for blob, data in made]
    written = await service.write_small("risk", [*contents, contents[0]])
    assert written == [blob for blob, _ in made]
    named.update(("risk", blob.digest) for blob, _ in made)
    assert await service.read_small(READER, "risk", [digest for digest, _ in reversed(contents)]) == list(
        reversed(contents)
    )
    assert await service.write_small("risk", []) == []


async def test_one_wrong_blob_in_a_batch_gives_the_namespace_nothing(service, make_blob):
    blob, data = make_blob(10)
    with pytest.raises(DigestMismatchError):
        await service.write_small("risk", [(blob.digest, data), ("f" * 64, data)])
    assert await service.find_missing("risk", [blob]) == [blob]


@pytest.mark.parametrize("contents", [[("0" * 64, b"")] * 1001, [("0" * 64, bytes(1 << 20))] * 3])
async def test_a_batch_over_the_limits_is_refused(service, contents):
    with pytest.raises(MessageTooLargeError):
        await service.write_small("risk", contents)


async def test_too_long_a_question_is_refused(service, make_blob):
    blob, _ = make_blob(1)
    with pytest.raises(MessageTooLargeError):
        await service.find_missing("risk", [blob] * 10_001)


@IN_A_DIRECTORY
@pytest.mark.parametrize("offset", [0, 999, 1001, 5000])
async def test_a_write_that_begins_elsewhere_is_refused_and_told_where(service, make_blob, offset):
    blob, data = make_blob(5000)
    async with service.open_upload("risk", blob) as stream:
        await stream.append(0, data[:1000])
    assert await service.upload_state("risk", blob) == UploadState(1000, complete=False)
    with pytest.raises(OffsetOutOfRangeError) as caught:
        async with service.open_upload("risk", blob, offset=offset):
            pass
    assert caught.value.metadata["committedBytes"] == "1000"
    await upload(service, "risk", blob, data, offset=1000)


@pytest.mark.parametrize(("offset", "size"), [(1, 10), (0, 5001), (-1, 10)])
async def test_a_piece_that_does_not_fit_is_refused_and_nothing_of_it_is_written(
    service, make_blob, offset, size
):
    blob, data = make_blob(5000)
    async with service.open_upload("risk", blob) as stream:
        with pytest.raises(OffsetOutOfRangeError):
            await stream.append(offset, (data + b"!")[:size])
    assert (await service.upload_state("risk", blob)).committed_bytes == 0


async def test_a_piece_over_the_limit_is_refused(service, make_blob):
    blob, data = make_blob(MAX_CHUNK_BYTES + 1)
    async with service.open_upload("risk", blob) as stream:
        with pytest.raises(MessageTooLargeError):
            await stream.append(0, data)


async def test_two_writers_of_one_blob_are_one_too_many(service, make_blob):
    blob, data = make_blob(5000)
    async with service.open_upload("risk", blob) as first:
        await first.append(0, data[:1000])
        with pytest.raises(ConflictError):
            async with service.open_upload("risk", blob):
                pass
        await first.append(1000, data[1000:])
        await first.finish()
    assert await service.find_missing("risk", [blob]) == []


@IN_A_DIRECTORY
async def test_a_writer_that_is_cancelled_leaves_its_bytes_and_lets_go(service, make_blob):
    blob, data = make_blob(5000)
    begun = asyncio.Event()

    async def write() -> None:
        async with service.open_upload("risk", blob) as stream:
            await stream.append(0, data[:1234])
            begun.set()
            await asyncio.Event().wait()

    writing = asyncio.create_task(write())
    await begun.wait()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert (await service.upload_state("risk", blob)).committed_bytes == 1234
    await upload(service, "risk", blob, data)


@IN_A_DIRECTORY
async def test_a_caller_that_leaves_when_all_its_bytes_are_here_loses_nothing(
    service, store, make_blob, monkeypatch
):
    blob, data = make_blob(5000)
    syncing, gate, real = threading.Event(), threading.Event(), os.fsync

    def slow(descriptor: int) -> None:
        syncing.set()
        gate.wait(10)
        real(descriptor)

    writing = asyncio.create_task(upload(service, "risk", blob, data))
    monkeypatch.setattr(os, "fsync", slow)
    assert await asyncio.to_thread(syncing.wait, 10)
    writing.cancel()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await writing
    for _ in range(100):
        if not await service.find_missing("risk", [blob]):
            break
        await asyncio.sleep(0.05)
    assert await service.find_missing("risk", [blob]) == []


async def test_wrong_bytes_give_the_namespace_nothing(service, holds, make_blob):
    blob, data = make_blob(5000)
    with pytest.raises(DigestMismatchError):
        await upload(service, "risk", blob, b"?" + data[1:])
    assert await service.upload_state("risk", blob) == UploadState(0, complete=False)
    assert not holds(blob)


async def test_a_version_may_name_only_what_its_namespace_was_given(service, database, make_blob):
    made = [make_blob(10, seed=seed) for seed in range(3)]
    await service.write_small("risk", [(blob.digest, data) for blob, data in made[:2]])
    blobs = [blob for blob, _ in made]
    database.read_now(lambda connection: queries.require_blobs(connection, "risk", blobs[:2]))
    with pytest.raises(BlobsMissingError) as caught:
        database.read_now(lambda connection: queries.require_blobs(connection, "risk", blobs))
    assert caught.value.metadata["digests"] == blobs[2].digest
    with pytest.raises(BlobsMissingError):
        database.read_now(lambda connection: queries.require_blobs(connection, "growth", blobs[:1]))
    wrong = [Blob(blobs[0].digest, 11)]
    with pytest.raises(BlobsMissingError):
        database.read_now(lambda connection: queries.require_blobs(connection, "risk", wrong))


# --- reading ----------------------------------------------------------------------------------------------


async def test_who_has_no_role_is_refused_whether_the_blob_is_there_or_not(service, named, make_blob):
    blob, data = make_blob(10)
    await service.write_small("risk", [(blob.digest, data)])
    named.add(("risk", blob.digest))
    absent, _ = make_blob(10, seed=1)
    for each in (blob, absent):
        for caller in (PEER, Caller("reader", namespace="growth"), Caller()):
            with pytest.raises(PermissionDeniedError):
                await read(service, each, caller=caller)
            with pytest.raises(PermissionDeniedError):
                await service.read_small(caller, "risk", [each.digest])


async def test_a_blob_that_no_version_names_cannot_be_read(service, named, make_blob):
    blob, data = make_blob(10)
    await service.write_small("risk", [(blob.digest, data)])
    named.add(("growth", blob.digest))
    with pytest.raises(NotFoundError):
        await read(service, blob)
    with pytest.raises(NotFoundError):
        await service.read_small(READER, "risk", [blob.digest])


async def test_a_capability_stands_in_for_a_role_and_only_for_that(service, named, granted, make_blob):
    blob, data = make_blob(10)
    await service.write_small("risk", [(blob.digest, data)])
    with pytest.raises(NotFoundError):
        await read(service, blob, caller=PEER, capability=b"right")
    named.add(("risk", blob.digest))
    assert await read(service, blob, caller=PEER, capability=b"right") == data
    assert await service.read_small(PEER, "risk", [blob.digest], capability=b"right") == [(blob.digest, data)]
    assert granted.asked[-1] == (b"right", "risk", (blob.digest,), PEER.subject)
    with pytest.raises(PermissionDeniedError):
        await read(service, blob, caller=READER, capability=b"wrong")
    with pytest.raises(PermissionDeniedError):
        await service.read_small(READER, "risk", [blob.digest], capability=b"wrong")


async def test_a_range_is_read_in_pieces(service, named, make_blob):
    blob, data = make_blob(PIECE_BYTES * 2 + 5)
    await upload(service, "risk", blob, data, piece=MAX_CHUNK_BYTES)
    named.add(("risk", blob.digest))
    assert await read(service, blob) == data
    assert await read(service, blob, offset=PIECE_BYTES - 1) == data[PIECE_BYTES - 1 :]
    assert await read(service, blob, offset=3, length=PIECE_BYTES) == data[3:][:PIECE_BYTES]
    with pytest.raises(OffsetOutOfRangeError):
        await read(service, blob, offset=blob.size_bytes + 1)


async def test_damaged_bytes_are_never_given_out_as_a_whole(service, named, make_blob, overwrite):
    blob, data = make_blob(PIECE_BYTES + 5)
    await upload(service, "risk", blob, data, piece=MAX_CHUNK_BYTES)
    named.add(("risk", blob.digest))
    overwrite(blob.digest, data[:-1] + b"?")
    given = []
    with pytest.raises(DataLossError):
        async for piece in service.read(READER, "risk", blob.digest):
            given.append(piece.data)
    assert b"".join(given) in (b"", data[:PIECE_BYTES])
    small, content = make_blob(10, seed=1)
    await service.write_small("risk", [(small.digest, content)])
    named.add(("risk", small.digest))
    overwrite(small.digest, b"?" * 10)
    with pytest.raises(DataLossError):
        await service.read_small(READER, "risk", [small.digest])


async def test_a_named_blob_without_possession_is_lost_data(service, named):
    named.add(("risk", "0" * 64))
    with pytest.raises(DataLossError, match="lost"):
        await service.read_small(READER, "risk", ["0" * 64])


@IN_A_DIRECTORY
async def test_a_reader_that_leaves_early_leaves_no_open_file(service, named, make_blob):
    blob, data = make_blob(PIECE_BYTES * 3)
    await upload(service, "risk", blob, data, piece=MAX_CHUNK_BYTES)
    named.add(("risk", blob.digest))
    before = open_files()
    for _ in range(5):
        pieces = service.read(READER, "risk", blob.digest)
        await anext(pieces)
        await pieces.aclose()
    assert open_files() <= before


async def test_a_batch_of_reads_has_the_limits_of_a_message(service, named, make_blob):
    made = [make_blob(800_000, seed=seed) for seed in range(3)]
    for blob, data in made:
        await service.write_small("risk", [(blob.digest, data)])
        named.add(("risk", blob.digest))
    digests = [blob.digest for blob, _ in made]
    assert len(await service.read_small(READER, "risk", digests[:2])) == 2
    with pytest.raises(MessageTooLargeError):
        await service.read_small(READER, "risk", digests)
    with pytest.raises(MessageTooLargeError):
        await service.read_small(READER, "risk", [digests[0]] * 1001)

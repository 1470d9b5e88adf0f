"""What every store promises, small blobs and large ones: `carnet_server.blobs.port`, promise by promise."""

from __future__ import annotations

import contextlib
import itertools
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from carnet.errors import (
    ConflictError,
    DataLossError,
    DigestMismatchError,
    InvalidInputError,
    OffsetOutOfRangeError,
)
from carnet_server.blobs.domain import PIECE_BYTES, Blob
from carnet_server.blobs.objects.names import PART_BYTES

SOON = datetime.now(UTC) + timedelta(hours=1)
LONG_AGO = datetime.now(UTC) - timedelta(days=1)
LARGE = PART_BYTES + 3 * PIECE_BYTES // 2
OF_EACH_SIZE = pytest.mark.parametrize("size", [0, 1, 5000, PART_BYTES, PART_BYTES + 1, LARGE])
SMALL_AND_LARGE = pytest.mark.parametrize("size", [5000, LARGE])


def pieces(store, blob, offset=0, length=0):
    with contextlib.closing(store.open_blob(blob, offset, length)) as reading:
        return list(iter(reading.next_piece, None))


def read(store, blob, offset=0, length=0):
    return b"".join(piece.data for piece in pieces(store, blob, offset, length))


def append(upload, data, size=PIECE_BYTES):
    for at in range(0, len(data), size):
        upload.append(data[at : at + size])


def test_a_store_can_be_used(store):
    store.check()
    store.check()


@OF_EACH_SIZE
def test_what_was_written_is_read(bench, store, holds, make_blob, size):
    blob, data = make_blob(size)
    upload = store.open_upload("risk", blob)
    append(upload, data)
    assert upload.offset == size
    assert not holds(blob)
    upload.finish()
    assert holds(blob)
    assert read(store, blob) == data
    assert store.read_small(blob) == data
    again = bench.open()
    assert read(again, blob) == data
    again.close()


@SMALL_AND_LARGE
def test_another_size_is_not_there(store, holds, make_blob, put, size):
    blob, data = make_blob(size)
    put(blob, data)
    for other in (Blob(blob.digest, size - 1), Blob(blob.digest, size + 1), Blob("0" * 64, size)):
        assert not holds(other)
        with pytest.raises(DataLossError):
            read(store, other)


@pytest.mark.parametrize("way", ["the same store", "another one"])
@pytest.mark.parametrize("written", [0, 1, PIECE_BYTES, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, LARGE])
def test_an_upload_goes_on_where_it_stands(bench, store, holds, make_blob, written, way):
    blob, data = make_blob(LARGE)
    first = store.open_upload("risk", blob)
    append(first, data[:written])
    first.close()
    first.close()
    second = store if way == "the same store" else bench.open()
    kept = second.uploaded_bytes("risk", blob)
    assert bench.kept(written) <= kept <= written
    assert second.uploaded_bytes("growth", blob) == 0
    assert not holds(blob)
    upload = second.open_upload("risk", blob)
    assert upload.offset == kept
    append(upload, data[kept:])
    upload.finish()
    assert read(store, blob) == data
    if second is not store:
        second.close()


@SMALL_AND_LARGE
def test_wrong_bytes_are_refused_and_not_gone_on_with(store, holds, make_blob, put, size):
    blob, data = make_blob(size)
    upload = store.open_upload("risk", blob)
    append(upload, b"?" + data[1:])
    with pytest.raises(DigestMismatchError, match=blob.digest):
        upload.finish()
    assert not holds(blob)
    assert store.uploaded_bytes("risk", blob) == 0
    put(blob, data)
    assert read(store, blob) == data


@SMALL_AND_LARGE
def test_bytes_past_the_size_are_refused_and_none_of_them_is_taken(store, make_blob, size):
    blob, data = make_blob(size)
    upload = store.open_upload("risk", blob)
    append(upload, data[:-100])
    with pytest.raises(OffsetOutOfRangeError):
        upload.append(data[-100:] + b"!")
    assert upload.offset == size - 100
    upload.append(data[-100:])
    upload.finish()
    assert read(store, blob) == data


@SMALL_AND_LARGE
def test_an_upload_that_ends_early_is_no_blob(bench, store, holds, make_blob, size):
    blob, data = make_blob(size)
    upload = store.open_upload("risk", blob)
    append(upload, data[:-1])
    with pytest.raises(OffsetOutOfRangeError) as raised:
        upload.finish()
    assert int(raised.value.metadata["committedBytes"]) == store.uploaded_bytes("risk", blob)
    assert store.uploaded_bytes("risk", blob) >= bench.kept(size - 1)
    assert not holds(blob)


@SMALL_AND_LARGE
def test_one_writer_at_a_time_per_namespace_and_blob(store, make_blob, size):
    blob, data = make_blob(size)
    writer = store.open_upload("risk", blob)
    with pytest.raises(ConflictError, match="another"):
        store.open_upload("risk", blob)
    store.open_upload("growth", blob).close()
    append(writer, data)
    writer.finish()
    store.open_upload("risk", blob).close()


@SMALL_AND_LARGE
def test_two_writers_of_one_digest_agree(bench, store, make_blob, size):
    blob, data = make_blob(size)
    stores = [store, bench.open()]

    def write(each, namespace):
        upload = each.open_upload(namespace, blob)
        append(upload, data)
        upload.finish()

    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(write, *pair) for pair in zip(stores, ("risk", "growth"), strict=True)]:
            done.result(60)
    assert [read(each, blob) for each in stores] == [data, data]
    stores[1].close()


@SMALL_AND_LARGE
def test_writing_a_blob_again_mends_it(bench, store, holds, make_blob, put, size):
    blob, data = make_blob(size)
    put(blob, data)
    bench.damage(blob.digest, bytes(size))
    put(blob, data)
    assert read(store, blob) == data
    bench.lose(blob.digest)
    assert not holds(blob)
    put(blob, data)
    assert read(store, blob) == data


@pytest.mark.parametrize("place", [0, PIECE_BYTES, PART_BYTES - 1, PART_BYTES, LARGE - 1])
def test_a_flipped_bit_is_never_given_out_as_the_blob(bench, store, make_blob, put, place):
    blob, data = make_blob(LARGE)
    put(blob, data)
    damaged = bytearray(data)
    damaged[place] ^= 1
    bench.damage(blob.digest, bytes(damaged))
    given = []
    reading = store.open_blob(blob)
    with pytest.raises(DataLossError) as raised:
        given.extend(iter(reading.next_piece, None))
    reading.close()
    assert raised.value.metadata["digest"] == blob.digest
    assert sum(len(piece.data) for piece in given) < LARGE


def test_a_range_is_exactly_the_range(store, make_blob, put):
    blob, data = make_blob(LARGE)
    put(blob, data)
    edges = (0, 1, PIECE_BYTES, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, LARGE)
    for start, end in itertools.combinations(edges, 2):
        found = pieces(store, blob, start, end - start)
        assert b"".join(piece.data for piece in found) == data[start:end]
        assert [piece.offset for piece in found] == [
            start + at for at in itertools.accumulate([len(p.data) for p in found[:-1]], initial=0)
        ]
        assert max(len(piece.data) for piece in found) <= PIECE_BYTES


@pytest.mark.parametrize(
    ("offset", "length", "error"),
    [
        (LARGE + 1, 0, OffsetOutOfRangeError),
        (LARGE, 1, OffsetOutOfRangeError),
        (0, LARGE + 1, OffsetOutOfRangeError),
        (-1, 0, InvalidInputError),
        (0, -1, InvalidInputError),
    ],
)
def test_a_range_that_is_not_in_the_blob_is_refused(store, make_blob, offset, length, error):
    with pytest.raises(error):
        store.open_blob(make_blob(LARGE)[0], offset, length)


@SMALL_AND_LARGE
def test_a_removed_blob_is_gone_and_leaves_nothing(bench, store, holds, make_blob, put, size):
    blob, data = make_blob(size)
    put(blob, data)
    assert list(store.stored_before(SOON)) == [blob.digest]
    assert list(store.stored_before(LONG_AGO)) == []
    assert store.remove(blob.digest)
    assert not store.remove(blob.digest)
    assert not holds(blob)
    store.discard_uploads(SOON)
    assert bench.leftovers() == []


def test_only_what_nobody_writes_to_is_cleared_away(bench, store, make_blob):
    kept, data = make_blob(LARGE)
    left, _ = make_blob(LARGE, seed=1)
    writing = store.open_upload("risk", kept)
    append(writing, data[: PART_BYTES + 10])
    abandoned = store.open_upload("growth", left)
    append(abandoned, bytes(PART_BYTES))
    abandoned.close()
    assert store.discard_uploads(LONG_AGO) == 0
    assert store.uploaded_bytes("growth", left) == PART_BYTES
    assert store.discard_uploads(SOON) == 1
    assert store.uploaded_bytes("growth", left) == 0
    append(writing, data[PART_BYTES + 10 :])
    writing.finish()
    assert read(store, kept) == data
    store.discard_uploads(SOON)
    assert read(store, kept) == data

"""No byte of a blob is given out that was not compared with a digest, in a range neither."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carnet.errors import DataLossError, InvalidInputError, OffsetOutOfRangeError
from carnet_server.blobs.domain import PIECE_BYTES
from carnet_server.blobs.objects.index import Index, encode_index
from carnet_server.blobs.objects.names import PART_BYTES, index_path
from tests.support.fuzzing import examples

SIZE = 4 * PART_BYTES + 5


@pytest.fixture
def stored(memory, make_blob, put):
    blob, data = make_blob(SIZE)
    put(memory.store, blob, data)
    return blob, data


@settings(
    max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_any_range_is_what_it_is_of_the_whole(memory, stored, read, data):
    blob, whole = stored
    edges = st.sampled_from(
        [0, 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 4 * PART_BYTES, SIZE - 1, SIZE]
    )
    offset = data.draw(edges | st.integers(0, SIZE))
    length = data.draw(
        st.integers(0, SIZE - offset) | st.just(SIZE - offset) | st.just(min(1, SIZE - offset))
    )
    assert read(memory.store, blob, offset, length) == whole[offset : offset + length if length else None]


@pytest.mark.parametrize(
    ("offset", "length", "numbers"),
    [
        (0, 1, [0]),
        (PART_BYTES - 1, 2, [0, 1]),
        (PART_BYTES, PART_BYTES, [1]),
        (SIZE - 1, 0, [4]),
        (SIZE, 0, []),
    ],
)
def test_only_the_parts_that_a_range_touches_are_fetched(
    memory, stored, read, monkeypatch, offset, length, numbers
):
    blob, _ = stored
    real, fetched = memory.bucket.get, []

    def get(path, **options):
        fetched.append(path)
        return real(path, **options)

    monkeypatch.setattr(memory.bucket, "get", get)
    read(memory.store, blob, offset, length)
    index = memory.index(blob)
    assert [path for path in fetched if path.startswith("parts/")] == [
        index.path_of(number) for number in numbers
    ]


def test_pieces_are_of_bounded_size_and_in_order(memory, stored):
    blob, data = stored
    with contextlib.closing(memory.store.open_blob(blob, 3)) as reading:
        pieces = list(iter(reading.next_piece, None))
        assert reading.next_piece() is None
    assert max(len(piece.data) for piece in pieces) == PIECE_BYTES
    position = 3
    for piece in pieces:
        assert piece.offset == position
        position += len(piece.data)
    assert position == SIZE


@pytest.mark.parametrize("size", [10, SIZE])
def test_ranges_that_cannot_be_are_refused(memory, make_blob, put, size):
    blob, data = make_blob(size)
    put(memory.store, blob, data)
    for offset, length, kind in [
        (-1, 0, InvalidInputError),
        (0, -1, InvalidInputError),
        (size + 1, 0, OffsetOutOfRangeError),
        (1, size, OffsetOutOfRangeError),
    ]:
        with pytest.raises(kind):
            memory.store.open_blob(blob, offset, length)


@pytest.mark.parametrize("number", [0, 2, 4])
@pytest.mark.parametrize("damage", ["flip", "short", "long", "gone"])
def test_a_damaged_part_is_data_loss_and_no_byte_of_it_leaves(memory, stored, number, damage):
    blob, data = stored
    path = memory.index(blob).path_of(number)
    part = data[number * PART_BYTES :][:PART_BYTES]
    if damage == "gone":
        memory.bucket.delete([path])
    else:
        memory.bucket.put(
            path, {"flip": part[:-1] + bytes([part[-1] ^ 1]), "short": part[:-1], "long": part + b"!"}[damage]
        )
    taken = b""
    with (
        contextlib.closing(memory.store.open_blob(blob)) as reading,
        pytest.raises(DataLossError, match=blob.digest),
    ):
        while (piece := reading.next_piece()) is not None:
            taken += piece.data
    assert taken == data[: number * PART_BYTES]
    with (
        contextlib.closing(memory.store.open_blob(blob, number * PART_BYTES, 1)) as reading,
        pytest.raises(DataLossError),
    ):
        reading.next_piece()


@pytest.mark.parametrize("damaged", [b"?" * 10, b"?" * 9, b"?" * 11, None])
def test_a_damaged_small_blob_is_data_loss_in_a_range_too(memory, make_blob, put, damaged):
    from carnet_server.blobs.objects.names import single_path

    blob, data = make_blob(10)
    put(memory.store, blob, data)
    memory.bucket.delete([single_path(blob.digest)])
    if damaged is not None:
        memory.bucket.put(single_path(blob.digest), damaged)
    with pytest.raises(DataLossError, match=blob.digest):
        memory.store.open_blob(blob, 3, 1)


def test_an_index_that_fits_itself_and_not_the_blob_gives_out_no_last_part(memory, make_blob, put):
    blob, data = make_blob(SIZE)
    other, others = make_blob(SIZE, seed=1)
    put(memory.store, blob, data)
    put(memory.store, other, others)
    index = memory.index(blob)
    # Parts in another order: whoever can write to the bucket can make such an index.
    parts = (index.parts[1], index.parts[0], *index.parts[2:])
    for number in (0, 1):
        part = data[(1 - number) * PART_BYTES :][:PART_BYTES]
        memory.bucket.put(index.attempt.part_path(number, parts[number]), part)
    memory.bucket.put(index_path(blob.digest), encode_index(Index(index.attempt, SIZE, parts)))
    taken = 0
    with (
        contextlib.closing(memory.store.open_blob(blob)) as reading,
        pytest.raises(DataLossError, match="digest"),
    ):
        while (piece := reading.next_piece()) is not None:
            taken += len(piece.data)
    assert taken == 4 * PART_BYTES


def test_a_reader_goes_on_where_the_blob_was_written_again(memory, stored, put, monkeypatch):
    blob, data = stored
    monkeypatch.setattr("carnet_server.blobs.objects.reading.AHEAD", 1)
    with contextlib.closing(memory.store.open_blob(blob)) as reading:
        first = reading.next_piece().data
        before = memory.index(blob)
        put(memory.store, blob, data, namespace="growth")
        assert memory.index(blob).attempt != before.attempt
        memory.bucket.delete([before.path_of(number) for number in range(5)])
        assert first + b"".join(piece.data for piece in iter(reading.next_piece, None)) == data


def test_closing_in_the_middle_gives_back_what_streams_share(memory, stored):
    blob, _ = stored
    for _ in range(8):
        readings = [memory.store.open_blob(blob) for _ in range(8)]
        for reading in readings:
            reading.next_piece()
        for reading in readings:
            reading.close()
            reading.close()
    shared = memory.store._parts.allowance
    memory.store.close()
    taken = 0
    while shared.acquire(blocking=False):
        taken += 1
    assert taken == 16


def test_many_streams_at_once_all_get_on_although_they_share_little(memory, make_blob, put):
    blob, data = make_blob(2 * PART_BYTES + 5)
    put(memory.store, blob, data)
    readings = [memory.store.open_blob(blob) for _ in range(18)]
    pieces = [[] for _ in readings]
    for _ in range(-(-blob.size_bytes // PIECE_BYTES)):
        for reading, got in zip(readings, pieces, strict=True):
            got.append(reading.next_piece().data)
    for reading, got in zip(readings, pieces, strict=True):
        assert reading.next_piece() is None
        assert b"".join(got) == data
        reading.close()

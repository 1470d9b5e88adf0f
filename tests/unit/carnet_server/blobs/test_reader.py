"""Reading gives the bytes that were written, in pieces, or fails before it has given a damaged whole."""

from __future__ import annotations

import contextlib

import pytest

from carnet.errors import DataLossError, InvalidInputError, OffsetOutOfRangeError
from carnet_server.blobs.domain import PIECE_BYTES
from carnet_server.blobs.objects.names import PART_BYTES
from tests.support.storage import IN_A_DIRECTORY

SIZE = 2 * PIECE_BYTES + 10


def read(store, blob, offset=0, length=0):
    pieces = []
    try:
        with contextlib.closing(store.open_blob(blob, offset, length)) as reader:
            pieces.extend(iter(reader.next_piece, None))
    except DataLossError as error:
        return pieces, error
    return pieces, None


@pytest.mark.parametrize(
    ("offset", "length"),
    [
        (0, 0),
        (0, 1),
        (0, PIECE_BYTES),
        (1, 0),
        (PIECE_BYTES - 1, 2),
        (PIECE_BYTES, 0),
        (2 * PIECE_BYTES, 10),
        (SIZE - 1, 1),
        (SIZE - 1, 0),
        (SIZE, 0),
    ],
)
def test_a_range_is_exactly_the_range_in_pieces_that_follow_each_other(store, make_blob, put, offset, length):
    blob, data = make_blob(SIZE)
    put(blob, data)
    pieces, error = read(store, blob, offset, length)
    assert error is None
    assert b"".join(piece.data for piece in pieces) == data[offset : offset + length if length else None]
    assert all(len(piece.data) <= PIECE_BYTES for piece in pieces)
    at = offset
    for piece in pieces:
        assert piece.offset == at
        at += len(piece.data)


@pytest.mark.parametrize(
    ("offset", "length", "error"),
    [
        (SIZE + 1, 0, OffsetOutOfRangeError),
        (SIZE, 1, OffsetOutOfRangeError),
        (0, SIZE + 1, OffsetOutOfRangeError),
        (-1, 0, InvalidInputError),
        (0, -1, InvalidInputError),
    ],
)
def test_a_range_that_is_not_in_the_blob_is_refused(store, make_blob, put, offset, length, error):
    blob, data = make_blob(SIZE)
    put(blob, data)
    with pytest.raises(error):
        store.open_blob(blob, offset, length)


@pytest.mark.parametrize("place", [0, PIECE_BYTES, SIZE - 1])
def test_a_flipped_bit_anywhere_fails_before_the_last_piece(store, make_blob, put, overwrite, place):
    blob, data = make_blob(SIZE)
    put(blob, data)
    damaged = bytearray(data)
    damaged[place] ^= 1
    overwrite(blob.digest, bytes(damaged))
    pieces, error = read(store, blob)
    assert error is not None
    assert error.metadata["digest"] == blob.digest
    assert sum(len(piece.data) for piece in pieces) <= SIZE - 10


def test_a_damaged_blob_of_one_piece_gives_nothing(store, make_blob, put, overwrite):
    blob, data = make_blob(100)
    put(blob, data)
    overwrite(blob.digest, b"?" * 100)
    pieces, error = read(store, blob)
    assert pieces == []
    assert error is not None


def test_a_blob_of_no_bytes_has_no_pieces(store, make_blob, put):
    blob, data = make_blob(0)
    put(blob, data)
    assert read(store, blob) == ([], None)


@pytest.mark.parametrize("size", [0, SIZE - 1, SIZE + 1])
def test_stored_bytes_of_another_size_are_refused_at_once(store, make_blob, put, overwrite, size):
    blob, data = make_blob(SIZE)
    put(blob, data)
    overwrite(blob.digest, (data + b"!")[:size])
    with pytest.raises(DataLossError, match=blob.digest):
        store.open_blob(blob, 5, 1)


@pytest.mark.parametrize("size", [10, PART_BYTES + 10])
def test_a_blob_that_is_gone_is_lost_data(bench, store, make_blob, put, size):
    blob, data = make_blob(size)
    put(blob, data)
    bench.lose(blob.digest)
    with pytest.raises(DataLossError, match=blob.digest):
        store.open_blob(blob)


@IN_A_DIRECTORY
def test_a_file_that_shrinks_while_it_is_read_is_lost_data(store, make_blob, put, overwrite):
    blob, data = make_blob(SIZE)
    put(blob, data)
    reader = store.open_blob(blob, 1)
    reader.next_piece()
    overwrite(blob.digest, data[: PIECE_BYTES + 5])
    with pytest.raises(DataLossError, match="ends before"):
        reader.next_piece()
    reader.close()

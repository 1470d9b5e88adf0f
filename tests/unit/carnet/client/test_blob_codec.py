"""The codec says on the wire exactly what the generated classes say, and reads whatever they read."""

from __future__ import annotations

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from carnet.client.blob_codec import Chunk, WriteHeader, decode_chunk, encode_first, encode_read_response
from carnet.errors import InvalidInputError
from carnet.registry.v1.blobs_pb2 import BlobRef, ReadBlobResponse, WriteBlobRequest

OFFSETS = st.integers(0, 2**63 - 1)
ANY_OFFSETS = st.integers(-(2**63), 2**63 - 1)
DATA = st.binary(max_size=300)
HEADERS = st.none() | st.builds(
    WriteHeader, st.text(max_size=20), st.text(max_size=20), st.integers(-(2**63), 2**63 - 1)
)


def message_of(offset: int, data: bytes, header: WriteHeader | None) -> WriteBlobRequest:
    message = WriteBlobRequest(offset=offset, data=data)
    if header is not None:
        message.parent = header.parent
        message.blob.CopyFrom(BlobRef(digest=header.digest, size_bytes=header.size_bytes))
    return message


def seen(message: bytes) -> tuple[int, bytes, WriteHeader | None]:
    chunk = decode_chunk(message)
    return chunk.offset, bytes(chunk.data), chunk.first


def field(number: int, value: int | bytes) -> bytes:
    """One encoded field, as any writer of protobuf may put it anywhere in a message."""

    def varint(number: int) -> bytes:
        out = bytearray()
        while number > 0x7F:
            out.append(number & 0x7F | 0x80)
            number >>= 7
        return bytes([*out, number])

    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


@given(OFFSETS, DATA)
def test_what_is_encoded_is_byte_for_byte_the_generated_message(offset: int, data: bytes) -> None:
    encoded = encode_read_response(offset, data)
    assert encoded == ReadBlobResponse(offset=offset, data=data).SerializeToString(deterministic=True)
    assert encoded == WriteBlobRequest(offset=offset, data=data).SerializeToString(deterministic=True)
    assert encoded == encode_read_response(offset, memoryview(data))


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384, 512 << 10, 1 << 20])
@pytest.mark.parametrize("offset", [0, 1, 127, 128, 2**35, 2**63 - 1])
def test_lengths_and_offsets_around_the_edges_of_a_varint_come_back(size: int, offset: int) -> None:
    data = bytes(size)
    encoded = encode_read_response(offset, data)
    assert encoded == ReadBlobResponse(offset=offset, data=data).SerializeToString()
    assert seen(encoded) == (offset, data, None)


@given(ANY_OFFSETS, DATA, HEADERS)
def test_every_generated_message_is_read(offset: int, data: bytes, header: WriteHeader | None) -> None:
    assert seen(message_of(offset, data, header).SerializeToString()) == (offset, data, header)


@given(st.lists(st.tuples(st.sampled_from([1, 2, 9, 100]), st.integers(0, 2**40), DATA), max_size=6))
def test_fields_in_any_order_repeated_or_unknown_are_read_as_the_generated_parser_reads_them(fields) -> None:
    message = b"".join(
        field(number, number_value if number in (1, 9) else data) for number, number_value, data in fields
    )
    parsed = WriteBlobRequest.FromString(message)
    assert seen(message) == (parsed.offset, parsed.data, None)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_like_the_generated_parser_or_refused_like_it(message: bytes) -> None:
    try:
        parsed = WriteBlobRequest.FromString(message)
    except DecodeError:
        with pytest.raises(InvalidInputError):
            decode_chunk(message)
        return
    offset, data, _ = seen(message)
    assert (offset, data) == (parsed.offset, parsed.data)


@given(OFFSETS, DATA, st.integers(0, 320), st.integers(0, 255))
def test_a_damaged_message_is_read_like_the_generated_parser_or_refused_like_it(
    offset: int, data: bytes, place: int, value: int
) -> None:
    damaged = bytearray(encode_read_response(offset, data))
    damaged[place : place + 1] = bytes([value])
    test_any_bytes_are_read_like_the_generated_parser_or_refused_like_it.hypothesis.inner_test(bytes(damaged))


def test_the_data_of_a_plain_message_is_a_view_into_it() -> None:
    message = encode_read_response(7, b"x" * 1000)
    assert decode_chunk(message).data.obj is message


@given(OFFSETS, st.text(max_size=10), st.text(min_size=1, max_size=10), st.integers(0, 2**63 - 1))
def test_a_first_message_is_the_generated_one_and_tells_its_parent(
    offset: int, parent: str, digest: str, size: int
) -> None:
    header = WriteHeader(parent, digest, size)
    encoded = encode_first(header, offset)
    assert encoded == message_of(offset, b"", header).SerializeToString()
    assert decode_chunk(encoded) == Chunk(offset, memoryview(b""), header)
    assert decode_chunk(encoded).parent == parent
    assert decode_chunk(encode_read_response(offset, b"x")).parent == ""

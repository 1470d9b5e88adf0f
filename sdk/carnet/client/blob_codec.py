"""The messages that carry a blob's bytes, encoded and decoded without needless copies.

Responsible for ``ReadBlobResponse`` and ``WriteBlobRequest`` on the wire (fields 1 and 2 are the same in
both, so that a relay passes messages on as they are). What is written here is byte for byte what the
generated classes write, and whatever they can read is read here: a message of just an offset and data, in
that order, is
taken apart in place; any other is left to the generated parser. Checks neither offsets nor sizes.
"""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.message import DecodeError

from carnet.errors import InvalidInputError
from carnet.registry.v1.blobs_pb2 import BlobRef, WriteBlobRequest

_OFFSET_TAG = 0x08  # field 1, varint
_DATA_TAG = 0x12  # field 2, length-delimited
_MAX_OFFSET_VARINT = 9  # 63 bits; a tenth byte makes the number negative
_MAX_LENGTH_VARINT = 5


@dataclass(frozen=True, slots=True)
class WriteHeader:
    """What the first message of a write says besides its bytes.

    Attributes:
        parent: ``namespaces/{namespace}``, unchecked.
        digest: The blob's digest, unchecked.
        size_bytes: The blob's size, unchecked.
    """

    parent: str
    digest: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """A run of a blob's bytes.

    Attributes:
        offset: Where the bytes begin in the blob.
        data: The bytes, inside the message that they came in.
        first: What the first message of a write says; None in every other.
    """

    offset: int
    data: memoryview
    first: WriteHeader | None = None

    @property
    def parent(self) -> str:
        """The resource name that a first message gives; empty in any other."""
        return self.first.parent if self.first else ""


def encode_read_response(offset: int, data: bytes | memoryview) -> bytes:
    """Encode a run of bytes: a ``ReadBlobResponse``, and equally any ``WriteBlobRequest`` but the first.

    Args:
        offset: Where the bytes begin in the blob; not negative.
        data: The bytes.

    Returns:
        The message, with fields that have their default left out as proto3 does.
    """
    prefix = bytearray()
    if offset:
        prefix.append(_OFFSET_TAG)
        _append_varint(prefix, offset)
    if data:
        prefix.append(_DATA_TAG)
        _append_varint(prefix, len(data))
    return b"".join((prefix, data))


def encode_first(header: WriteHeader, offset: int) -> bytes:
    """Encode the first message of a write, without data.

    Args:
        header: Which blob is written, and where.
        offset: Where the bytes of the next message begin.

    Returns:
        The message.
    """
    return WriteBlobRequest(
        offset=offset,
        parent=header.parent,
        blob=BlobRef(digest=header.digest, size_bytes=header.size_bytes),
    ).SerializeToString()


def decode_chunk(message: bytes) -> Chunk:
    """Decode a ``ReadBlobResponse`` or ``WriteBlobRequest``.

    Args:
        message: The bytes as received.

    Returns:
        The chunk; its data is a view into ``message`` where the encoding allows.

    Raises:
        InvalidInputError: The bytes are not such a message.
    """
    return _decode_plain(message) or _decode_any(message)


def _append_varint(target: bytearray, value: int) -> None:
    while value > 0x7F:
        target.append(value & 0x7F | 0x80)
        value >>= 7
    target.append(value)


def _read_varint(message: bytes, position: int, max_length: int) -> tuple[int, int] | None:
    value = 0
    for index, byte in enumerate(message[position : position + max_length]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, position + index + 1
    return None


def _decode_plain(message: bytes) -> Chunk | None:
    """Decode an offset (or none) followed by data that reaches to the end; None for anything else."""
    offset, position = 0, 0
    if message[:1] == bytes((_OFFSET_TAG,)):
        found = _read_varint(message, 1, _MAX_OFFSET_VARINT)
        if found is None:
            return None
        offset, position = found
    if position >= len(message) or message[position] != _DATA_TAG:
        return None
    found = _read_varint(message, position + 1, _MAX_LENGTH_VARINT)
    if found is None or found[0] != len(message) - found[1]:
        return None
    return Chunk(offset, memoryview(message)[found[1] :])


def _decode_any(message: bytes) -> Chunk:
    try:
        parsed = WriteBlobRequest.FromString(message)
    except DecodeError as error:
        raise InvalidInputError("not a message that carries a blob's bytes: it does not parse") from error
    first = None
    if parsed.parent or parsed.HasField("blob"):
        first = WriteHeader(parsed.parent, parsed.blob.digest, parsed.blob.size_bytes)
    return Chunk(parsed.offset, memoryview(parsed.data), first)

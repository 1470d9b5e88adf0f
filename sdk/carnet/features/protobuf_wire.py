"""The wire format of protocol buffers, as far as reading needs it.

Responsible for going through the fields of a message without a schema and without copying: what is not asked
for is skipped, so that a message of gigabytes costs only its outline. Does not know what a field means.

Source: Protocol Buffers, "Encoding".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator

_VARINT, _I64, _LEN, _I32 = 0, 1, 2, 5
_MAX_VARINT_BYTES = 10


def fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield each field's number and value: an integer, or the bytes of text, a message or a packed list.

    Fields of fixed width are skipped.

    Raises:
        InvalidInputError: The bytes are no message.
    """
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        if number == 0:
            raise _broken(at)
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield number, value
        elif kind == _LEN:
            size, at = _varint(message, at)
            if at + size > len(message):
                raise _broken(at)
            yield number, message[at : at + size]
            at += size
        elif kind in (_I64, _I32):
            at += 8 if kind == _I64 else 4
            if at > len(message):
                raise _broken(at)
        else:
            raise _broken(at)


def messages(message: memoryview, number: int) -> Iterator[memoryview]:
    """Yield the bytes of every field of a number that is text, a message or a packed list."""
    for found, value in fields(message):
        if found == number and isinstance(value, memoryview):
            yield value


def message(outer: memoryview, number: int) -> memoryview | None:
    """Return the last field of a number, as a reader of the format does; None where there is none."""
    found = None
    for each in messages(outer, number):
        found = each
    return found


def integer(outer: memoryview, number: int) -> int | None:
    """Return the last integer of a number, signed; None where there is none."""
    value = None
    for found, each in fields(outer):
        if found == number and isinstance(each, int):
            value = each
    return None if value is None else value - (1 << 64) if value >= 1 << 63 else value


def text(outer: memoryview, number: int) -> str:
    """Return the last text of a number; empty where there is none.

    Raises:
        InvalidInputError: It is not UTF-8, or the bytes are no message.
    """
    found = message(outer, number)
    try:
        return bytes(found or b"").decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInputError("not a protocol buffer: a text is not UTF-8") from error


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for place in range(_MAX_VARINT_BYTES):
        if at >= len(message):
            break
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << (7 * place)
        if not byte & 0x80:
            return value, at
    raise _broken(at)


def _broken(at: int) -> InvalidInputError:
    return InvalidInputError(f"not a protocol buffer: the bytes make no sense near offset {at}")

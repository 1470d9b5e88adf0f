"""What judges know, as JSON: written and read by the annotations of their state.

Responsible for the plain form of a state and for reading it strictly: what is not of the annotated type is
refused. Knows the types that states are made of, and no judge.
"""

from __future__ import annotations

import types
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin, get_type_hints

from carnet.audit.statements import Record
from carnet.errors import CarnetError, InvalidInputError
from carnet.translog.entry import format_time, parse_entry

if TYPE_CHECKING:
    from collections.abc import Callable

_Codec = tuple["Callable[[Any], Any]", "Callable[[Any], Any]"]


def to_plain(kind: type, state: Any) -> Any:
    """Return a state as JSON values.

    Args:
        kind: Its dataclass, of numbers, texts, bytes, times, enumerations, records, and of dataclasses,
            tuples, lists, sets and mappings of these. Of a record only the entry is kept.
        state: The state.
    """
    return _codec(kind)[0](state)


def from_plain(kind: type, value: Any) -> Any:
    """Return a state as it was.

    Args:
        kind: Its dataclass.
        value: What ``to_plain`` gave.

    Raises:
        InvalidInputError: The value is not of that form.
    """
    try:
        return _codec(kind)[1](value)
    except (ValueError, TypeError, KeyError, AttributeError, CarnetError) as error:
        raise InvalidInputError(f"it is no {kind.__name__}: {error}") from error


@cache
def _codec(kind: Any) -> _Codec:
    if is_dataclass(kind) and kind is not Record:
        hints = get_type_hints(kind)
        return _object(kind, {each.name: _codec(hints[each.name]) for each in fields(kind)})
    if isinstance(kind, type) and issubclass(kind, Enum):
        return (lambda value: value.value), kind
    return _SIMPLE[kind] if kind in _SIMPLE else _generic(kind)


def _generic(kind: Any) -> _Codec:
    origin, inner = get_origin(kind), get_args(kind)
    if origin in {types.UnionType, Union}:
        return _optional(*_codec(next(each for each in inner if each is not type(None))))
    if origin is dict:
        return _mapping(_codec(inner[0]), _codec(inner[1]))
    if origin is tuple and inner[-1] is not Ellipsis:
        return _fixed([_codec(each) for each in inner])
    return _several(origin, *_codec(inner[0]))


def _optional(write: Callable[[Any], Any], read: Callable[[Any], Any]) -> _Codec:
    return (
        lambda value: None if value is None else write(value),
        lambda value: None if value is None else read(value),
    )


def _mapping(key: _Codec, value: _Codec) -> _Codec:
    def write(state: Any) -> Any:
        return [[key[0](one), value[0](other)] for one, other in state.items()]

    def read(plain: Any) -> Any:
        return {key[1](one): value[1](other) for one, other in _list(plain)}

    return write, read


def _fixed(parts: list[_Codec]) -> _Codec:
    def write(state: Any) -> Any:
        return [part[0](each) for part, each in zip(parts, state, strict=True)]

    def read(plain: Any) -> Any:
        return tuple(part[1](each) for part, each in zip(parts, _list(plain), strict=True))

    return write, read


def _several(kind: Any, write: Callable[[Any], Any], read: Callable[[Any], Any]) -> _Codec:
    return (
        lambda state: [write(each) for each in state],
        lambda plain: kind(read(each) for each in _list(plain)),
    )


def _object(kind: Any, parts: dict[str, _Codec]) -> _Codec:
    def write(state: Any) -> Any:
        return {name: part[0](getattr(state, name)) for name, part in parts.items()}

    def read(plain: Any) -> Any:
        if not isinstance(plain, dict) or plain.keys() != parts.keys():
            raise ValueError(f"{kind.__name__} has the fields {', '.join(parts)}")
        return kind(**{name: part[1](plain[name]) for name, part in parts.items()})

    return write, read


def _list(plain: Any) -> list[Any]:
    if not isinstance(plain, list):
        raise TypeError(f"a list is wanted, not {type(plain).__name__}")
    return plain


def _exactly(kind: type) -> _Codec:
    def read(plain: Any) -> Any:
        if type(plain) is not kind:
            raise TypeError(f"{kind.__name__} is wanted, not {type(plain).__name__}")
        return plain

    return (lambda state: state), read


def _read_time(plain: str) -> datetime:
    time = datetime.fromisoformat(plain)
    if time.tzinfo is None:
        raise ValueError(f"{plain!r} has no time zone")
    return time


def _write_record(record: Record) -> Any:
    return [record.index, record.entry.to_bytes().decode()]


def _read_record(plain: Any) -> Record:
    index, text = _list(plain)
    return Record(_SIMPLE[int][1](index), parse_entry(text.encode()))


_SIMPLE: dict[Any, _Codec] = {
    int: _exactly(int),
    str: _exactly(str),
    bool: _exactly(bool),
    float: ((lambda state: state), (lambda plain: float(_exactly(float)[1](plain)))),
    bytes: (bytes.hex, bytes.fromhex),
    datetime: (format_time, _read_time),
    Record: (_write_record, _read_record),
}

"""Arrow arrays as columns.

Responsible for one Arrow array in the form that the checks know, without copying it where that can be
avoided. Needs pyarrow.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from carnet.features.columns import Codes, Column, Foreign, Lists, Mask, Numbers, Plain, Texts
from carnet.features.packages import needed


def from_arrow(array: Any) -> Column:
    """Return an Arrow array, chunked or not, as a column."""
    pa = needed("pyarrow")
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks == 1 else array.combine_chunks()
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    types, kind = pa.types, array.type
    if types.is_integer(kind) or types.is_floating(kind):
        values = pa.Array.from_buffers(kind, len(array), [None, array.buffers()[1]], offset=array.offset)
        return Numbers(values.to_numpy(), missing_of(array) if array.null_count else None)
    if types.is_dictionary(kind):
        codes = array.indices.fill_null(-1) if array.indices.null_count else array.indices
        return Codes(codes.to_numpy(zero_copy_only=False).astype(np.int64), array.dictionary.to_pylist())
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return Texts(array)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return Lists(array)
    name = _plain_name(types, kind)
    if name is None:
        return Foreign(missing_of(array), lambda index: array[index].as_py())
    return Plain(name, missing_of(array), lambda index: array[index].as_py())


def _plain_name(types: Any, kind: Any) -> str | None:
    if types.is_boolean(kind):
        return "bool"
    if types.is_timestamp(kind):
        return "timestamp" if kind.tz else "naive timestamp"
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
        return "bytes"
    return None


def missing_of(array: Any) -> Mask:
    """Return where an Arrow array has no value."""
    if not array.null_count:
        return np.zeros(len(array), dtype=np.bool_)
    present = array.buffers()[0]
    if present is None:
        found: Mask = array.is_null().to_numpy(zero_copy_only=False)
        return found
    return ~_bits(present, array.offset, len(array))


def flags_of(array: Any) -> Mask:
    """Return an Arrow array of flags; what is missing has any."""
    return _bits(array.buffers()[1], array.offset, len(array))


def _bits(buffer: Any, offset: int, length: int) -> Mask:
    """Return bits as flags; Arrow's own conversion takes dozens of times as long."""
    octets = np.frombuffer(buffer, dtype=np.uint8)[offset // 8 : (offset + length + 7) // 8]
    skipped = offset % 8
    return np.unpackbits(octets, count=skipped + length, bitorder="little")[skipped:].view(np.bool_)


def coded(column: Texts) -> Codes:
    """Return text as codes and the distinct texts."""
    array = column.array
    pa = needed("pyarrow")
    if pa.types.is_string_view(array.type):
        array = array.cast(pa.large_string())
    found = from_arrow(array.dictionary_encode())
    assert isinstance(found, Codes)
    return found

"""Texts of an Arrow array as machine words.

Responsible for words that are equal where texts are: those of Arrow's string view (a length of 32 bits, the
first 4 bytes, and then, of a text of 12 bytes at most, the other 8, padded with zeros), and for codes that
are all of one length the bytes alone. Reads a part of an array at a time; what is missing has any words.

Source: the Arrow columnar format, "Variable-size Binary View Layout".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from carnet.features.packages import needed

if TYPE_CHECKING:
    from numpy.typing import NDArray

CODE_BYTES: Final = 4
INLINE_BYTES: Final = 12
_VIEW_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Codes:
    """Texts that are all of one length, but for empty ones.

    Attributes:
        width: How many bytes each has that is not empty.
        words: The bytes of each that is not empty, padded with zeros.
        sizes: How many bytes each text has, those that are empty too.
    """

    width: int
    words: NDArray[np.uint32]
    sizes: NDArray[Any]


def views_in(array: Any, begin: int, length: int) -> NDArray[np.uint64]:
    """Return the two words of each text, a row each.

    Args:
        array: An Arrow array of strings, large strings or string views.
        begin: The first text.
        length: How many.
    """
    pa = needed("pyarrow")
    if not pa.types.is_string_view(array.type):
        # The cast of a slice makes views of all that stands before it, too; this slice has nothing there.
        _, offsets, data = array.buffers()
        first = (array.offset + begin) * _offset_type(array).itemsize
        part = pa.Array.from_buffers(array.type, length, [None, offsets.slice(first), data])
        array, begin = part.cast(pa.string_view()), 0
    first = (array.offset + begin) * _VIEW_BYTES
    words = np.frombuffer(array.buffers()[1], dtype=np.uint64, offset=first, count=2 * length)
    return words.reshape(-1, 2)


def codes_in(array: Any, begin: int, length: int) -> Codes | None:
    """Return texts that are codes of one length, for a fraction of what making views costs.

    Args:
        array: As above.
        begin: The first text.
        length: How many, one at least.

    Returns:
        The codes; None where the texts have more than 4 bytes, or several lengths, or are views already.
    """
    if needed("pyarrow").types.is_string_view(array.type):
        return None
    _, offsets, data = array.buffers()
    kind = _offset_type(array)
    first = (array.offset + begin) * kind.itemsize
    ends = np.frombuffer(offsets, dtype=kind, offset=first, count=length + 1)
    size = int(ends[-1] - ends[0])
    # The longest of the first few is a guess that costs nothing; what follows makes sure.
    width = int(np.diff(ends[:16]).max(initial=0))
    if not 0 < width <= CODE_BYTES or size % width:
        return None
    sizes = np.diff(ends)
    if sizes.max() != width or np.count_nonzero(sizes) * width != size:
        return None
    return Codes(width, _padded(np.frombuffer(data, dtype=np.uint8)[ends[0] :], size // width, width), sizes)


def code_of(text: str) -> NDArray[np.uint32]:
    """Return the word of one text of 4 bytes at most."""
    return np.frombuffer(text.encode().ljust(CODE_BYTES, b"\0"), dtype=np.uint32)


def _padded(octets: NDArray[np.uint8], count: int, width: int) -> NDArray[np.uint32]:
    """Return codes that stand one behind the other: each is read with the next bytes, which are cleared."""
    wanted = (count - 1) * width + CODE_BYTES
    if len(octets) < wanted:
        octets = np.append(octets, np.zeros(wanted - len(octets), dtype=np.uint8))
    own = np.frombuffer(b"\xff" * width + bytes(CODE_BYTES - width), dtype=np.uint32)
    words: NDArray[np.uint32] = np.ndarray(count, dtype=np.uint32, buffer=octets, strides=(width,)) & own
    return words


def _offset_type(array: Any) -> np.dtype[Any]:
    large = needed("pyarrow").types.is_large_string(array.type)
    return np.dtype(np.int64 if large else np.int32)

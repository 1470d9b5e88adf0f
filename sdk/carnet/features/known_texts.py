"""Which texts of a column are none of those that a feature knows.

Responsible for one quick pass over an Arrow array. Arrow's string view keeps a text of 12 bytes at most, with
its length, in two machine words, padded with zeros: where all known texts are so short, each text is looked
up by its words in a small table, which costs a third to a half of what hashing its bytes does. The table has
no collisions among the known texts, and what stands in it is compared, so the answer is exact. Where a known
text is longer, or no such table is found, Arrow hashes the texts.

Source: the Arrow columnar format, "Variable-size Binary View Layout".
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from carnet.features.arrow_columns import flags_of, missing_of
from carnet.features.packages import needed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_INLINE_BYTES: Final = 12
# A text this short leaves the second word at zero, and the first has its length.
_ONE_WORD_BYTES: Final = 4
_WORD_BITS: Final = 64
_MAX_TEXTS: Final = 512
_MAX_TABLE_BITS: Final = 16
_TRIES: Final = 64
# Views of so many texts are made at a time: 2 MiB, which are used again and stay in a shared cache.
_BLOCK: Final = 1 << 17
_NOWHERE: Final = np.empty(0, dtype=np.int64)


class KnownTexts:
    """Some texts, made ready for looking a column through; make it once for a feature.

    Args:
        texts: The texts that are known, each once.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        # What cannot be UTF-8 stands in no Arrow array.
        self._texts = tuple(text for text in texts if _is_unicode(text))

    @cached_property
    def _table(self) -> _Table | None:
        longest = max((len(text.encode()) for text in self._texts), default=0)
        if not 0 < len(self._texts) <= _MAX_TEXTS or longest > _INLINE_BYTES:
            return None
        return _Table.of(self._texts, words=1 if longest <= _ONE_WORD_BYTES else 2)

    def others(self, array: Any) -> NDArray[Any]:
        """Return the places of the texts that are not known, in order; where there is none is no text.

        Args:
            array: An Arrow array of strings, large strings or string views.
        """
        pa = needed("pyarrow")
        if self._table is None:
            places = self._by_hash(pa, array)
        else:
            parts = [
                begin + self._table.others(_views(pa, array, begin, min(_BLOCK, len(array) - begin)))
                for begin in range(0, len(array), _BLOCK)
            ]
            places = np.concatenate(parts) if parts else _NOWHERE
        return places[~missing_of(array)[places]] if len(places) and array.null_count else places

    def _by_hash(self, pa: Any, array: Any) -> NDArray[Any]:
        if pa.types.is_string_view(array.type):
            array = array.cast(pa.large_string())
        known = pa.array(self._texts, array.type)
        found = needed("pyarrow.compute").is_in(array, value_set=known)
        return np.flatnonzero(~flags_of(found))


class _Table:
    """Known texts by their words, each at a place that a multiplication gives.

    Args:
        words: The words of each text, a row each.
        factors: What each word is multiplied with.
        bits: The size of the table, as a power of two.
    """

    def __init__(self, words: NDArray[np.uint64], factors: NDArray[np.uint64], bits: int) -> None:
        self._factors = factors
        self._shift = np.uint64(_WORD_BITS - bits)
        # What is nowhere in the table is compared with the first text, whose own place is another.
        self._rows = np.repeat(words[:1].T, 1 << bits, axis=1)
        self._rows[:, self._places(list(words.T))] = words.T

    @classmethod
    def of(cls, texts: Sequence[str], *, words: int) -> _Table | None:
        """Return a table of texts; None where none is found in which each has a place of its own."""
        pa = needed("pyarrow")
        found = _views(pa, pa.array(texts, pa.string_view()), 0, len(texts))[:, :words]
        # So many places that more than a tenth of the tries leave no two texts at one of them.
        bits = min((len(texts) ** 2).bit_length(), _MAX_TABLE_BITS)
        draw = np.random.default_rng(0)
        for _ in range(_TRIES):
            factors = draw.integers(0, 1 << 63, words, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
            table = cls(found, factors, bits)
            if len(np.unique(table._places(list(found.T)))) == len(texts):
                return table
        return None

    def others(self, views: NDArray[np.uint64]) -> NDArray[Any]:
        """Return the places of the views that are of no known text."""
        columns = [views[:, word] for word in range(len(self._factors))]
        places = self._places(columns)
        wrong = self._rows[0].take(places) != columns[0]
        for row, column in zip(self._rows[1:], columns[1:], strict=True):
            wrong |= row.take(places) != column
        return np.flatnonzero(wrong) if wrong.any() else _NOWHERE

    def _places(self, columns: Sequence[NDArray[np.uint64]]) -> NDArray[np.int64]:
        mixed = columns[0] * self._factors[0]
        for column, factor in zip(columns[1:], self._factors[1:], strict=True):
            mixed += column * factor
        mixed >>= self._shift
        places: NDArray[np.int64] = mixed.view(np.int64)
        return places


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _views(pa: Any, array: Any, begin: int, length: int) -> NDArray[np.uint64]:
    """Return the two words of each of some texts; where there is none, any words."""
    if not pa.types.is_string_view(array.type):
        # The cast of a slice makes views of all that stands before it, too; this slice has nothing there.
        _, offsets, data = array.buffers()
        width = 8 if pa.types.is_large_string(array.type) else 4
        first = (array.offset + begin) * width
        part = pa.Array.from_buffers(array.type, length, [None, offsets.slice(first), data])
        array, begin = part.cast(pa.string_view()), 0
    words = np.frombuffer(
        array.buffers()[1], dtype=np.uint64, offset=(array.offset + begin) * 16, count=2 * length
    )
    return words.reshape(-1, 2)

"""Which texts of a column are none of those that a feature knows.

Responsible for one quick pass over an Arrow array. Where all known texts have 12 bytes at most, each text is
looked up by its words (``carnet.features.text_words``) in a small table, which costs a third to a half of
what hashing its bytes does. The table has no collisions among the known texts, and what stands in it is
compared, so the answer is exact. Where a known text is longer, or no such table is found, Arrow hashes.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from carnet.features.arrow_columns import flags_of, missing_of
from carnet.features.packages import needed
from carnet.features.text_words import CODE_BYTES, INLINE_BYTES, code_of, codes_in, views_in

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

_MAX_TEXTS: Final = 512
_MAX_TABLE_BITS: Final = 16
_TRIES: Final = 64
# So many texts at a time: their words are in a cache, and calls are few beside the work.
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

    def others(self, array: Any) -> NDArray[Any]:
        """Return the places of the texts that are not known, in order; where there is none is no text.

        Args:
            array: An Arrow array of strings, large strings or string views.
        """
        if self._views is None:
            places = self._by_hash(array)
        else:
            parts = [
                begin + self._in_part(self._views, array, begin, min(_BLOCK, len(array) - begin))
                for begin in range(0, len(array), _BLOCK)
            ]
            places = np.concatenate(parts) if parts else _NOWHERE
        return places[~missing_of(array)[places]] if len(places) and array.null_count else places

    @cached_property
    def _views(self) -> _Table | None:
        """The known texts by the words of their views; None where there are too many, or one is too long."""
        sizes = [len(text.encode()) for text in self._texts]
        if not 0 < len(sizes) <= _MAX_TEXTS or max(sizes) > INLINE_BYTES:
            return None
        pa = needed("pyarrow")
        views = views_in(pa.array(self._texts, pa.string_view()), 0, len(sizes))
        # A text this short leaves the second word at zero, and the first has its length.
        return _Table.of(views[:, :1] if max(sizes) <= CODE_BYTES else views)

    @cached_property
    def _codes(self) -> Mapping[int, _Table | None]:
        """The known texts of each length that codes can have, by their bytes."""
        alike: dict[int, list[NDArray[np.uint32]]] = {}
        for text in self._texts:
            if 0 < len(text.encode()) <= CODE_BYTES:
                alike.setdefault(len(text.encode()), []).append(code_of(text))
        return {width: _Table.of(np.array(words)) for width, words in alike.items()}

    def _in_part(self, views: _Table, array: Any, begin: int, length: int) -> NDArray[Any]:
        codes = codes_in(array, begin, length) if self._codes else None
        table = None if codes is None else self._codes.get(codes.width)
        if codes is None or table is None:
            return views.others(views_in(array, begin, length)[:, : views.words])
        wrong = table.others(codes.words[:, np.newaxis])
        if len(codes.words) == length:
            return wrong
        filled = codes.sizes > 0
        if len(wrong):
            wrong = np.flatnonzero(filled)[wrong]
        return wrong if "" in self._texts else np.sort(np.concatenate((wrong, np.flatnonzero(~filled))))

    def _by_hash(self, array: Any) -> NDArray[Any]:
        pa = needed("pyarrow")
        if pa.types.is_string_view(array.type):
            array = array.cast(pa.large_string())
        known = pa.array(self._texts, array.type)
        found = needed("pyarrow.compute").is_in(array, value_set=known)
        return np.flatnonzero(~flags_of(found))


class _Table:
    """Known texts by their words, each at a place that a multiplication gives.

    Args:
        rows: The words of each text, a row each, of any unsigned type.
        factors: What each word is multiplied with.
        bits: The size of the table, as a power of two.
    """

    def __init__(self, rows: NDArray[Any], factors: NDArray[Any], bits: int) -> None:
        self.words = len(factors)
        self._factors = factors
        self._shift = rows.dtype.type(8 * rows.itemsize - bits)
        # What is nowhere in the table is compared with the first text, whose own place is another.
        self._columns = np.repeat(rows[:1].T, 1 << bits, axis=1)
        self._columns[:, self._places(list(rows.T))] = rows.T

    @classmethod
    def of(cls, rows: NDArray[Any]) -> _Table | None:
        """Return a table of texts; None where none is found in which each has a place of its own."""
        count, words = rows.shape
        # So many places that more than a tenth of the tries leave no two texts at one of them.
        bits = min((count**2).bit_length(), _MAX_TABLE_BITS)
        draw = np.random.default_rng(0)
        for _ in range(_TRIES):
            factors = draw.integers(0, np.iinfo(rows.dtype).max, words, dtype=rows.dtype, endpoint=True) | 1
            table = cls(rows, factors.astype(rows.dtype), bits)
            if len(np.unique(table._places(list(rows.T)))) == count:
                return table
        return None

    def others(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Return which rows of words are of no known text."""
        words = list(rows.T)
        places = self._places(words)
        wrong = self._columns[0].take(places) != words[0]
        for column, word in zip(self._columns[1:], words[1:], strict=True):
            wrong |= column.take(places) != word
        return np.flatnonzero(wrong) if wrong.any() else _NOWHERE

    def _places(self, words: Sequence[NDArray[Any]]) -> NDArray[Any]:
        mixed: NDArray[Any] = words[0] * self._factors[0]
        for word, factor in zip(words[1:], self._factors[1:], strict=True):
            mixed += word * factor
        mixed >>= self._shift
        if mixed.itemsize == np.dtype(np.int64).itemsize:
            # What an index is made of; other types are converted for it.
            mixed = mixed.view(np.int64)
        return mixed


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)

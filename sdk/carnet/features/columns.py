"""The forms that a column of a table can have.

Responsible for the few forms that the checks know, whatever library the table came from. A form says how its
values are kept, and not whether they are right. Reading tables into them is in ``carnet.features.tables``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
# A value of a column by its place, for showing it.
Show = Callable[[int], Any]


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """Integers or floats; where ``missing`` is True a value means nothing. NaN is missing too."""

    values: NDArray[Any]
    missing: Mask | None = None

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, slots=True, eq=False)
class Plain:
    """Values whose type says all that is asked: flags, bytes, and times that have or have no zone."""

    kind: str  # "bool", "bytes", "timestamp" or "naive timestamp"
    missing: Mask
    show: Show

    def __len__(self) -> int:
        return len(self.missing)


@dataclass(frozen=True, slots=True, eq=False)
class Codes:
    """Each value as its place in a list of distinct ones; -1 where it is missing."""

    codes: NDArray[Any]
    distinct: Sequence[Any]

    def __len__(self) -> int:
        return len(self.codes)


@dataclass(frozen=True, slots=True, eq=False)
class Texts:
    """An Arrow array of text."""

    array: Any

    def __len__(self) -> int:
        return len(self.array)


@dataclass(frozen=True, slots=True, eq=False)
class Objects:
    """Python objects of any types."""

    values: Sequence[Any]

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, slots=True, eq=False)
class Arrays:
    """An array a row: a numpy array whose first dimension is the row."""

    values: NDArray[Any]

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, slots=True, eq=False)
class Lists:
    """An Arrow array of lists."""

    array: Any

    def __len__(self) -> int:
        return len(self.array)


@dataclass(frozen=True, slots=True, eq=False)
class Foreign:
    """A type that no feature has."""

    missing: Mask
    show: Show

    def __len__(self) -> int:
        return len(self.missing)


Column = Numbers | Plain | Codes | Texts | Objects | Arrays | Lists | Foreign

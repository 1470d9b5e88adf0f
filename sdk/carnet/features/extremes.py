"""Where a column of numbers leaves its limits.

Responsible for looking at each number as seldom as can be: the least and the greatest of a block decide, and
only a block that they do not clear is looked at number by number. Says where, and not which rule is broken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from carnet.features.columns import Numbers
from carnet.features.missing import absent_in

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from carnet.features.columns import Mask
    from carnet.features.limits import Limits

# The second look at so many numbers finds them in a cache, and calls are few beside the work.
_BLOCK: Final = 1 << 17


@dataclass(frozen=True, slots=True)
class Suspects:
    """What is not plainly right in a column.

    Attributes:
        absent: The places without a value; not looked for where they are no violation.
        outside: The places of the values that are beyond the limits, or not whole.
    """

    absent: NDArray[Any]
    outside: NDArray[Any]


def suspects_in(column: Numbers, limits: Limits, *, whole: bool, nullable: bool) -> Suspects:
    """Return the places of the numbers that are wrong.

    Args:
        column: The numbers.
        limits: What they must lie between.
        whole: Whether floats must be whole numbers.
        nullable: Whether a value may be missing.
    """
    values, missing = column.values, column.missing
    floats = values.dtype.kind == "f"
    # NaN is missing: where that is allowed it is passed over, and else it makes the comparison False.
    passes_nan = floats and nullable
    least = np.fmin.reduce if passes_nan else np.minimum.reduce
    most = np.fmax.reduce if passes_nan else np.maximum.reduce
    absent, outside = [], []
    for begin in range(0, len(values), _BLOCK):
        block = values[begin : begin + _BLOCK]
        gone = None if missing is None else missing[begin : begin + _BLOCK]
        if (
            (gone is None or nullable or not gone.any())
            and limits.low <= least(block)
            and most(block) <= limits.high
            and not (whole and floats and _has_fractions(block))
        ):
            continue
        lost = absent_in(Numbers(block, gone))
        outside.append(begin + np.flatnonzero(_wrong(block, limits, whole=whole and floats) & ~lost))
        if not nullable:
            absent.append(begin + np.flatnonzero(lost))
    return Suspects(_joined(absent), _joined(outside))


def _has_fractions(block: NDArray[Any]) -> bool:
    return bool(np.any(np.trunc(block) != block))


def _wrong(block: NDArray[Any], limits: Limits, *, whole: bool) -> Mask:
    wrong: Mask = (block < limits.low) | (block > limits.high)
    if whole:
        wrong |= np.trunc(block) != block
    return wrong


def _joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)

"""What is missing in a column.

Responsible for one mask, whatever the column's form: where there is no value, or a mark of none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from carnet.features.arrow_columns import missing_of
from carnet.features.columns import Codes, Foreign, Lists, Numbers, Objects, Plain, Texts
from carnet.features.scalars import ABSENT, is_missing

if TYPE_CHECKING:
    from carnet.features.columns import Column, Mask


def absent_in(column: Column) -> Mask:  # noqa: PLR0911  one return a form
    """Return where a column has no value."""
    if isinstance(column, Numbers):
        nan = np.isnan(column.values) if column.values.dtype.kind == "f" else None
        if nan is None:
            return np.zeros(len(column), dtype=np.bool_) if column.missing is None else column.missing
        found: Mask = nan if column.missing is None else nan | column.missing
        return found
    if isinstance(column, Plain | Foreign):
        return column.missing
    if isinstance(column, Texts | Lists):
        return missing_of(column.array)
    if isinstance(column, Codes):
        lost = [-1, *(code for code, value in enumerate(column.distinct) if is_missing(value))]
        return np.isin(column.codes, lost)
    if isinstance(column, Objects):
        flags = (each is ABSENT or is_missing(each) for each in column.values)
        return np.fromiter(flags, dtype=np.bool_, count=len(column))
    return np.zeros(len(column), dtype=np.bool_)

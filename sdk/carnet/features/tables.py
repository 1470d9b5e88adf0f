"""Tables of several libraries as columns.

Responsible for telling what a table is and for handing out its columns one by one: rows (a list of dicts),
pandas frames, Arrow tables and record batches, numpy arrays that are structured or have two dimensions, and
whatever gives its data by Arrow's C stream. Holds no copy of the table. One row is not a table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from carnet.errors import InvalidInputError
from carnet.features.arrow_columns import from_arrow
from carnet.features.columns import Arrays, Column, Objects
from carnet.features.packages import needed
from carnet.features.pandas_columns import from_numpy, from_series
from carnet.features.scalars import ABSENT


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    Attributes:
        rows: How many rows it has.
        names: The columns in order; a name can stand there twice.
        read: Returns a column, given what ``find`` returned for its place.
        find: Returns what the library has at a place, without a copy of it.
    """

    rows: int
    names: tuple[str, ...]
    read: Callable[[Any], Column]
    find: Callable[[int], Any] = int

    def column(self, place: int) -> Column:
        """Return the column at a place."""
        return self.read(self.find(place))

    def places(self) -> tuple[dict[str, int], list[str]]:
        """Return where each name stands first, and the names that stand there more than once."""
        first: dict[str, int] = {}
        for place, name in enumerate(self.names):
            first.setdefault(name, place)
        if len(first) == len(self.names):
            return first, []
        return first, [name for name, count in Counter(self.names).items() if count > 1]


def read_table(data: Any, *, names: Sequence[str] | None = None) -> Table:
    """Return data as a table.

    Args:
        data: A list of dicts, a pandas DataFrame, a pyarrow Table or RecordBatch, a numpy array, or another
            library's table with ``__arrow_c_stream__``.
        names: The names of the columns of a numpy array with two dimensions.

    Raises:
        InvalidInputError: It is none of those, or a row of it is no dict.
        PreconditionFailedError: It needs a package that is not installed.
    """
    if isinstance(data, np.ndarray):
        return _from_array(data, names)
    if isinstance(data, list | tuple):
        return _from_rows(data)
    home = type(data).__module__.partition(".")[0]
    if home == "pandas" and hasattr(data, "columns"):
        return _from_frame(data)
    if home != "pyarrow" and hasattr(data, "__arrow_c_stream__"):
        data = needed("pyarrow").table(data)
        home = "pyarrow"
    if home == "pyarrow" and hasattr(data, "column_names"):
        return Table(data.num_rows, tuple(data.column_names), lambda place: from_arrow(data.column(place)))
    raise InvalidInputError(
        f"{type(data).__name__} is no data that can be checked: give a dict for one row, a list of dicts, a "
        "pandas DataFrame, a pyarrow Table or RecordBatch, or a numpy array",
        metadata={"field": "data"},
    )


def _from_frame(data: Any) -> Table:
    labels, plain = list(data.columns), data.columns.is_unique and data.columns.nlevels == 1

    def find(place: int) -> Any:
        # A column is found several times as quickly by its name, where that is no other's.
        label = labels[place]
        return data[label] if plain and type(label) is str else data.iloc[:, place]

    names = tuple(each if isinstance(each, str) else str(each) for each in labels)
    return Table(len(data), names, from_series, find)


def _from_array(data: Any, names: Sequence[str] | None) -> Table:
    if data.dtype.names is not None and data.ndim == 1:

        def column(place: int) -> Column:
            values = data[data.dtype.names[place]]
            return from_numpy(values) if values.ndim == 1 else Arrays(values)

        return Table(len(data), tuple(data.dtype.names), column)
    if data.ndim != 2:
        raise InvalidInputError(
            f"a numpy array of {data.ndim} dimensions is no table: give two, rows and columns, or a "
            "structured array",
            metadata={"field": "data"},
        )
    if names is None or len(names) != data.shape[1]:
        raise InvalidInputError(
            f"the array has {data.shape[1]} columns, and {len(names or ())} names are given for them",
            metadata={"field": "names"},
        )
    return Table(len(data), tuple(names), lambda place: from_numpy(data[:, place]))


def _from_rows(data: Sequence[Any]) -> Table:
    seen: dict[str, None] = {}
    known = seen.keys()
    for index, row in enumerate(data):
        if not isinstance(row, Mapping):
            raise InvalidInputError(
                f"row {index} is a {type(row).__name__}: every row must be a dict from name to value",
                metadata={"field": f"data[{index}]"},
            )
        if not row.keys() <= known:
            seen.update(dict.fromkeys(row))
    keys = tuple(seen)
    return Table(
        len(data),
        tuple(str(key) for key in keys),
        lambda place: Objects([row.get(keys[place], ABSENT) for row in data]),
    )

"""A schema from a sample of data.

Responsible for the narrowest schema that the sample satisfies: types as the columns have them, ranges,
categories and nullability as they were seen. A sample is not the world: what it proposes is to be read and
widened by a person before it is published.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from carnet.errors import InvalidInputError
from carnet.features.arrow_columns import coded
from carnet.features.building import build_schema
from carnet.features.columns import Arrays, Codes, Lists, Numbers, Objects, Plain, Texts
from carnet.features.pandas_columns import from_numpy
from carnet.features.scalars import ABSENT, is_missing
from carnet.features.tables import Table, read_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from carnet.bundle.feature_schema import FeatureSchema
    from carnet.features.columns import Column

DEFAULT_MAX_CATEGORIES = 20


def infer_schema(
    data: Any,
    *,
    outputs: Sequence[str] = (),
    ranges: bool = True,
    max_categories: int = DEFAULT_MAX_CATEGORIES,
    names: Sequence[str] | None = None,
) -> FeatureSchema:
    """Propose a schema for a sample.

    Args:
        data: The sample: rows, a pandas DataFrame, an Arrow table, a numpy array with ``names``, or a table
            of ``carnet.features.files``.
        outputs: The columns that are outputs; all others are inputs.
        ranges: Whether minimum and maximum are taken from the sample.
        max_categories: Text with so many different values at most, each seen twice on average, is a
            categorical feature with those values; 0 for never.
        names: The names of the columns of an array.

    Returns:
        A schema that the sample satisfies.

    Raises:
        InvalidInputError: A column has mixed types, no values, or a type that no feature has; an output is no
            column; ``metadata["field"]`` names it.
        PreconditionFailedError: It needs a package that is not installed.
    """
    table = data if isinstance(data, Table) else read_table(data, names=names)
    missing = [name for name in outputs if name not in table.names]
    if missing:
        raise InvalidInputError(
            f"there is no column {missing[0]!r} that could be an output; there are {', '.join(table.names)}",
            metadata={"field": "outputs"},
        )
    inferred = _Inference(ranges=ranges, max_categories=max_categories)
    found = {name: [] for name in ("inputs", "outputs")}  # type: dict[str, list[dict[str, Any]]]
    for place, name in enumerate(table.names):
        feature = {"name": name, **inferred.of(name, table.column(place))}
        found["outputs" if name in outputs else "inputs"].append(feature)
    return build_schema(found["inputs"], found["outputs"])


class _Inference:
    """What a column tells of a feature."""

    def __init__(self, *, ranges: bool, max_categories: int) -> None:
        self._ranges = ranges
        self._max_categories = max_categories

    def of(self, name: str, column: Column) -> dict[str, Any]:  # noqa: PLR0911  one return a form
        """Return the feature's fields but its name."""
        if isinstance(column, Numbers):
            return self._numbers(name, column)
        if isinstance(column, Plain) and column.kind != "naive timestamp":
            return {"type": column.kind, "nullable": bool(column.missing.any())}
        if isinstance(column, Texts):
            return self._texts(name, coded(column), declared=False)
        if isinstance(column, Codes) and all(isinstance(each, str) for each in column.distinct):
            return self._texts(name, column, declared=True)
        if isinstance(column, Codes):
            values = [column.distinct[code] if code >= 0 else None for code in column.codes]
            return self._objects(name, values)
        if isinstance(column, Objects):
            return self._objects(name, column.values)
        if isinstance(column, Lists):
            return self._objects(name, column.array.to_pylist())
        if isinstance(column, Arrays):
            inner = self.of(name, from_numpy(column.values.reshape(-1)))
            return {**inner, "shape": list(column.values.shape[1:])}
        naive = isinstance(column, Plain)
        what = "times without a zone: give them one, such as UTC" if naive else "a type that no feature has"
        raise _unclear(name, what)

    def _numbers(self, name: str, column: Numbers) -> dict[str, Any]:
        values = column.values if column.missing is None else column.values[~column.missing]
        empty = column.missing is not None and bool(column.missing.any())
        if values.dtype.kind == "f":
            nan = np.isnan(values)
            empty = empty or bool(nan.any())
            values = values[~nan]
            if np.isinf(values).any():
                raise _unclear(name, "infinite values, which no feature takes")
        if values.dtype.name not in _NUMBER_TYPES:
            raise _unclear(name, f"the type {values.dtype.name}, which no feature has")
        found: dict[str, Any] = {"type": values.dtype.name, "nullable": empty}
        if self._ranges and len(values):
            found["minimum"] = _outward(values.min().item(), upper=False)
            found["maximum"] = _outward(values.max().item(), upper=True)
        return found

    def _texts(self, name: str, column: Codes, *, declared: bool) -> dict[str, Any]:
        present = column.codes[column.codes >= 0]
        if not len(present):
            raise _unclear(name, "no values, so that its type cannot be told")
        nullable = len(present) < len(column.codes)
        seen = sorted({column.distinct[code] for code in np.unique(present)})
        categories = sorted(set(column.distinct)) if declared else seen
        few = len(categories) <= self._max_categories
        if few and (declared or 2 * len(seen) <= len(present)):
            return {"type": "categorical", "nullable": nullable, "categories": categories}
        return {"type": "string", "nullable": nullable}

    def _objects(self, name: str, values: Sequence[Any]) -> dict[str, Any]:
        present = [each for each in values if each is not ABSENT and not is_missing(each)]
        nullable = len(present) < len(values)
        if not present:
            raise _unclear(name, "no values, so that its type cannot be told")
        if all(isinstance(each, list | tuple) or (hasattr(each, "shape") and each.shape) for each in present):
            return {**self._nested(name, present), "nullable": nullable}
        kinds = {_kind_of(each) for each in present}
        if kinds == {"int", "float"}:
            kinds = {"float"}
        if len(kinds) != 1 or "" in kinds:
            types = ", ".join(sorted({type(each).__name__ for each in present})[:5])
            raise _unclear(name, f"values of the types {types}")
        kind = kinds.pop()
        if kind == "string":
            return {**self._coded_texts(name, present), "nullable": nullable}
        if kind in ("int", "float"):
            return {**self._numbers(name, Numbers(_as_numbers(name, present, kind))), "nullable": nullable}
        return {"type": kind, "nullable": nullable}

    def _coded_texts(self, name: str, present: Sequence[str]) -> dict[str, Any]:
        distinct = list(dict.fromkeys(present))
        places = {value: place for place, value in enumerate(distinct)}
        codes = np.array([places[value] for value in present])
        return self._texts(name, Codes(codes, distinct), declared=False)

    def _nested(self, name: str, present: Sequence[Any]) -> dict[str, Any]:
        leaves: list[Any] = []
        shapes = {_shape_of(name, each, leaves) for each in present}
        if len({len(shape) for shape in shapes}) != 1:
            raise _unclear(name, "arrays of different dimensions")
        if not leaves:
            raise _unclear(name, "empty arrays only")
        if any(is_missing(each) for each in leaves):
            raise _unclear(name, "arrays with missing elements, which no feature takes")
        sizes = [set(each) for each in zip(*shapes, strict=True)]
        shape = [each.pop() if len(each) == 1 and 0 not in each else -1 for each in sizes]
        return {**self._objects(name, leaves), "shape": shape}


_NUMBER_TYPES = frozenset(
    [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)] + ["float16", "float32", "float64"]
)


def _kind_of(value: object) -> str:
    if isinstance(value, bool | np.bool_):
        return "bool"
    if isinstance(value, int | np.integer):
        return "int"
    if isinstance(value, float | np.floating):
        return "float"
    if isinstance(value, str):
        return "string"
    if isinstance(value, bytes | bytearray):
        return "bytes"
    return "timestamp" if isinstance(value, datetime) and value.tzinfo is not None else ""


def _as_numbers(name: str, values: Sequence[Any], kind: str) -> Any:
    for dtype in (np.int64, np.uint64) if kind == "int" else (np.float64,):
        try:
            return np.array(values, dtype=dtype)
        except OverflowError:
            continue
    raise _unclear(name, "numbers that fit in no type of 64 bits")


def _shape_of(name: str, value: Any, leaves: list[Any]) -> tuple[int, ...]:
    """Return the shape of a nested list, and add its leaves to a list."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if not isinstance(value, list | tuple):
        leaves.append(value)
        return ()
    inner = {_shape_of(name, each, leaves) for each in value}
    if len({len(shape) for shape in inner}) > 1:
        raise _unclear(name, "arrays of different dimensions")
    merged = tuple(each.pop() if len(each) == 1 else -1 for each in map(set, zip(*inner, strict=True)))
    return (len(value), *merged)


def _outward(value: float, *, upper: bool) -> float:
    """Return a bound as a float that is no narrower than an integer it cannot hold exactly."""
    bound = float(value)
    if upper:
        return math.nextafter(bound, math.inf) if bound < value else bound
    return math.nextafter(bound, -math.inf) if bound > value else bound


def _unclear(name: str, what: str) -> InvalidInputError:
    return InvalidInputError(
        f"the column {name!r} has {what}: give it one type, or leave it out of the sample",
        metadata={"field": name},
    )

"""A whole column against one feature.

Responsible for the rules of ``carnet.features.scalars`` on many values at once: a column that is right costs
one or two passes over it, and only what is wrong is looked at more closely. A value has one violation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from carnet.features.arrow_columns import coded, from_arrow, missing_of
from carnet.features.columns import Arrays, Codes, Foreign, Lists, Numbers, Objects, Plain, Texts
from carnet.features.expectations import expectation
from carnet.features.extremes import suspects_in
from carnet.features.known_texts import KnownTexts
from carnet.features.limits import Limits, as_float_limit, family_of, limits_of
from carnet.features.missing import absent_in
from carnet.features.packages import needed
from carnet.features.pandas_columns import from_numpy
from carnet.features.report import MAX_EXAMPLES
from carnet.features.scalars import compile_check, is_missing

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from carnet.bundle.feature_schema import Feature
    from carnet.features.columns import Column, Mask, Show
    from carnet.features.report import Recorder, ViolationKind


class ColumnCheck:
    """The check of one feature; made once for a schema.

    Args:
        feature: The feature.
    """

    def __init__(self, feature: Feature) -> None:
        self.feature = feature
        self._family = family_of(feature)
        self._limits = limits_of(feature) if self._family in ("int", "float") else None
        self._float_limits = self._limits and _for_floats(self._limits)
        self._check = compile_check(feature)
        self._known = KnownTexts(feature.categories) if feature.categories else None

    def __call__(self, column: Column, recorder: Recorder) -> None:
        """Check a column, and record what is wrong with it."""
        if self.feature.shape:
            self._shaped(column, recorder)
        else:
            self._flat(column, _Found(self.feature, recorder))

    def _flat(self, column: Column, found: _Found, *, nullable: bool | None = None) -> None:
        allowed = self.feature.nullable if nullable is None else nullable
        if isinstance(column, Numbers):
            self._numbers(column, found, nullable=allowed)
        elif isinstance(column, Plain):
            show = column.show
            found.wherever("null", column.missing, show, unless=allowed)
            if column.kind != self._family:
                naive = column.kind == "naive timestamp" and self._family == "timestamp"
                found.wherever("without_zone" if naive else "wrong_type", ~column.missing, show)
        elif isinstance(column, Texts):
            self._texts(column, found, nullable=allowed)
        elif isinstance(column, Codes):
            self._codes(column, found, nullable=allowed)
        elif isinstance(column, Objects):
            self._objects(column, found)
        elif isinstance(column, Foreign):
            found.wherever("null", column.missing, column.show, unless=allowed)
            found.wherever("wrong_type", ~column.missing, column.show)
        else:
            found.wherever("wrong_shape", np.ones(len(column), dtype=np.bool_), _shower(column))

    def _numbers(self, column: Numbers, found: _Found, *, nullable: bool) -> None:
        values = column.values
        floats = values.dtype.kind == "f"
        limits = self._float_limits if floats else self._limits
        if limits is None or not len(values):
            absent = absent_in(column)
            found.wherever("null", absent, values.__getitem__, unless=nullable)
            found.wherever("wrong_type", ~absent, values.__getitem__)
            return
        whole = self._family == "int"
        suspects = suspects_in(column, limits, whole=whole, nullable=nullable)
        found.at("null", suspects.absent, values.__getitem__)
        places = suspects.outside
        if len(places):
            self._wrong_numbers(values[places], limits, found.among(places), floats=floats)

    def _wrong_numbers(self, values: NDArray[Any], limits: Limits, found: _Found, *, floats: bool) -> None:
        """Record which rule each of these values breaks: the first that it does."""
        left, show = np.ones(len(values), dtype=np.bool_), values.__getitem__
        if floats:
            left = found.and_take("not_finite", left, np.isinf(values), show)
            if self._family == "int":
                left = found.and_take("not_whole", left, np.trunc(values) != values, show)
        beyond = (values < limits.type_low) | (values > limits.type_high)
        left = found.and_take("does_not_fit", left, beyond, show)
        left = found.and_take("below_minimum", left, values < limits.low, show)
        found.and_take("above_maximum", left, values > limits.high, show)

    def _texts(self, column: Texts, found: _Found, *, nullable: bool) -> None:
        array, show = column.array, _shower(column)
        if self._family == "timestamp":
            self._codes(coded(column), found, nullable=nullable)
            return
        if array.null_count and not nullable:
            found.wherever("null", missing_of(array), show)
        if self._known is not None:
            found.at("unknown_category", self._known.others(array), show)
        elif self._family not in ("string", "categorical"):
            found.wherever("wrong_type", ~missing_of(array), show)

    def _codes(self, column: Codes, found: _Found, *, nullable: bool) -> None:
        """Judge each distinct value once, and then count where it stands."""
        codes, distinct = column.codes, column.distinct

        def show(index: int) -> Any:
            return distinct[codes[index]] if codes[index] >= 0 else None

        wrong: dict[ViolationKind, list[int]] = {}
        lost = [-1]
        for code, value in enumerate(distinct):
            if is_missing(value):
                lost.append(code)
            elif kind := self._check(value):
                wrong.setdefault(kind, []).append(code)
        if not nullable:
            found.wherever("null", np.isin(codes, lost) if len(lost) > 1 else codes < 0, show)
        for kind, places in wrong.items():
            found.wherever(kind, np.isin(codes, places), show)

    def _objects(self, column: Objects, found: _Found) -> None:
        values = column.values
        types = set(map(type, values))
        if types <= {float} or (types <= {float, int} and self._family == "float"):
            self._numbers(
                Numbers(np.array(values, dtype=np.float64)), found, nullable=self.feature.nullable
            ) if _in_float64(values, types) else self._one_by_one(values, found)
            return
        if types <= {int}:
            try:
                numbers = np.array(values, dtype=np.int64)
            except OverflowError:
                self._one_by_one(values, found)
            else:
                self._numbers(Numbers(numbers), found, nullable=self.feature.nullable)
            return
        if types == {str} and (
            self._family == "string"
            or (self._family == "categorical" and all(self._check(each) is None for each in set(values)))
        ):
            return
        if types == {bool} and self._family == "bool":
            return
        self._one_by_one(values, found)

    def _one_by_one(self, values: Any, found: _Found) -> None:
        check = self._check
        counts: dict[ViolationKind, int] = {}
        places: dict[ViolationKind, list[int]] = {}
        for index, value in enumerate(values):
            kind = check(value)
            if kind is not None:
                counts[kind] = counts.get(kind, 0) + 1
                if counts[kind] <= MAX_EXAMPLES:
                    places.setdefault(kind, []).append(index)
        for kind, count in counts.items():
            shown = [] if kind == "missing_column" else [values[index] for index in places[kind]]
            found.add(kind, count, places[kind], shown)

    def _shaped(self, column: Column, recorder: Recorder) -> None:
        found = _Found(self.feature, recorder)
        shape = self.feature.shape
        if isinstance(column, Objects):
            self._one_by_one(column.values, found)
        elif isinstance(column, Arrays):
            values = column.values
            fits = values.ndim == len(shape) + 1 and all(
                want in (-1, size) for want, size in zip(shape, values.shape[1:], strict=True)
            )
            if not fits:
                found.wherever("wrong_shape", np.ones(len(values), dtype=np.bool_), values.__getitem__)
                return
            rows = np.repeat(np.arange(len(values)), int(np.prod(values.shape[1:])))
            self._flat(from_numpy(values.reshape(-1)), _Found(self.feature, recorder, rows), nullable=False)
        elif isinstance(column, Lists):
            self._lists(column, recorder)
        else:
            absent = absent_in(column)
            found.wherever("null", absent, _shower(column), unless=self.feature.nullable)
            found.wherever("wrong_shape", ~absent, _shower(column))

    def _lists(self, column: Lists, recorder: Recorder) -> None:
        """Go down the dimensions, all rows at once; ``rows`` says which row each element is of."""
        compute = needed("pyarrow.compute")
        found = _Found(self.feature, recorder)
        absent = missing_of(column.array)
        found.wherever("null", absent, _shower(column), unless=self.feature.nullable)
        rows = np.arange(len(column))
        wrong = np.zeros(len(column), dtype=np.bool_)
        level: Column = column
        for want in self.feature.shape:
            if not isinstance(level, Lists):
                wrong[rows] = True
                break
            lengths = compute.list_value_length(level.array)
            empty = missing_of(lengths)
            sizes = lengths.fill_null(0).to_numpy(zero_copy_only=False)
            if want != -1:
                wrong[rows[(sizes != want) & ~empty]] = True
            if level is not column:
                wrong[rows[empty]] = True
            level = from_arrow(compute.list_flatten(level.array))
            rows = np.repeat(rows, np.where(empty, 0, sizes))
        if isinstance(level, Lists):
            wrong[rows] = True
        found.wherever("wrong_shape", wrong & ~absent, _shower(column))
        if not wrong.any():
            self._flat(level, _Found(self.feature, recorder, rows), nullable=False)


class _Found:
    """Where the values of one column that are wrong stand.

    Args:
        feature: The feature.
        recorder: Where violations go.
        rows: The row of each value, in order; None where each value is a row.
    """

    def __init__(self, feature: Feature, recorder: Recorder, rows: NDArray[Any] | None = None) -> None:
        self._feature = feature
        self._recorder = recorder
        self._rows = rows

    def add(self, kind: ViolationKind, count: int, rows: list[int], values: list[Any]) -> None:
        self._recorder.add(
            self._feature.name, kind, expectation(self._feature, kind), count=count, rows=rows, values=values
        )

    def among(self, places: NDArray[Any]) -> _Found:
        """Return the same for the values at some places only."""
        rows = places if self._rows is None else self._rows[places]
        return _Found(self._feature, self._recorder, rows)

    def wherever(self, kind: ViolationKind, mask: Mask, show: Show, *, unless: bool = False) -> None:
        """Record a kind for the places where a mask is True, if there are any."""
        if not unless and mask.any():
            self.at(kind, np.flatnonzero(mask), show)

    def at(self, kind: ViolationKind, places: NDArray[Any], show: Show) -> None:
        """Record a kind for some places, in order, if there are any."""
        if not len(places):
            return
        if self._rows is not None:
            rows, first = np.unique(self._rows[places], return_index=True)
            count, places = len(rows), places[first[:MAX_EXAMPLES]]
            told = [int(row) for row in rows[:MAX_EXAMPLES]]
        else:
            count, places = len(places), places[:MAX_EXAMPLES]
            told = [int(place) for place in places]
        self.add(kind, count, told, [show(int(place)) for place in places])

    def and_take(self, kind: ViolationKind, left: Mask, wrong: Mask, show: Show) -> Mask:
        """Record a kind where something is wrong among what is left; returns what is left after it."""
        hit = left & wrong
        self.wherever(kind, hit, show)
        return left & ~hit


def _for_floats(limits: Limits) -> Limits:
    """Return limits to compare floats of any size with; a Python float would be rounded to the column's."""
    return Limits(
        np.float64(as_float_limit(limits.type_low, upper=False)),
        np.float64(as_float_limit(limits.type_high, upper=True)),
        np.float64(as_float_limit(limits.low, upper=False)),
        np.float64(as_float_limit(limits.high, upper=True)),
    )


def _shower(column: Column) -> Callable[[int], Any]:
    if isinstance(column, Texts | Lists):
        return lambda index: column.array[index].as_py()
    if isinstance(column, Plain | Foreign):
        return column.show
    if isinstance(column, Codes):
        return lambda index: column.distinct[column.codes[index]] if column.codes[index] >= 0 else None
    return column.values.__getitem__


def _in_float64(values: Any, types: set[type]) -> bool:
    """Return whether no integer among the values is beyond every float."""
    return int not in types or all(abs(each) <= 2**1023 for each in values if type(each) is int)

"""How far data has moved from the data that a model was made with.

Responsible for a few figures a feature: the share of what is missing and of what is outside of the schema,
the shift of mean and spread, and the population stability index (``carnet.features.stability``). Judges
nothing: what is too much is said by who asks.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from carnet.errors import InvalidInputError
from carnet.features.arrow_columns import coded
from carnet.features.columns import Codes, Numbers, Objects, Plain, Texts
from carnet.features.limits import as_float_limit, family_of, limits_of
from carnet.features.missing import absent_in
from carnet.features.scalars import ABSENT, is_missing
from carnet.features.stability import index_of_numbers, index_of_values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from carnet.bundle.feature_schema import Feature
    from carnet.features.columns import Column
    from carnet.features.tables import Table

STABLE, LARGE = 0.1, 0.25
# What a type has an index as; the other types have none.
_INDEXED = {"int": "numbers", "float": "numbers", "categorical": "categories", "bool": "flags"}


@dataclass(frozen=True, slots=True)
class SideFigures:
    """What one data set has of a feature.

    Attributes:
        null_share: The share of rows without a value.
        out_of_range_share: Of the rows with one, the share that the schema does not take; None where the
            values are not of the feature's type, or the schema says no more than the type.
        mean: The mean of the finite values; None of what is not a number.
        standard_deviation: Their standard deviation.
        value_count: How many values the figures but ``null_share`` are told from.
    """

    null_share: float
    out_of_range_share: float | None
    mean: float | None
    standard_deviation: float | None
    value_count: int


@dataclass(frozen=True, slots=True)
class FeatureSkew:
    """One feature in both data sets.

    Attributes:
        name: The feature.
        reference: The figures of the reference; None where it has no such column.
        data: The figures of the data; None where it has no such column.
        mean_shift: The difference of the means in standard deviations of the reference.
        deviation_ratio: The standard deviation of the data by that of the reference.
        psi: The population stability index; None where it cannot be told.
        comparable: Whether an index is to be told: the reference's schema has the feature too, both in types
            that have one.
    """

    name: str
    reference: SideFigures | None
    data: SideFigures | None
    mean_shift: float | None
    deviation_ratio: float | None
    psi: float | None
    comparable: bool = True

    @property
    def verdict(self) -> str:
        """``stable``, ``moderate`` or ``large`` by the usual limits of the PSI.

        Without one it is ``unknown``, or ``not compared`` where there is none to be told.
        """
        if self.psi is None:
            return "unknown" if self.comparable else "not compared"
        return "stable" if self.psi < STABLE else "moderate" if self.psi < LARGE else "large"


@dataclass(frozen=True, slots=True)
class SkewReport:
    """Every feature of a schema in two data sets, with how many rows each has."""

    reference_rows: int
    data_rows: int
    features: tuple[FeatureSkew, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        return {
            "reference_rows": self.reference_rows,
            "data_rows": self.data_rows,
            "features": [{**asdict(each), "verdict": each.verdict} for each in self.features],
        }

    def above(self, psi: float) -> tuple[FeatureSkew, ...]:
        """Return the features whose index is above a limit."""
        return tuple(each for each in self.features if each.psi is not None and each.psi > psi)


def compare_data(
    reference: Table, data: Table, features: Sequence[Feature], *, before: Sequence[Feature] | None = None
) -> SkewReport:
    """Compare two data sets, feature by feature.

    Args:
        reference: The data that the model was made with, or that it saw when all was well.
        data: The data to judge.
        features: The features of one side of the schema of the data.
        before: Those of the reference, where it is the data of another version; None for the same.

    Returns:
        The features of the data's schema; what only the reference's has is not looked at.

    Raises:
        InvalidInputError: One of the two has no rows.
    """
    for table, name in ((reference, "reference"), (data, "data")):
        if not table.rows:
            raise InvalidInputError(f"the {name} has no rows to compare", metadata={"field": name})
    earlier = {each.name: each for each in (features if before is None else before)}
    reference_places, data_places = reference.places()[0], data.places()[0]
    found = []
    for feature in features:
        name, old = feature.name, earlier.get(feature.name)
        sides = [
            _Side(version, table.column(where[name])) if version is not None and name in where else None
            for version, table, where in (
                (old, reference, reference_places),
                (feature, data, data_places),
            )
        ]
        comparable = old is not None and _form(old) is not None and _form(old) == _form(feature)
        found.append(_skew(name, *sides, comparable=comparable))
    return SkewReport(reference.rows, data.rows, tuple(found))


def _form(feature: Feature) -> str | None:
    return None if feature.shape else _INDEXED.get(family_of(feature))


class _Side:
    """A column with its numbers, or the count of each of its values, where it has them."""

    def __init__(self, feature: Feature, column: Column) -> None:
        form = _form(feature)
        self.feature = feature
        self.rows = len(column)
        self.present = self.rows - int(absent_in(column).sum())
        self.numbers = _numbers(column) if form == "numbers" else None
        self.counts = _counts(column) if form in ("categories", "flags") else None

    def figures(self) -> SideFigures:
        share = (self.rows - self.present) / self.rows
        if self.counts is not None:
            known = sum(self.counts.get(each, 0) for each in self.feature.categories)
            wrong = self.present - known
            outside = wrong / self.present if self.feature.categories and self.present else None
            return SideFigures(share, outside, None, None, sum(self.counts.values()))
        if self.numbers is None or not len(self.numbers):
            return SideFigures(share, None, None, None, 0 if _form(self.feature) else self.present)
        limits, values = limits_of(self.feature), self.numbers
        low, high = as_float_limit(limits.low, upper=False), as_float_limit(limits.high, upper=True)
        # What is present and no number is outside, too.
        taken = int(((values >= low) & (values <= high)).sum())
        finite = values[np.isfinite(values)]
        with np.errstate(over="ignore", invalid="ignore"):
            mean = _finite(finite.mean()) if len(finite) else None
            spread = _finite(finite.std()) if len(finite) else None
        return SideFigures(share, (self.present - taken) / self.present, mean, spread, len(values))


def _skew(name: str, reference: _Side | None, data: _Side | None, *, comparable: bool) -> FeatureSkew:
    before = None if reference is None else reference.figures()
    after = None if data is None else data.figures()
    shift = ratio = None
    if before and after and before.standard_deviation and before.mean is not None and after.mean is not None:
        shift = _finite((after.mean - before.mean) / before.standard_deviation)
        if after.standard_deviation is not None:
            ratio = _finite(after.standard_deviation / before.standard_deviation)
    psi = _psi(reference, data) if reference and data and comparable else None
    return FeatureSkew(name, before, after, shift, ratio, psi, comparable)


def _psi(reference: _Side, data: _Side) -> float | None:
    if reference.numbers is not None and data.numbers is not None:
        told = len(reference.numbers) and len(data.numbers)
        return index_of_numbers(reference.numbers, data.numbers) if told else None
    if not reference.counts or not data.counts:
        return None
    return index_of_values(reference.counts, data.counts)


def _numbers(column: Column) -> NDArray[Any] | None:
    """Return the numbers of a column, without what is missing; None where it has others."""
    if isinstance(column, Numbers):
        values = column.values[~absent_in(column)]
        return values.astype(np.float64, copy=False)
    if isinstance(column, Objects):
        present = [
            each
            for each in column.values
            if isinstance(each, int | float) and not isinstance(each, bool) and not is_missing(each)
        ]
        try:
            return np.array(present, dtype=np.float64) if present else None
        except OverflowError:
            return None
    return None


def _counts(column: Column) -> Mapping[Any, int] | None:
    if isinstance(column, Texts):
        column = coded(column)
    if isinstance(column, Codes):
        places, counts = np.unique(column.codes[column.codes >= 0], return_counts=True)
        return {column.distinct[int(place)]: int(count) for place, count in zip(places, counts, strict=True)}
    if isinstance(column, Plain) and column.kind == "bool":
        flags = Counter(bool(column.show(int(index))) for index in np.flatnonzero(~column.missing))
        return dict(flags)
    if isinstance(column, Objects):
        present = [each for each in column.values if each is not ABSENT and isinstance(each, str | bool)]
        return dict(Counter(present))
    return None


def _finite(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None

"""How far data has moved from the data that a model was made with.

Responsible for a few figures a feature: the share of what is missing and of what is outside of the schema,
the shift of mean and spread, and the population stability index (PSI).

PSI is the sum over bins of (a - e) · ln(a / e), with e a bin's share in the reference and a its share in the
data (N. Siddiqi, Credit Risk Scorecards, 2006, chapter 9): the symmetrised Kullback-Leibler divergence
(H. Jeffreys, 1946). Bins are the reference's deciles for numbers and the values for categories; an empty
share counts as 0.0001. Below 0.1 is usually called stable, 0.25 and more a large shift; with n rows on each
side and B bins, mere chance gives about 2 (B - 1) / n (B. Yurdakul, 2018).
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

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from carnet.bundle.feature_schema import Feature
    from carnet.features.columns import Column
    from carnet.features.tables import Table

STABLE, LARGE = 0.1, 0.25
_BINS = 10
_LEAST_SHARE = 1e-4
_MAX_VALUES = 1000


@dataclass(frozen=True, slots=True)
class SideFigures:
    """What one data set has of a feature.

    Attributes:
        null_share: The share of rows without a value.
        out_of_range_share: Of the rows with one, the share that the schema does not take; None where the
            values are not of the feature's type, or the schema says no more than the type.
        mean: The mean of the finite values; None of what is not a number.
        standard_deviation: Their standard deviation.
    """

    null_share: float
    out_of_range_share: float | None
    mean: float | None
    standard_deviation: float | None


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
    """

    name: str
    reference: SideFigures | None
    data: SideFigures | None
    mean_shift: float | None
    deviation_ratio: float | None
    psi: float | None

    @property
    def verdict(self) -> str:
        """``stable``, ``moderate`` or ``large`` by the usual limits of the PSI; ``unknown`` without one."""
        if self.psi is None:
            return "unknown"
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


def compare_data(reference: Table, data: Table, features: Sequence[Feature]) -> SkewReport:
    """Compare two data sets, feature by feature.

    Args:
        reference: The data that the model was made with, or that it saw when all was well.
        data: The data to judge.
        features: The features of one side of the schema.

    Raises:
        InvalidInputError: One of the two has no rows.
    """
    for table, name in ((reference, "reference"), (data, "data")):
        if not table.rows:
            raise InvalidInputError(f"the {name} has no rows to compare", metadata={"field": name})
    places = [table.places()[0] for table in (reference, data)]
    found = []
    for feature in features:
        columns = [
            table.column(where[feature.name]) if feature.name in where else None
            for table, where in zip((reference, data), places, strict=True)
        ]
        found.append(_skew(feature, *(None if each is None else _Side(feature, each) for each in columns)))
    return SkewReport(reference.rows, data.rows, tuple(found))


class _Side:
    """A column with its numbers, or the count of each of its values, where it has them."""

    def __init__(self, feature: Feature, column: Column) -> None:
        family = family_of(feature)
        self.rows = len(column)
        self.missing = int(absent_in(column).sum())
        self.numbers: NDArray[Any] | None = None
        self.counts: Mapping[Any, int] | None = None
        if feature.shape:
            return
        if family in ("int", "float"):
            self.numbers = _numbers(column)
        elif family in ("categorical", "bool"):
            self.counts = _counts(column)

    def figures(self, feature: Feature) -> SideFigures:
        share = self.missing / self.rows if self.rows else 0.0
        if self.counts is not None and feature.categories:
            known = sum(self.counts.get(each, 0) for each in feature.categories)
            total = sum(self.counts.values())
            return SideFigures(share, (total - known) / total if total else None, None, None)
        if self.numbers is None or not len(self.numbers):
            return SideFigures(share, None, None, None)
        limits, values = limits_of(feature), self.numbers
        low, high = as_float_limit(limits.low, upper=False), as_float_limit(limits.high, upper=True)
        outside = float(((values < low) | (values > high)).mean())
        finite = values[np.isfinite(values)]
        with np.errstate(over="ignore", invalid="ignore"):
            mean = _finite(finite.mean()) if len(finite) else None
            spread = _finite(finite.std()) if len(finite) else None
        return SideFigures(share, outside, mean, spread)


def _skew(feature: Feature, reference: _Side | None = None, data: _Side | None = None) -> FeatureSkew:
    before = None if reference is None else reference.figures(feature)
    after = None if data is None else data.figures(feature)
    shift = ratio = None
    if before and after and before.standard_deviation and before.mean is not None and after.mean is not None:
        shift = _finite((after.mean - before.mean) / before.standard_deviation)
        if after.standard_deviation is not None:
            ratio = _finite(after.standard_deviation / before.standard_deviation)
    psi = None if reference is None or data is None else _psi(reference, data)
    return FeatureSkew(feature.name, before, after, shift, ratio, psi)


def _psi(reference: _Side, data: _Side) -> float | None:
    if reference.numbers is not None and data.numbers is not None:
        if not len(reference.numbers) or not len(data.numbers):
            return None
        inner = np.unique(np.quantile(reference.numbers, np.linspace(0, 1, _BINS + 1)[1:-1], method="lower"))
        bins = len(inner) + 1
        shares = [
            np.bincount(np.searchsorted(inner, values, side="left"), minlength=bins) / len(values)
            for values in (reference.numbers, data.numbers)
        ]
        return stability_index(*shares)
    if not reference.counts or not data.counts:
        return None
    values = [value for value, _ in Counter(reference.counts).most_common(_MAX_VALUES)]
    values += [each for each in data.counts if each not in reference.counts][:_MAX_VALUES]
    shares = [
        np.array([side.counts.get(each, 0) for each in values]) / sum(side.counts.values())
        for side in (reference, data)
        if side.counts is not None
    ]
    return stability_index(*shares)


def stability_index(expected: NDArray[Any], actual: NDArray[Any]) -> float:
    """Return the population stability index of the shares of the same bins.

    Args:
        expected: Each bin's share in the reference.
        actual: Each bin's share in the data.
    """
    expected, actual = np.maximum(expected, _LEAST_SHARE), np.maximum(actual, _LEAST_SHARE)
    return float(np.sum((actual - expected) * np.log(actual / expected)))


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

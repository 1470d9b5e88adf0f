"""One row against a schema, in microseconds and in plain Python.

Responsible for the quick answer to a row that is right: each value's type and limits are compared with what
was compiled once. Whatever does not pass so is judged by the rules of ``carnet.features.scalars``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from carnet.features.expectations import NOT_IN_SCHEMA, expectation
from carnet.features.limits import family_of, limits_of
from carnet.features.report import Recorder, ValidationReport
from carnet.features.scalars import ABSENT, compile_check

if TYPE_CHECKING:
    from collections.abc import Mapping

    from carnet.bundle.feature_schema import Feature

_VALID = ValidationReport(1)


class RowCheck:
    """The check of one row; made once for a schema.

    Args:
        features: The features of one side of the schema.
        allow_extra: Whether keys that are no features are left alone.
    """

    def __init__(self, features: tuple[Feature, ...], *, allow_extra: bool) -> None:
        self._features = features
        self._allow_extra = allow_extra
        self._names = frozenset(feature.name for feature in features)
        self._checks = [compile_check(feature) for feature in features]
        self._numbers: list[tuple[str, Any, float, float]] = []
        self._members: list[tuple[str, frozenset[str]]] = []
        self._others: list[int] = []
        for place, feature in enumerate(features):
            family = family_of(feature)
            if family in ("int", "float") and not feature.shape:
                limits = limits_of(feature)
                self._numbers.append(
                    (feature.name, int if family == "int" else float, limits.low, limits.high)
                )
            elif family == "categorical" and feature.categories and not feature.shape:
                self._members.append((feature.name, frozenset(feature.categories)))
            else:
                self._others.append(place)

    def __call__(self, row: Mapping[str, Any]) -> ValidationReport:
        """Check a row."""
        return _VALID if self._passes(row) else self._explain(row)

    def _passes(self, row: Mapping[str, Any]) -> bool:
        """Return True only for a row that is right; a row that is right in an unusual way gets False."""
        try:
            # A key that is missing raises KeyError, one that is too many makes the row longer.
            if len(row) != len(self._features) and not self._allow_extra:
                return False
            for name, kind, low, high in self._numbers:
                value = row[name]
                if type(value) is not kind or not low <= value <= high:
                    return False
            for name, members in self._members:
                if row[name] not in members:
                    return False
            checks, features = self._checks, self._features
            return all(checks[place](row[features[place].name]) is None for place in self._others)
        except (KeyError, TypeError):
            return False

    def _explain(self, row: Mapping[str, Any]) -> ValidationReport:
        recorder = Recorder(1)
        for feature, check in zip(self._features, self._checks, strict=True):
            value = row.get(feature.name, ABSENT)
            kind = check(value)
            if kind is not None:
                values = () if value is ABSENT else (value,)
                rows = () if value is ABSENT else (0,)
                recorder.add(
                    feature.name, kind, expectation(feature, kind), count=1, rows=rows, values=values
                )
        if not self._allow_extra and len(row) > 0:
            for name in row:
                if name not in self._names:
                    recorder.add(str(name), "extra_column", NOT_IN_SCHEMA, count=1)
        return recorder.report()

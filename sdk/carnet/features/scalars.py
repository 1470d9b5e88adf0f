"""One value against one feature, in plain Python.

Responsible for the rules that decide what is wrong with a value; a value has one violation at most, the first
in the order type, null, finite, whole, fitting, range or category. Tables are judged by the same rules, many
values at once, in ``carnet.features.checks``.
"""

from __future__ import annotations

import math
from datetime import datetime
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from carnet.features.limits import family_of, limits_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from carnet.bundle.feature_schema import Feature
    from carnet.features.report import ViolationKind

    Check = Callable[[Any], ViolationKind | None]

# pandas' two marks of what is missing; known by name, so that pandas need not be there.
_MISSING_TYPES = frozenset({"NoneType", "NAType", "NaTType"})


class Absent:
    """The mark of a key that a row does not have."""


ABSENT = Absent()


def is_missing(value: object) -> bool:
    """Return whether a value is one of the marks of what is missing: None, NaN, NaT, NA."""
    name = type(value).__name__
    if name in _MISSING_TYPES:
        return True
    return (isinstance(value, Real) or name == "datetime64") and bool(value != value)  # noqa: PLR0124  NaN, NaT


def compile_check(feature: Feature) -> Check:
    """Return a function that answers what is wrong with a value; None where nothing is.

    Args:
        feature: The feature; its type, nullability, bounds, categories and shape are looked at.
    """
    element = _ELEMENTS[family_of(feature)](feature)
    whole = _shaped(feature, element) if feature.shape else element
    nullable = feature.nullable

    def check(value: Any) -> ViolationKind | None:
        if value is ABSENT:
            return None if nullable else "missing_column"
        if is_missing(value):
            return None if nullable else "null"
        return whole(value)

    return check


def _numbers(feature: Feature) -> Check:
    limits, integers = limits_of(feature), family_of(feature) == "int"

    def check(value: Any) -> ViolationKind | None:
        if isinstance(value, bool) or not isinstance(value, Real):
            return "wrong_type"
        if not isinstance(value, Integral):
            value = float(value)
            if not math.isfinite(value):
                return "not_finite"
            if integers and not value.is_integer():
                return "not_whole"
        if not limits.type_low <= value <= limits.type_high:
            return "does_not_fit"
        if value < limits.low:
            return "below_minimum"
        return "above_maximum" if value > limits.high else None

    return check


def _flags(feature: Feature) -> Check:  # noqa: ARG001  as the others
    return lambda value: None if isinstance(value, bool) or _is_numpy_bool(value) else "wrong_type"


def _is_numpy_bool(value: object) -> bool:
    return type(value).__module__ == "numpy" and type(value).__name__ in ("bool", "bool_")


def _texts(feature: Feature) -> Check:  # noqa: ARG001  as the others
    return lambda value: None if isinstance(value, str) else "wrong_type"


def _bytes(feature: Feature) -> Check:  # noqa: ARG001  as the others
    return lambda value: None if isinstance(value, bytes | bytearray | memoryview) else "wrong_type"


def _moments(feature: Feature) -> Check:  # noqa: ARG001  as the others
    def check(value: Any) -> ViolationKind | None:
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value)
            except ValueError:
                return "wrong_type"
        if isinstance(value, datetime):
            return None if value.tzinfo is not None else "without_zone"
        return "without_zone" if type(value).__name__ == "datetime64" else "wrong_type"

    return check


def _categories(feature: Feature) -> Check:
    known = frozenset(feature.categories)

    def check(value: Any) -> ViolationKind | None:
        if not isinstance(value, str):
            return "wrong_type"
        return "unknown_category" if known and value not in known else None

    return check


_ELEMENTS: dict[str, Callable[[Feature], Check]] = {
    "bool": _flags,
    "int": _numbers,
    "float": _numbers,
    "string": _texts,
    "bytes": _bytes,
    "timestamp": _moments,
    "categorical": _categories,
}


def _shaped(feature: Feature, element: Check) -> Check:
    """Return a check of a value with dimensions: a nested list or tuple, or an array."""
    numeric = family_of(feature) in ("int", "float")
    limits = limits_of(feature) if numeric else None

    def walk(value: Any, shape: tuple[int, ...]) -> ViolationKind | None:
        if not shape and isinstance(value, list | tuple):
            return "wrong_shape"
        if not shape:
            return "null" if is_missing(value) else element(value)
        if not isinstance(value, list | tuple):
            return "wrong_shape" if element(value) is None else "wrong_type"
        if shape[0] not in (-1, len(value)):
            return "wrong_shape"
        return next((found for each in value if (found := walk(each, shape[1:]))), None)

    def check(value: Any) -> ViolationKind | None:
        if not isinstance(value, list | tuple) and hasattr(value, "shape") and hasattr(value, "tolist"):
            if len(value.shape) != len(feature.shape) or any(
                want not in (-1, size) for want, size in zip(feature.shape, value.shape, strict=True)
            ):
                return "wrong_shape"
            fits = value.dtype.kind in ("iuf" if family_of(feature) == "float" else "iu")
            if limits and fits and value.size and limits.low <= value.min() and value.max() <= limits.high:
                return None
            value = value.tolist()
        return walk(value, feature.shape)

    return check

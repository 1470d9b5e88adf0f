"""What a feature wants, in words.

Responsible for the ``expected`` text of a violation. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from carnet.bundle.feature_schema import Feature
    from carnet.features.report import ViolationKind

_MAX_CATEGORIES = 10
NOT_IN_SCHEMA = "only columns of the schema"


def expectation(feature: Feature, kind: ViolationKind) -> str:  # noqa: PLR0911  one return a form
    """Return what was wanted where a feature is violated.

    Args:
        feature: The feature.
        kind: How it is violated.
    """
    if kind == "below_minimum":
        return f"at least {feature.minimum:g}"
    if kind == "above_maximum":
        return f"at most {feature.maximum:g}"
    if kind == "unknown_category":
        more = len(feature.categories) - _MAX_CATEGORIES
        shown = ", ".join(feature.categories[:_MAX_CATEGORIES])
        return f"one of {shown}{f' and {more} more' if more > 0 else ''}"
    if kind == "wrong_shape":
        return f"the shape [{', '.join(map(str, feature.shape))}], -1 for any size"
    if kind == "null":
        return f"{feature.type}, in every row"
    if kind == "without_zone":
        return "a time with its zone, such as UTC"
    if kind == "duplicate_column":
        return "one column of the name"
    return feature.type

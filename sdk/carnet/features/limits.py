"""Which numbers a feature takes.

Responsible for one pair of limits per numeric feature: those of its type together with the declared minimum
and maximum, as the type rounds them. Pure, and without numpy, so that one row can be checked without it.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from carnet.bundle.feature_schema import Feature

Family = Literal["bool", "int", "float", "string", "bytes", "timestamp", "categorical"]
# The greatest finite values of IEEE 754 binary16, binary32 and binary64.
_GREATEST = {
    "float16": 65504.0,
    "float32": (2 - 2**-23) * 2.0**127,
    "float64": (2 - 2**-52) * 2.0**1023,
}
_STRUCT = {"float16": "e", "float32": "f", "float64": "d"}


@dataclass(frozen=True, slots=True)
class Limits:
    """What a number must lie between, both ends included.

    Attributes:
        type_low: The least value of the type.
        type_high: The greatest.
        low: The least that is taken: the declared minimum, or the type's.
        high: The greatest that is taken.
    """

    type_low: float
    type_high: float
    low: float
    high: float


def family_of(feature: Feature) -> Family:
    """Return a feature's type without its size."""
    if feature.type.startswith(("int", "uint")):
        return "int"
    return "float" if feature.type.startswith("float") else feature.type  # type: ignore[return-value]


def limits_of(feature: Feature) -> Limits:
    """Return the limits of a numeric feature; of an integer they are integers."""
    if family_of(feature) == "int":
        bits = int(feature.type.lstrip("uint"))
        unsigned = feature.type.startswith("u")
        low, high = (0, 2**bits - 1) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        least = low if feature.minimum is None else max(low, math.ceil(feature.minimum))
        most = high if feature.maximum is None else min(high, math.floor(feature.maximum))
        return Limits(low, high, least, most)
    greatest = _GREATEST[feature.type]
    # A bound such as 0.1 is meant as the type has it, or a float32 of 0.1 would be above a maximum of 0.1.
    lower = (
        -greatest
        if feature.minimum is None
        else min(feature.minimum, _rounded(feature.minimum, feature.type))
    )
    upper = (
        greatest if feature.maximum is None else max(feature.maximum, _rounded(feature.maximum, feature.type))
    )
    return Limits(-greatest, greatest, max(lower, -greatest), min(upper, greatest))


def _rounded(value: float, name: str) -> float:
    try:
        packed = struct.pack(_STRUCT[name], value)
    except OverflowError:
        return value
    rounded: float = struct.unpack(_STRUCT[name], packed)[0]
    return rounded


def as_float_limit(limit: float, *, upper: bool) -> float:
    """Return the float next to an integer limit that lies on its inner side, for comparing floats with it."""
    value = float(limit)
    if upper and value > limit:
        return math.nextafter(value, -math.inf)
    if not upper and value < limit:
        return math.nextafter(value, math.inf)
    return value

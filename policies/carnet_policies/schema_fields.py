"""The types of fields that a policy's schema is made of.

Responsible for what a name, a duration, a field of the manifest, a pattern of namespaces, or a list that may
be written as one value is, with an error that says so in words. Does no I/O.
"""

from __future__ import annotations

import json
import math
import re
from datetime import timedelta
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    TypeAdapter,
    WithJsonSchema,
    WrapValidator,
)

from carnet.references import NAME_MAX_LENGTH, NAME_PATTERN

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_DURATION = re.compile(r"([1-9][0-9]{0,5})([smhd])")
_FIELD_PATH = re.compile(r"[a-z][a-z0-9_]*(?:\.[A-Za-z0-9_][A-Za-z0-9_-]*)*")
_PERCENTAGE = re.compile(r"([0-9]{1,4}(?:\.[0-9]{1,6})?)%")
_NAMESPACE_PATTERN = re.compile(r"[a-z0-9_*-]+")
MAX_DURATION = timedelta(days=3650)

Item = TypeVar("Item")


def parse_duration(value: Any) -> timedelta:
    """Parse a duration such as ``30s``, ``10m``, ``12h`` or ``7d``.

    Raises:
        ValueError: It is none; pydantic reports it with the field.
    """
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(
            f"{value!r} is not a duration: write a whole number and a unit, such as 30s, 10m or 7d"
        )
    duration = timedelta(**{_UNITS[match[2]]: int(match[1])})
    if duration > MAX_DURATION:
        raise ValueError(f"{value!r} is longer than {MAX_DURATION.days}d")
    return duration


def in_words(duration: timedelta) -> str:
    """Return a duration as a policy writes it, in the largest unit that it is a whole number of."""
    seconds = int(duration.total_seconds())
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _name(value: str) -> str:
    if len(value) > NAME_MAX_LENGTH or not NAME_PATTERN.fullmatch(value):
        raise ValueError(
            f"{value[:80]!r} is not a name: use lowercase letters, digits, and single '-' or '_' between "
            f"them, starting with a letter, {NAME_MAX_LENGTH} characters at most"
        )
    return value


def _field_path(value: str) -> str:
    if not _FIELD_PATH.fullmatch(value):
        raise ValueError(f"{value[:80]!r} is not a field of the manifest: write it like lineage.code.commit")
    return value


def _namespace_pattern(value: str) -> str:
    if len(value) > NAME_MAX_LENGTH or not _NAMESPACE_PATTERN.fullmatch(value):
        raise ValueError(f"{value[:80]!r} is no namespace, and no pattern of one: write it like medical-*")
    return value


def _some(values: tuple[Item, ...]) -> tuple[Item, ...]:
    if not values:
        raise ValueError("at least one is needed")
    return values


def _each_once(values: tuple[Item, ...]) -> tuple[Item, ...]:
    if len(set(values)) != len(values):
        raise ValueError("the same value twice")
    return values


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


def one_or_more(item: type[BaseModel]) -> WrapValidator:
    """Return a validator that takes one object, or a list of them, as a tuple.

    An error names the object's field as it is written: ``approvals.count``, or ``approvals[1].count``.

    Args:
        item: The object's model.
    """
    many: TypeAdapter[tuple[BaseModel, ...]] = TypeAdapter(tuple[item, ...])  # type: ignore[valid-type]

    def validate(value: Any, handler: Any) -> Any:
        if isinstance(value, dict):
            return (item.model_validate_json(json.dumps(value)),)
        if isinstance(value, list):
            return many.validate_json(json.dumps(value))
        return handler(value)

    return WrapValidator(validate, json_schema_input_type=item | tuple[item, ...])  # type: ignore[valid-type]


Name = Annotated[
    str,
    AfterValidator(_name),
    Field(json_schema_extra={"pattern": f"^{NAME_PATTERN.pattern}$", "maxLength": NAME_MAX_LENGTH}),
]
FieldPath = Annotated[
    str, AfterValidator(_field_path), Field(json_schema_extra={"pattern": f"^{_FIELD_PATH.pattern}$"})
]
NamespacePattern = Annotated[
    str,
    AfterValidator(_namespace_pattern),
    Field(json_schema_extra={"pattern": f"^{_NAMESPACE_PATTERN.pattern}$"}),
]
Some = Annotated[tuple[Item, ...], AfterValidator(_some), Field(json_schema_extra={"minItems": 1})]
Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    WithJsonSchema({"type": "string", "pattern": f"^{_DURATION.pattern}$", "examples": ["10m", "7d"]}),
]
Text = Annotated[str, Field(min_length=1, max_length=2000)]
Figure = Annotated[float, Field(allow_inf_nan=False)]
Expression = Annotated[str, Field(min_length=1)]
# A list of texts, each once; one text stands for a list of one.
Texts = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=256)], ...],
    BeforeValidator(_listed, json_schema_input_type=str | list[str]),
    AfterValidator(_some),
    AfterValidator(_each_once),
]


class Part(BaseModel):
    """A part of a policy: frozen, strict, and without fields that are not declared."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Margin(Part):
    """By how much a figure may be worse than the baseline's: an amount, or a percentage of that figure."""

    value: Annotated[float, Field(ge=0)]
    is_percentage: bool = False

    def amount(self, baseline: float) -> float:
        """Return the margin in the figure's own unit."""
        return abs(baseline) * self.value / 100 if self.is_percentage else self.value

    def __str__(self) -> str:
        return f"{self.value:g}%" if self.is_percentage else f"{self.value:g}"


def _margin(value: Any) -> Any:
    if isinstance(value, str) and (match := _PERCENTAGE.fullmatch(value)):
        return Margin(value=float(match[1]), is_percentage=True)
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf:
        return Margin(value=float(value))
    if isinstance(value, Margin):
        return value
    raise ValueError(f"{value!r} is no margin: write an amount such as 0.005, or a percentage such as 5%")


def _as_written(margin: Margin) -> float | str:
    """Return what ``_margin`` reads the same margin from."""
    if not margin.is_percentage:
        return margin.value
    return f"{margin.value:.6f}".rstrip("0").rstrip(".") + "%"


MaxRegression = Annotated[
    Margin,
    BeforeValidator(_margin, json_schema_input_type=float | str),
    PlainSerializer(_as_written, when_used="json"),
]

"""Whether those who use a model can go on using the next version of it.

Responsible for comparing two feature schemas as rules without I/O, and for naming every change that breaks a
caller: what it sends may no longer be taken, or what it gets may be something that it never got. Features
are matched by name; their order is no part of the contract. Does not judge whether a break is acceptable;
policies do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from carnet.bundle.feature_schema import Feature, FeatureSchema

Break = Literal["removed", "added_required", "type", "shape", "required", "nullable", "range", "categories"]


@dataclass(frozen=True, slots=True)
class BreakingChange:
    """One change that breaks callers.

    Attributes:
        name: Which feature: ``inputs.NAME`` or ``outputs.NAME``.
        kind: What changed.
        message: What changed, for a person.
    """

    name: str
    kind: Break
    message: str


def breaking_changes(before: FeatureSchema, after: FeatureSchema) -> tuple[BreakingChange, ...]:
    """Compare two feature schemas.

    What a caller sends must still be taken: an input may become wider, never narrower. What it gets must
    still be what it expects: an output may become narrower, never wider. New outputs, and new inputs that may
    be missing, break nobody.

    Args:
        before: The schema that callers were written for.
        after: The schema that they would meet.

    Returns:
        Every change that breaks them, inputs first, in the order of the schemas.
    """
    return (*_inputs(before.inputs, after.inputs), *_outputs(before.outputs, after.outputs))


def _inputs(before: Iterable[Feature], after: Iterable[Feature]) -> Iterator[BreakingChange]:
    olds = {feature.name: feature for feature in before}
    news = {feature.name: feature for feature in after}
    for name, old in olds.items():
        new = news.get(name)
        if new is None:
            yield BreakingChange(f"inputs.{name}", "removed", f"the input {name} is removed")
        else:
            yield from _feature("inputs", old, new, sent=old, taken=new)
    for name, new in news.items():
        if name not in olds and not new.nullable:
            message = f"the input {name} is new, and required"
            yield BreakingChange(f"inputs.{name}", "added_required", message)


def _outputs(before: Iterable[Feature], after: Iterable[Feature]) -> Iterator[BreakingChange]:
    news = {feature.name: feature for feature in after}
    for old in before:
        new = news.get(old.name)
        if new is None:
            yield BreakingChange(f"outputs.{old.name}", "removed", f"the output {old.name} is removed")
        else:
            yield from _feature("outputs", old, new, sent=new, taken=old)


def _feature(
    side: str, old: Feature, new: Feature, *, sent: Feature, taken: Feature
) -> Iterator[BreakingChange]:
    """Compare a feature: everything that one side sends, the other must take."""
    name, what = f"{side}.{old.name}", f"the {side.removesuffix('s')} {old.name}"
    if old.type != new.type:
        yield BreakingChange(name, "type", f"{what} is {new.type}, and was {old.type}")
        return
    if not _takes_shape(sent.shape, taken.shape):
        yield BreakingChange(name, "shape", f"{what} has the shape {_shape(new)}, and had {_shape(old)}")
    if sent.nullable and not taken.nullable:
        if side == "inputs":
            yield BreakingChange(name, "required", f"{what} is required, and could be missing")
        else:
            yield BreakingChange(name, "nullable", f"{what} can be missing, and was always there")
    if not _takes_range(sent, taken):
        way = "narrower" if side == "inputs" else "wider"
        yield BreakingChange(name, "range", f"{what} is {way}: {_range(new)}, and was {_range(old)}")
    if taken.categories and not (sent.categories and set(sent.categories) <= set(taken.categories)):
        yield BreakingChange(name, "categories", f"{what} {_categories(side, old, new)}")


def _takes_shape(sent: tuple[int, ...], taken: tuple[int, ...]) -> bool:
    return len(sent) == len(taken) and all(
        wide in (-1, narrow) for narrow, wide in zip(sent, taken, strict=True)
    )


def _takes_range(sent: Feature, taken: Feature) -> bool:
    low = taken.minimum is None or (sent.minimum is not None and sent.minimum >= taken.minimum)
    high = taken.maximum is None or (sent.maximum is not None and sent.maximum <= taken.maximum)
    return low and high


def _shape(feature: Feature) -> str:
    return f"[{', '.join(map(str, feature.shape))}]" if feature.shape else "of a scalar"


def _range(feature: Feature) -> str:
    low = "unbounded" if feature.minimum is None else f"{feature.minimum:g}"
    high = "unbounded" if feature.maximum is None else f"{feature.maximum:g}"
    return f"{low} to {high}"


def _categories(side: str, old: Feature, new: Feature) -> str:
    narrow, wide = (new, old) if side == "inputs" else (old, new)
    if not wide.categories:
        return "is limited to categories now" if side == "inputs" else "is limited to no categories any more"
    changed = ", ".join(each for each in wide.categories if each not in narrow.categories)
    return f"takes no longer {changed}" if side == "inputs" else f"can be {changed} now"

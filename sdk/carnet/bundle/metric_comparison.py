"""What differs between the figures of two versions.

Responsible, as rules without I/O, for which figure is compared with which, and for telling better from worse
by the direction that is stated. A figure is compared with the one of the same name, slice, direction and
unit, and from the same place: the publisher's with the publisher's, a suite's with that suite's. Nothing is
guessed: a figure that is not finite, or has no direction, is refused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from carnet.bundle.metadata import Direction
from carnet.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

Verdict = Literal["improved", "regressed", "unchanged", "added", "removed"]
MANIFEST: Final = "manifest"
EVIDENCE: Final = "evidence"


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured figure, and where it is from.

    Attributes:
        name: What was measured.
        value: The figure; finite.
        direction: ``higher_is_better`` or ``lower_is_better``.
        slice: The part of the data; empty for all of it.
        unit: The unit; empty where it has none.
        suite: The suite of the evidence that states it, such as ``evaluation``; empty where none is said.
        signer: Who signed that evidence; empty for what the publisher says in the manifest.

    Raises:
        InvalidInputError: The figure is not finite, or has no direction; ``metadata["field"]`` names it.
    """

    name: str
    value: float
    direction: str
    slice: Mapping[str, str] = field(default_factory=dict)
    unit: str = ""
    suite: str = ""
    signer: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be compared."""
        if not math.isfinite(self.value):
            raise InvalidInputError(
                f"metrics.{self.key}: {self.value} cannot be compared: a finite figure is wanted",
                metadata={"field": f"metrics.{self.key}"},
            )
        if self.direction not in get_args(Direction):
            raise InvalidInputError(
                f"metrics.{self.key}: {self.direction!r} is no direction: write higher_is_better or "
                "lower_is_better, since which way is better is never guessed",
                metadata={"field": f"metrics.{self.key}"},
            )

    @property
    def key(self) -> str:
        """The name, and for a slice ``name{key=value}``."""
        return metric_key(self.name, self.slice)

    @property
    def source(self) -> str:
        """``evidence`` or ``manifest``."""
        return EVIDENCE if self.signer else MANIFEST

    @property
    def identity(self) -> tuple[Any, ...]:
        """What it is compared by: the manifest's come first, and all of a slice behind the whole."""
        slices = tuple(sorted(self.slice.items()))
        return (self.source != MANIFEST, self.suite, self.name, slices, self.direction, self.unit)


@dataclass(frozen=True, slots=True)
class MetricChange:
    """One metric on both sides; ``before``, ``after`` and ``delta`` (after less before) where they exist.

    ``source`` is ``manifest`` for what the publishers say, and ``evidence`` for what a suite measured; the
    signers are those of the evidence on each side.
    """

    name: str
    slice: Mapping[str, str]
    direction: str
    unit: str
    before: float | None
    after: float | None
    delta: float | None
    verdict: Verdict
    source: str = MANIFEST
    suite: str = ""
    before_signer: str = ""
    after_signer: str = ""

    @property
    def key(self) -> str:
        """The name, and for a slice ``name{key=value}``."""
        return metric_key(self.name, self.slice)

    @property
    def worsening(self) -> float:
        """By how much it became worse; 0 where it did not, infinite where that is beyond a double."""
        if self.verdict != "regressed":
            return 0.0
        return math.inf if self.delta is None else abs(self.delta)


def metric_key(name: str, parts: Mapping[str, str]) -> str:
    """Return a metric's name, and for a slice ``name{key=value,key=value}`` with the keys in order."""
    inner = ",".join(f"{key}={value}" for key, value in sorted(parts.items()))
    return f"{name}{{{inner}}}" if inner else name


def compare_figures(before: Iterable[Figure], after: Iterable[Figure]) -> Iterator[MetricChange]:
    """Compare figures.

    Args:
        before: Those of the version to compare with; of several under one identity the worst counts.
        after: Those of the version that is compared; likewise.

    Yields:
        Every metric of both, the manifest's first, then those of each suite, by name and slice.
    """
    olds, news = _worst_of_each(before), _worst_of_each(after)
    for identity in sorted(olds.keys() | news.keys()):
        old, new = olds.get(identity), news.get(identity)
        either = new or old
        assert either is not None
        first, second = old.value if old else None, new.value if new else None
        yield MetricChange(
            name=either.name,
            slice=either.slice,
            direction=either.direction,
            unit=either.unit,
            before=first,
            after=second,
            delta=_delta(first, second),
            verdict=_verdict(first, second, either.direction),
            source=either.source,
            suite=either.suite,
            before_signer=old.signer if old else "",
            after_signer=new.signer if new else "",
        )


def _worst_of_each(figures: Iterable[Figure]) -> dict[tuple[Any, ...], Figure]:
    worst: dict[tuple[Any, ...], Figure] = {}
    for each in figures:
        known = worst.get(each.identity)
        if known is None or _verdict(known.value, each.value, each.direction) == "regressed":
            worst[each.identity] = each
    return worst


def _delta(before: float | None, after: float | None) -> float | None:
    """Return the difference, where there is one that JSON can hold."""
    if before is None or after is None or not math.isfinite(after - before):
        return None
    return after - before


def _verdict(before: float | None, after: float | None, direction: str) -> Verdict:
    if before is None:
        return "added"
    if after is None:
        return "removed"
    if before == after:
        return "unchanged"
    return "improved" if (after > before) == (direction == "higher_is_better") else "regressed"

"""What a validation found.

Responsible for the report and its bounds: every feature and kind of violation is counted in full, and a few
rows and values of each are shown, so that a report stays small however bad the data is. Knows no kind of
data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from carnet.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable

ViolationKind = Literal[
    "missing_column",
    "extra_column",
    "duplicate_column",
    "wrong_type",
    "null",
    "not_finite",
    "not_whole",
    "does_not_fit",
    "below_minimum",
    "above_maximum",
    "unknown_category",
    "wrong_shape",
    "without_zone",
]
MAX_EXAMPLES = 5
MAX_VIOLATIONS = 1000
_MAX_VALUE_LENGTH = 60
_MAX_TOLD = 10
_WORDS: dict[ViolationKind, str] = {
    "missing_column": "missing",
    "extra_column": "not in the schema",
    "duplicate_column": "there more than once",
    "wrong_type": "of a wrong type",
    "null": "empty",
    "not_finite": "infinite",
    "not_whole": "not a whole number",
    "does_not_fit": "too large for the type",
    "below_minimum": "below the minimum",
    "above_maximum": "above the maximum",
    "unknown_category": "in no known category",
    "wrong_shape": "of a wrong shape",
    "without_zone": "a time without a zone",
}


@dataclass(frozen=True, slots=True)
class Violation:
    """One kind of violation of one feature.

    Attributes:
        feature: The feature's name; of an extra column, the column's.
        kind: What is wrong.
        count: How many rows have it.
        rows: The first of them, counted from 0.
        values: What stands in those, as Python writes it, shortened; empty where the column is not there.
        expected: What the schema wants there, in words.
    """

    feature: str
    kind: ViolationKind
    count: int
    rows: tuple[int, ...]
    values: tuple[str, ...]
    expected: str

    @property
    def message(self) -> str:
        """The violation in one line."""
        shown = f" ({', '.join(self.values)})" if self.values else ""
        where = ", ".join(map(str, self.rows))
        rows = f" in {self.count} rows, first {where}" if self.rows else ""
        return f"{self.feature} is {_WORDS[self.kind]}{rows}{shown}: wanted {self.expected}"


@dataclass(frozen=True, slots=True)
class ValidationReport:
    """What a validation found.

    Attributes:
        total_rows: How many rows were looked at.
        violations: Each feature and kind that is violated, in the schema's order; at most 1,000.
        violation_count: How many there are in all.
    """

    total_rows: int
    violations: tuple[Violation, ...] = ()
    violation_count: int = 0

    @property
    def valid(self) -> bool:
        """Whether nothing is violated."""
        return self.violation_count == 0

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        return {
            "valid": self.valid,
            "total_rows": self.total_rows,
            "violation_count": self.violation_count,
            "violations": [
                {
                    "feature": each.feature,
                    "kind": each.kind,
                    "count": each.count,
                    "rows": list(each.rows),
                    "values": list(each.values),
                    "expected": each.expected,
                }
                for each in self.violations
            ],
        }

    def require(self) -> None:
        """Insist that the data is valid.

        Raises:
            InvalidInputError: It is not; ``metadata`` has the first ``field`` and its ``kind``, and how many
                ``violations`` there are.
        """
        if self.valid:
            return
        told = "; ".join(each.message for each in self.violations[:_MAX_TOLD])
        more = self.violation_count - min(_MAX_TOLD, len(self.violations))
        first = self.violations[0]
        raise InvalidInputError(
            f"the data breaks the feature schema: {told}{f'; and {more} more' if more else ''}",
            metadata={
                "field": first.feature,
                "kind": first.kind,
                "violations": str(self.violation_count),
            },
        )


class Recorder:
    """Collects violations into a bounded report.

    Args:
        total_rows: How many rows are looked at.
    """

    def __init__(self, total_rows: int) -> None:
        self.total_rows = total_rows
        self._violations: list[Violation] = []
        self._count = 0

    def add(
        self,
        feature: str,
        kind: ViolationKind,
        expected: str,
        *,
        count: int,
        rows: Iterable[int] = (),
        values: Iterable[object] = (),
    ) -> None:
        """Record one kind of violation of one feature; ``rows`` and ``values`` are the first few."""
        self._count += 1
        if len(self._violations) < MAX_VIOLATIONS:
            shown = tuple(_shown(value) for value in values)
            self._violations.append(Violation(feature, kind, count, tuple(rows), shown, expected))

    def take(self, other: Recorder) -> None:
        """Put another's violations behind these."""
        self._count += other._count
        self._violations += other._violations[: MAX_VIOLATIONS - len(self._violations)]

    def report(self) -> ValidationReport:
        """Return what was collected."""
        return ValidationReport(self.total_rows, tuple(self._violations), self._count)


def _shown(value: object) -> str:
    """Return a value as Python writes it, shortened before it is written where it can be long."""
    # A numpy scalar is shown as the plain number that people know.
    plain = getattr(value, "item", None)
    if callable(plain) and getattr(value, "ndim", 1) == 0:
        value = plain()
    if isinstance(value, str | bytes | list | tuple):
        value = value[:_MAX_VALUE_LENGTH]
    text = repr(value)
    return text if len(text) <= _MAX_VALUE_LENGTH else f"{text[:_MAX_VALUE_LENGTH]}…"

"""What is asked of a report.

Responsible for the one form of a query: which report, of which environments, of what time, about what; and
for writing it down in the report and reading it back, so that the same question can be asked again. Answers
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

from carnet.errors import InvalidInputError
from carnet.references import Reference, check_name, parse_reference
from carnet.signing.times import format_time, parse_time

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


class ReportKind(StrEnum):
    """Which report it is."""

    DOSSIER = "dossier"
    CHANGES = "changes"
    DUTIES = "duties"
    LIVE = "live"
    AT = "at"
    EXCEPTIONS = "exceptions"
    GOVERNANCE = "governance"
    DRIFT = "drift"
    INVENTORY = "inventory"
    HEALTH = "health"


OF_A_PERIOD = frozenset(
    {ReportKind.CHANGES, ReportKind.DUTIES, ReportKind.LIVE, ReportKind.EXCEPTIONS, ReportKind.GOVERNANCE}
)
"""The reports whose rows are those of a period; the others tell how things stand at the end of the logs."""


@dataclass(frozen=True, slots=True)
class ReportQuery:
    """A question.

    Args:
        kind: Which report.
        environments: The environments; none for all of the logs given.
        since: The beginning of the period, inclusive; None for the beginning of the logs.
        until: The end of the period, exclusive; None for the end of the logs.
        promotion: The promotion that a dossier is of.
        at: The moment that ``at`` asks about.
        reference: The alias that ``at`` asks about, ``ENV/NAMESPACE/MODEL@ALIAS``.

    Raises:
        InvalidInputError: The parts do not make a question of that kind; ``metadata["field"]`` names one.
    """

    kind: ReportKind
    environments: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    promotion: str = ""
    at: datetime | None = None
    reference: str = ""

    def __post_init__(self) -> None:
        """Refuse what is no question."""
        for name in self.environments:
            check_name(name, field="environments")
        object.__setattr__(self, "environments", tuple(sorted(set(self.environments))))
        if bool(self.promotion) != (self.kind is ReportKind.DOSSIER):
            raise _problem("promotion", "belongs to a dossier, which needs one, and to no other report")
        if (self.at is not None or bool(self.reference)) != (self.kind is ReportKind.AT):
            raise _problem("at", "a moment and a reference belong together, and to no other report")
        if (self.since or self.until) and self.kind not in OF_A_PERIOD:
            named = ", ".join(sorted(OF_A_PERIOD))
            raise _problem("since", f"a report of the kind {self.kind} has no period: one of {named} has")
        for field in ("since", "until", "at"):
            moment = getattr(self, field)
            if moment is not None and moment.tzinfo is None:
                raise _problem(field, f"{moment.isoformat()} has no time zone: use one in UTC")
        if self.since and self.until and self.since >= self.until:
            raise _problem("until", f"{format_time(self.until)} is not after {format_time(self.since)}")
        if self.kind is ReportKind.AT:
            self._check_at()

    def _check_at(self) -> None:
        if self.at is None or not self.reference:
            raise _problem("at", "both a moment and a reference are wanted")
        named = self.alias
        if self.environments not in {(), (named.environment,)}:
            raise _problem("environments", f"the reference is of {named.environment}, and of no other")
        object.__setattr__(self, "environments", (named.environment,))

    @property
    def alias(self) -> Reference:
        """The alias that ``at`` asks about.

        Raises:
            ReferenceInvalidError: The reference is none of an alias.
        """
        reference = parse_reference(self.reference, want="version")
        if not reference.alias:
            raise _problem(
                "reference", f"{self.reference!r} names no alias: ENV/NAMESPACE/MODEL@ALIAS is wanted"
            )
        return reference

    def covers(self, moment: datetime) -> bool:
        """Whether a moment lies in the period."""
        return (self.since is None or self.since <= moment) and (self.until is None or moment < self.until)

    def reads(self, environment: str) -> bool:
        """Whether an environment is asked about."""
        return not self.environments or environment in self.environments

    def to_json(self) -> dict[str, str]:
        """Return the query as a report states it, without what was not asked."""
        stated = {
            "environments": " ".join(self.environments),
            "from": format_time(self.since) if self.since else "",
            "to": format_time(self.until) if self.until else "",
            "promotion": self.promotion,
            "at": format_time(self.at) if self.at else "",
            "reference": self.reference,
        }
        return {key: value for key, value in stated.items() if value}

    @classmethod
    def from_json(cls, kind: Any, stated: Mapping[str, Any]) -> Self:
        """Read a query back from what a report states.

        Args:
            kind: The report's kind.
            stated: Its query.

        Raises:
            InvalidInputError: It is no query of that kind.
        """
        if not isinstance(kind, str) or kind not in set(ReportKind):
            raise _problem("kind", f"{str(kind)[:80]!r} is none of {', '.join(ReportKind)}")
        known = {"environments", "from", "to", "promotion", "at", "reference"}
        if not set(stated) <= known or not all(isinstance(each, str) for each in stated.values()):
            raise _problem("query", f"texts of {', '.join(sorted(known))} are wanted")
        moments = {key: parse_time(stated[key]) for key in ("from", "to", "at") if key in stated}
        return cls(
            kind=ReportKind(kind),
            environments=tuple(stated.get("environments", "").split()),
            since=moments.get("from"),
            until=moments.get("to"),
            promotion=stated.get("promotion", ""),
            at=moments.get("at"),
            reference=stated.get("reference", ""),
        )


def _problem(field: str, message: str) -> InvalidInputError:
    return InvalidInputError(f"report: {field}: {message}", metadata={"field": field})

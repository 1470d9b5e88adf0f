"""What verified stamps say: plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedStop:
    """An environment that a bundle came through.

    Attributes:
        environment: Its name.
        arrival: ``published`` at home, ``admitted`` elsewhere.
        log_index: The entry of that in its log.
        arrived_at: When, by that environment's clock.
        promotion: The promotion that brought it; empty at home.
        policy_digest: The policy that decided; empty where none did.
        requested_by: Who asked for the promotion; empty at home.
        approved_by: The people whose approvals the decision counted.
        broken_by: The people who broke the glass for it.
        skipped: The rules that were skipped because of them.
        decision_digest: The SHA-256 of the decision's envelope; empty where there is none.
    """

    environment: str
    arrival: str
    log_index: int
    arrived_at: datetime
    promotion: str = ""
    policy_digest: str = ""
    requested_by: str = ""
    approved_by: tuple[str, ...] = ()
    broken_by: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    decision_digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedAlias:
    """The last move of the alias that a bundle was pulled by.

    Attributes:
        name: The alias.
        log_index: The entry of the move.
        moved_at: When, by the environment's clock.
        promotion: The promotion that moved it; empty where none did.
        approved_by: The people whose approvals that promotion's decision counted.
    """

    name: str
    log_index: int
    moved_at: datetime
    promotion: str
    approved_by: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedStamps:
    """The stamps of a bundle, verified: every signature, every receipt, and that none is missing.

    Attributes:
        environment: Where it was last published or admitted to, and pulled from.
        stops: The environments on its way, its home first.
        alias: The alias that it was pulled by; None where by its number.
        receipt_count: How many receipts there are.
        statement_count: How many signed statements, apart from evidence.
        evidence_count: How much evidence there is.
        unknown_evidence: How much of it is by signers who are not pinned, and counts for nothing.
        revoked: Whether the environment had revoked the version by then.
        as_of_size: The size of the environment's log that all this is as of.
        as_of: When, by its clock; what was said later, such as a revocation, cannot be seen.
    """

    environment: str
    stops: tuple[VerifiedStop, ...]
    alias: VerifiedAlias | None
    receipt_count: int
    statement_count: int
    evidence_count: int
    unknown_evidence: int
    revoked: bool
    as_of_size: int
    as_of: datetime

    def came_through(self, environment: str) -> bool:
        """Whether the bundle was published in, or admitted to, an environment on its way here."""
        return any(stop.environment == environment for stop in self.stops)

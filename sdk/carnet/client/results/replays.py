"""Answers about past decisions under another policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from carnet.client.results.promotions import RuleResult
    from carnet.references import Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayedDecision:
    """One past decision, and what another policy says of what was known then, as the registry states it.

    Attributes:
        reference: The version in the environment that decided.
        bundle_digest: Its bundle.
        promotion: The promotion that was decided on; empty for a publication.
        alias: The alias that was to be moved; empty for none.
        decided_at: When it was decided.
        log_index: The entry of the decision.
        policy_digest: The policy that decided; empty where that is not known any more.
        decided: What was decided: PASSED or FAILED.
        replayed: What the other policy says: PASSED, FAILED or AWAITING; empty where it could not be asked.
        rules: What became of each of its rules.
        problem: Why it could not be asked; empty where it could.
        by_rollout: Whether the alias was only permitted to move, by a rollout.
    """

    reference: Reference
    bundle_digest: str
    promotion: str
    alias: str
    decided_at: datetime | None
    log_index: int
    policy_digest: str
    decided: str
    replayed: str
    rules: tuple[RuleResult, ...]
    problem: str
    by_rollout: bool = False

    @property
    def differs(self) -> bool:
        """Whether the other policy says something else."""
        return not self.problem and self.replayed != self.decided

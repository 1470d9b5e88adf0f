"""The rule ``source``: where a bundle may come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet_policies.evaluation import RuleResult, RuleStatus

if TYPE_CHECKING:
    from carnet_policies.facts import Facts
    from carnet_policies.schema import PolicyDocument

RULE = "source"


def check_source(document: PolicyDocument, facts: Facts) -> RuleResult:
    """Check that this policy speaks for the target, and that the target admits from that source.

    Args:
        document: The policy.
        facts: The facts; an empty source means a direct publication.
    """
    values = {"source": facts.source or "(publication)", "target": facts.target}
    if facts.target != document.environment:
        return RuleResult(
            RULE,
            RuleStatus.FAILED,
            f"this policy is for {document.environment}, and the target is {facts.target}",
            f"Give {facts.target} its own policy.",
            values,
        )
    if not facts.source:
        if document.publishing:
            return RuleResult(RULE, RuleStatus.PASSED, f"{facts.target} takes publications", "", values)
        return RuleResult(
            RULE,
            RuleStatus.FAILED,
            f"{facts.target} takes no publications",
            f"Publish to an environment that does, and promote from one of: {_listed(document.sources)}.",
            values,
        )
    if facts.source in document.sources:
        message = f"{facts.target} admits from {facts.source}"
        return RuleResult(RULE, RuleStatus.PASSED, message, "", values)
    return RuleResult(
        RULE,
        RuleStatus.FAILED,
        f"{facts.target} does not admit from {facts.source}",
        f"Promote from one of: {_listed(document.sources)}.",
        values,
    )


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "(none)"

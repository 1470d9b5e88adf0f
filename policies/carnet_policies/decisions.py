"""Rules of earlier decisions: another environment admitted this very bundle, and signed that it did.

The latest decision of an environment about the bundle counts; of two at the same moment, the refusing one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet_policies.evaluation import RuleResult, RuleStatus

if TYPE_CHECKING:
    from carnet_policies.facts import Facts
    from carnet_policies.schema import DecisionDemand


def check_decision(demand: DecisionDemand, facts: Facts) -> RuleResult:
    """Check that the environment's latest decision about this bundle is PASSED.

    Args:
        demand: The environment whose decision is needed.
        facts: The facts, of which the verified decisions are read.
    """
    about = [
        decision
        for decision in facts.decisions
        if decision.environment == demand.environment and decision.bundle_digest == facts.bundle_digest
    ]
    if not about:
        return RuleResult(
            demand.rule,
            RuleStatus.AWAITING,
            f"no decision by {demand.environment} about this bundle",
            f"{demand.remedy} Run: carnet promote {_home(facts)} --to {demand.environment}".strip(),
        )
    latest = max(about, key=lambda decision: (decision.time, decision.result != "PASSED"))
    values = {"digest": latest.digest, "time": latest.time.isoformat()}
    if latest.result == "PASSED":
        message = f"{demand.environment} admitted this bundle"
        return RuleResult(demand.rule, RuleStatus.PASSED, message, "", values)
    return RuleResult(
        demand.rule,
        RuleStatus.FAILED,
        f"{demand.environment}'s latest decision about this bundle is {latest.result}",
        demand.remedy or f"Have the bundle admitted to {demand.environment} first.",
        values,
    )


def _home(facts: Facts) -> str:
    parts = (facts.manifest.get(key, key.upper()) for key in ("home", "namespace", "model"))
    return f"{'/'.join(str(part) for part in parts)}@{facts.manifest.get('version', 'VERSION')}"

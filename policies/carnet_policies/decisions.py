"""Rules of earlier decisions: another environment admitted this very bundle, and signed that it did.

The latest decision of an environment about the bundle counts; of two at the same moment, the refusing one. A
bundle has been there since the first decision that admitted it after the last that refused it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.signing.times import format_time
from carnet_policies.evaluation import RuleResult, RuleStatus
from carnet_policies.schema_fields import in_words

if TYPE_CHECKING:
    from carnet_policies.facts import Facts, PeerDecision
    from carnet_policies.schema import DecisionDemand


def check_decision(demand: DecisionDemand, facts: Facts) -> RuleResult:
    """Check that the environment's latest decision about this bundle is PASSED, and old enough.

    Args:
        demand: The environment whose decision is needed, and how long the bundle must have been there.
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
        return _admitted(demand, about, values, facts)
    return RuleResult(
        demand.rule,
        RuleStatus.FAILED,
        f"{demand.environment}'s latest decision about this bundle is {latest.result}",
        demand.remedy or f"Have the bundle admitted to {demand.environment} first.",
        values,
    )


def _admitted(
    demand: DecisionDemand, about: list[PeerDecision], values: dict[str, str], facts: Facts
) -> RuleResult:
    """Return the result for a bundle that is there: it passes once it has been there for long enough."""
    message = f"{demand.environment} admitted this bundle"
    if demand.soak is None:
        return RuleResult(demand.rule, RuleStatus.PASSED, message, "", values)
    refused = max((each.time for each in about if each.result != "PASSED"), default=None)
    since = min(
        each.time for each in about if each.result == "PASSED" and (refused is None or each.time > refused)
    )
    opens, soak = since + demand.soak, in_words(demand.soak)
    values |= {"since": format_time(since), "soak": soak}
    if facts.now >= opens:
        message = f"{message}, and it has been there since {format_time(since)}; demanded: {soak}"
        return RuleResult(demand.rule, RuleStatus.PASSED, message, "", values)
    return RuleResult(
        demand.rule,
        RuleStatus.AWAITING,
        f"in {demand.environment} since {format_time(since)}; demanded: {soak}, until {format_time(opens)}",
        demand.remedy or f"It goes on by itself at {format_time(opens)}.",
        values,
        opens_at=opens,
    )


def _home(facts: Facts) -> str:
    parts = (facts.manifest.get(key, key.upper()) for key in ("home", "namespace", "model"))
    return f"{'/'.join(str(part) for part in parts)}@{facts.manifest.get('version', 'VERSION')}"

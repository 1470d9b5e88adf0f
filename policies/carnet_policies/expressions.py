"""Rules that an expression decides.

Responsible for which of them may run, and for the result that an answer becomes. Invariants: a rule whose
needs are not met never runs; a rule passes on the boolean true and on nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet_policies.checks import PLACEHOLDER
from carnet_policies.evaluation import RuleResult, RuleStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from carnet_policies.protocol import Answer
    from carnet_policies.schema import ExpressionRule, MetricDemand


def unmet_needs(rule: ExpressionRule | MetricDemand, resolved: Mapping[str, RuleResult]) -> RuleResult | None:
    """Return the rule's result if what it needs is not there; None if it may run.

    Args:
        rule: The rule.
        resolved: The results of the rules that need no expression, by id.
    """
    # A need that is not asked of this version cannot be met: ``checks`` refuses such a policy.
    failed = [each for each in rule.needs if _status(resolved, each) is RuleStatus.FAILED]
    awaited = [each for each in rule.needs if _status(resolved, each) is RuleStatus.AWAITING]
    if failed:
        needs = ", ".join(failed)
        message, remedy = f"not evaluated: it needs {needs}, which failed", f"See {needs}."
        return RuleResult(rule.rule, RuleStatus.FAILED, message, remedy)
    if awaited:
        needs = ", ".join(awaited)
        message, remedy = f"not evaluated yet: it needs {needs}", f"See {needs}."
        return RuleResult(rule.rule, RuleStatus.AWAITING, message, remedy)
    return None


def _status(resolved: Mapping[str, RuleResult], need: str) -> RuleStatus:
    return resolved[need].status if need in resolved else RuleStatus.FAILED


def rule_result(rule: ExpressionRule, answer: Answer) -> RuleResult:
    """Return the rule's result.

    Args:
        rule: The rule.
        answer: What its expression gave.
    """
    said = _rendered(rule.message, answer.values)
    if answer.holds:
        return RuleResult(rule.rule, RuleStatus.PASSED, said, "", answer.values)
    remedy = _rendered(rule.remedy, answer.values)
    if answer.kind == "boolean":
        return RuleResult(rule.rule, RuleStatus.FAILED, said, remedy, answer.values)
    if answer.kind == "value":
        message = f"the expression gave no boolean but {answer.text}"
    else:
        message = f"the expression could not be evaluated: {answer.text}"
    return RuleResult(rule.rule, RuleStatus.FAILED, message, remedy, answer.values)


def _rendered(text: str, values: Mapping[str, str]) -> str:
    return PLACEHOLDER.sub(lambda match: values.get(match[1], "(unknown)"), text)

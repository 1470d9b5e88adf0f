"""Breaking the glass: which rules people may skip in an emergency, and what an evaluation is once they do.

Pure rules. Invariants: only rules that the policy names are skipped, and none of source, scope, signature,
metadata and revocation can be named; what people refused is never skipped; a rule that stands open and may
not be skipped makes the whole glass useless. Who may break it, and whether they signed, is asked elsewhere.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from carnet_policies import scope, signature, sources
from carnet_policies.evaluation import Evaluation, RuleResult, RuleStatus
from carnet_policies.mistakes import suggestion

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from carnet_policies.mistakes import Problem
    from carnet_policies.schema import PolicyDocument

RULE: Final = "break-glass"
# The id of the result that a registry adds itself: whether the version is revoked.
REVOCATION: Final = "revocation"
_ALWAYS_KEPT = (sources.RULE, scope.RULE, signature.RULE, REVOCATION)


def break_glass_problems(document: PolicyDocument) -> Iterator[Problem]:
    """Yield what is wrong with the rules that a policy lets people skip, with the field that it is in."""
    terms = document.break_glass
    if terms is None:
        return
    if not document.sources:
        yield (("break_glass",), "nothing comes in by promotion here, and a publication has no dossier")
    known = {demand.rule: field for field, _, demand in scope.demands(document)}
    can_be = [rule for rule, field in known.items() if field != "metadata"]
    seen: set[str] = set()
    for index, rule in enumerate(terms.skips):
        place = ("break_glass", "skips", index)
        if rule in _ALWAYS_KEPT or known.get(rule) == "metadata":
            yield (place, f"{rule!r} can never be skipped")
        elif rule not in known:
            yield (place, f"{rule!r} is no rule of this policy{suggestion(rule, can_be)}")
        elif rule in seen:
            yield (place, "the same rule twice")
        seen.add(rule)


def open_rules(evaluation: Evaluation) -> tuple[RuleResult, ...]:
    """Return the rules that did not pass."""
    return tuple(
        result
        for result in evaluation.results
        if result.status is not RuleStatus.PASSED and result.rule != RULE
    )


def can_be_skipped(document: PolicyDocument, evaluation: Evaluation) -> bool:
    """Whether rules stand open, and people may skip every one of them.

    Args:
        document: The policy.
        evaluation: What it says.
    """
    terms, found = document.break_glass, open_rules(evaluation)
    if terms is None or not found:
        return False
    approvals = {demand.rule for demand in document.approvals}
    return all(
        result.rule in terms.skips and not (result.rule in approvals and result.status is RuleStatus.FAILED)
        for result in found
    )


def hold_open(evaluation: Evaluation, people: Collection[str], needed: int) -> Evaluation:
    """Return an evaluation that waits for people to break the glass: what failed refuses nothing yet.

    Args:
        evaluation: What the policy says.
        people: Those who have signed for all that stands open.
        needed: How many must.
    """
    rules = ", ".join(result.rule for result in open_rules(evaluation))
    asked = RuleResult(
        RULE,
        RuleStatus.AWAITING,
        f"{_counted(people, needed)} to skip {rules}",
        "Mend what stands open, or let people who may break the glass sign, each with: carnet break-glass "
        "PROMOTION --reason TEXT --ticket ID",
        {"signed": str(len(people)), "needed": str(needed), "open": rules},
        awaits_people=True,
    )
    held = tuple(
        replace(result, held_open=True, message=f"held open for a break-glass: {result.message}")
        if result.status is RuleStatus.FAILED
        else result
        for result in evaluation.results
    )
    return Evaluation(evaluation.policy_digest, (*held, asked))


def skip_open(evaluation: Evaluation, people: Collection[str], needed: int, tickets: str) -> Evaluation:
    """Return an evaluation for which the glass is broken: what stands open is skipped.

    Args:
        evaluation: What the policy says.
        people: Those who signed.
        needed: How many had to.
        tickets: The tickets that they named.
    """
    rules = ", ".join(result.rule for result in open_rules(evaluation))
    broken = RuleResult(
        RULE,
        RuleStatus.PASSED,
        f"the glass was broken ({tickets}): {_counted(people, needed)} to skip {rules}",
        "",
        {"signed_by": ", ".join(people), "tickets": tickets, "skipped": rules},
    )
    results = tuple(
        replace(
            result,
            skipped=True,
            message=f"skipped, the glass was broken: {result.message}",
            remedy="",
            awaits_people=False,
            awaits_clock=False,
        )
        if result.status is not RuleStatus.PASSED
        else result
        for result in evaluation.results
    )
    return Evaluation(evaluation.policy_digest, (*results, broken))


def _counted(people: Collection[str], needed: int) -> str:
    by = f" ({', '.join(people)})" if people else ""
    return f"{len(people)} of {needed} people{by} signed"

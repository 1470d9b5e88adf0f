"""Breaking the glass: which rules people may skip in an emergency, and what an evaluation is once they do.

Pure rules. Invariants: only rules that the policy names are skipped, and none of source, scope, signature,
metadata and revocation can be named; what people refused is never skipped; a rule that stands open and may
not be skipped makes the whole glass useless. Who may break it, and whether they signed, is asked elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from carnet_policies import scope, signature, sources
from carnet_policies.evaluation import Evaluation, RuleResult, RuleStatus
from carnet_policies.mistakes import suggestion
from carnet_policies.schema_fields import in_words

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from datetime import datetime

    from carnet_policies.facts import Party
    from carnet_policies.mistakes import Problem
    from carnet_policies.schema import BreakGlassTerms, PolicyDocument

RULE: Final = "break-glass"
# The value of that rule that names a promotion whose review is overdue, so that nobody breaks it again.
REVIEW_OVERDUE: Final = "review_overdue"
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


@dataclass(frozen=True, slots=True)
class Breaking:
    """What somebody signed to break the glass, as far as counting it goes.

    Attributes:
        person: The signer's person; None for an identity that maps to nobody.
        skips: The rules that it names.
        ticket: The ticket that it names.
        time: When it was signed.
        expires: Until when it is good.
    """

    person: str | None
    skips: frozenset[str]
    ticket: str
    time: datetime
    expires: datetime


def excluded_people(
    terms: BreakGlassTerms, publisher: Party, requester: Party | None
) -> frozenset[str] | None:
    """Return the people whose statements never count; None where one of them is not known, so nobody's do.

    Args:
        terms: The policy's terms.
        publisher: Who published the version: never counts.
        requester: Who asked for the promotion: counts only beside somebody else.
    """
    parties = [publisher.person]
    if terms.count == 1:
        parties.append(requester.person if requester else None)
    people = frozenset(person for person in parties if person is not None)
    return people if None not in parties else None


def counts(said: Breaking, rules: Collection[str], excluded: Collection[str], *, now: datetime) -> bool:
    """Whether a statement counts for skipping all the rules that stand open.

    Args:
        said: The statement.
        rules: The rules that stand open.
        excluded: The people who never count.
        now: The deciding environment's clock.
    """
    is_somebody_else = said.person is not None and said.person not in excluded
    return is_somebody_else and said.expires > now and said.skips.issuperset(rules)


def with_statements(
    evaluation: Evaluation,
    document: PolicyDocument,
    statements: Iterable[Breaking],
    *,
    publisher: Party,
    requester: Party | None,
    emergency: bool,
    now: datetime,
) -> Evaluation:
    """Return what an evaluation is with what people signed about a dossier that shows all that stands open.

    Args:
        evaluation: What the policy says.
        document: The policy.
        statements: What was signed; one that the policy's terms would not have let in counts for nothing.
        publisher: Who published the version.
        requester: Who asked for the promotion.
        emergency: Whether it was asked for as an emergency; the dossier shows what failed only then.
        now: The deciding environment's clock.
    """
    terms = document.break_glass
    if terms is None or not can_be_skipped(document, evaluation):
        return evaluation
    found = open_rules(evaluation)
    is_shown = emergency or all(each.awaits_people or each.awaits_clock for each in found)
    excluded = excluded_people(terms, publisher, requester)
    counted: dict[str, Breaking] = {}
    if is_shown and excluded is not None:
        rules = [each.rule for each in found]
        for said in statements:
            was_let_in = said.skips.issubset(terms.skips) and said.expires - said.time <= terms.max_validity
            if was_let_in and said.person is not None and counts(said, rules, excluded, now=now):
                counted[said.person] = said
    people = sorted(counted)
    if len(people) >= terms.count:
        tickets = ", ".join(dict.fromkeys(counted[person].ticket for person in people))
        return skip_open(evaluation, people, terms.count, tickets)
    return hold_open(evaluation, people, terms) if emergency or people else evaluation


def hold_open(evaluation: Evaluation, people: Collection[str], terms: BreakGlassTerms) -> Evaluation:
    """Return an evaluation that waits for people to break the glass: what failed refuses nothing yet.

    Args:
        evaluation: What the policy says.
        people: Those who have signed for all that stands open.
        terms: How many must, and how.
    """
    rules = ", ".join(result.rule for result in open_rules(evaluation))
    asked = RuleResult(
        RULE,
        RuleStatus.AWAITING,
        f"{_counted(people, terms.count)} to skip {rules}",
        "Mend what stands open, or let people who may break the glass sign, each with: carnet break-glass "
        "PROMOTION --reason TEXT --ticket ID",
        {
            "signed": str(len(people)),
            "needed": str(terms.count),
            "open": rules,
            "max_validity": in_words(terms.max_validity),
            "review_within": in_words(terms.review_within),
        },
        awaits_people=True,
    )
    held = tuple(
        replace(result, held_open=True, message=f"held open for a break-glass: {result.message}")
        if result.status is RuleStatus.FAILED
        else result
        for result in evaluation.results
    )
    return Evaluation(evaluation.policy_digest, (*held, asked))


def name_overdue(evaluation: Evaluation, promotion: str) -> Evaluation:
    """Return an evaluation that waits for people to break the glass, and says that none can yet.

    Args:
        evaluation: What ``hold_open`` returned; any other is returned as it is.
        promotion: The promotion whose review is overdue.
    """
    results = tuple(
        replace(
            result,
            message=f"{result.message}; nobody can before the overdue review of promotion {promotion}",
            values={**result.values, REVIEW_OVERDUE: promotion},
        )
        if result.rule == RULE and result.status is RuleStatus.AWAITING
        else result
        for result in evaluation.results
    )
    return Evaluation(evaluation.policy_digest, results)


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
            opens_at=None,
        )
        if result.status is not RuleStatus.PASSED
        else result
        for result in evaluation.results
    )
    return Evaluation(evaluation.policy_digest, (*results, broken))


def _counted(people: Collection[str], needed: int) -> str:
    by = f" ({', '.join(people)})" if people else ""
    return f"{len(people)} of {needed} people{by} signed"

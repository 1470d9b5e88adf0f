"""The rule of approvals: enough people, who are not those whose work it is, said yes.

Invariants: a person counts once, whatever the number of their accounts, and their latest statement is what
they say; an identity that maps to no person counts for nothing; a standing rejection fails the rule; where
independence is demanded of somebody unknown, the rule fails, because nobody can be shown to be independent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet_policies.evaluation import RuleResult, RuleStatus

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from carnet_policies.facts import ApprovalFact, Facts, Party
    from carnet_policies.schema import ApprovalDemand

_CAUTION = {"approved": 0, "reviewed": 1, "withdrawn": 2, "rejected": 3}
_DEED = {"publisher": "published this version", "requester": "requested this promotion"}


def check_approvals(demand: ApprovalDemand, facts: Facts) -> RuleResult:
    """Check that enough independent people approve, and that nobody rejects.

    Args:
        demand: How many, and of whom they must be independent.
        facts: The facts, of which the verified statements, the publisher and the requester are read.
    """
    authors = {"publisher": facts.publisher, "requester": facts.requester}
    unknown = [role for role in demand.independent_of if _person(authors[role]) is None]
    if unknown:
        return _unknown_author(demand, authors, unknown)
    latest = _latest_statements(facts)
    rejecting = sorted(
        person
        for person, statement in latest.items()
        if statement.meaning == "rejected" and not _expired(statement, facts)
    )
    if rejecting:
        return RuleResult(
            demand.rule,
            RuleStatus.FAILED,
            f"rejected by {', '.join(rejecting)}",
            f"Settle it with {', '.join(rejecting)}, who can withdraw the rejection: "
            "carnet withdraw PROMOTION --reason TEXT",
            {"rejected_by": ", ".join(rejecting)},
        )
    approving: list[str] = []
    excluded = [f"{item.subject} (maps to no person)" for item in facts.approvals if item.person is None]
    for person, statement in sorted(latest.items()):
        reason = _exclusion(demand, authors, person, statement, facts)
        if reason is None:
            approving.append(person)
        else:
            excluded.append(f"{person} ({reason})")
    return _counted(demand, approving, excluded)


def _person(party: Party | None) -> str | None:
    return party.person if party else None


def _expired(statement: ApprovalFact, facts: Facts) -> bool:
    return statement.expires <= facts.now


def _latest_statements(facts: Facts) -> dict[str, ApprovalFact]:
    """Each person's latest statement; of several at one moment, the most cautious."""
    latest: dict[str, ApprovalFact] = {}
    for statement in sorted(facts.approvals, key=lambda item: (item.time, _CAUTION.get(item.meaning, 4))):
        if statement.person is not None:
            latest[statement.person] = statement
    return latest


def _exclusion(
    demand: ApprovalDemand,
    authors: Mapping[str, Party | None],
    person: str,
    statement: ApprovalFact,
    facts: Facts,
) -> str | None:
    """Say why a person's statement is no approval that counts; None when it is one."""
    if statement.meaning != "approved":
        return statement.meaning
    if _expired(statement, facts):
        return f"expired at {statement.expires.isoformat()}"
    if demand.authentication and statement.authentication not in demand.authentication:
        return f"authenticated by {statement.authentication}, not by {' or '.join(demand.authentication)}"
    for role in demand.independent_of:
        if _person(authors[role]) == person:
            return _DEED[role]
    return None


def _counted(demand: ApprovalDemand, approving: list[str], excluded: list[str]) -> RuleResult:
    values = {"approved": str(len(approving)), "needed": str(demand.count)}
    if approving:
        values["approved_by"] = ", ".join(approving)
    if excluded:
        values["not_counted"] = ", ".join(excluded)
    by = f" ({', '.join(approving)})" if approving else ""
    rest = f"; not counted: {', '.join(excluded)}" if excluded else ""
    message = f"{len(approving)} of {demand.count} approvals{by}{rest}"
    if len(approving) >= demand.count:
        return RuleResult(demand.rule, RuleStatus.PASSED, message, "", values)
    lacking = demand.count - len(approving)
    kept_out = f" who neither {' nor '.join(_DEED[role] for role in demand.independent_of)}"
    who = (
        f"{lacking} more {'person' if lacking == 1 else 'people'}{kept_out if demand.independent_of else ''}"
    )
    if demand.authentication:
        who += f", with a key that asks who they are ({' or '.join(demand.authentication)})"
    return RuleResult(
        demand.rule,
        RuleStatus.AWAITING,
        message,
        f"{demand.remedy} Needed: {who}, each with: carnet approve PROMOTION --reason TEXT".strip(),
        values,
        awaits_people=True,
    )


def _unknown_author(
    demand: ApprovalDemand, authors: Mapping[str, Party | None], unknown: Sequence[str]
) -> RuleResult:
    named = []
    for role in unknown:
        party = authors[role]
        named.append(f"the {role} {party.subject} maps to no person" if party else f"the {role} is not known")
    return RuleResult(
        demand.rule,
        RuleStatus.FAILED,
        f"{' and '.join(named)}, so nobody can be shown to be independent",
        "Map the identity to its person in the environment's trust document, or act as a person.",
        {"unknown": ", ".join(unknown)},
    )

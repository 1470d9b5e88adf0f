"""Rules of evidence: attestations of a type and suite, by enough signers trusted for them, that say yes.

Responsible for which attestations meet a demand. Invariants: what is missing is awaited; one FAILED result of
the demanded type and suite, by any trusted signer, fails the rule for good, whatever else is there; a signer
counts once, and so does a person with several accounts.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from carnet_policies.evaluation import RuleResult, RuleStatus
from carnet_policies.evidence_kinds import KINDS, WITH_RESULT, attested_as, is_of_kind
from carnet_policies.schema_fields import in_words

if TYPE_CHECKING:
    from datetime import datetime

    from carnet_policies.facts import Attestation, Facts
    from carnet_policies.schema import EvidenceDemand

CLOCK_SKEW = timedelta(minutes=5)


def check_evidence(demand: EvidenceDemand, facts: Facts) -> RuleResult:
    """Check one demand for evidence.

    Args:
        demand: What must be attested, and by whom.
        facts: The facts, of which the verified evidence is read.
    """
    relevant = [item for item in facts.evidence if is_about(demand, item)]
    what = f"{demand.suite or demand.type} " if demand.suite or demand.type in KINDS else ""
    failed = [item for item in relevant if item.result == "FAILED"]
    if failed:
        return RuleResult(
            demand.rule,
            RuleStatus.FAILED,
            f"the {what}attestation by {failed[0].signer_subject} says FAILED",
            demand.remedy or "A failed result stands for good: fix the model and push a new version.",
            {"digest": failed[0].digest, "signer": failed[0].signer_subject},
        )
    good = [item for item in relevant if shortcoming(demand, item, facts.now) is None]
    people = {item.signer_person or item.signer_subject: item.signer_subject for item in good}
    signers = sorted(people.values())
    wanted = " or ".join(demand.results)
    values = {"digest": good[0].digest, "signer": ", ".join(signers)} if good else {}
    if demand.count > 1:
        values |= {"signers": str(len(signers)), "needed": str(demand.count)}
    if len(signers) >= demand.count:
        warned = " with warnings" if any(item.result == "WARNED" for item in good) else ""
        message = f"{what}PASSED{warned}, attested by {', '.join(signers)}"
        too_old = [item.time + demand.max_age for item in good if item.time and demand.max_age]
        return RuleResult(
            demand.rule, RuleStatus.PASSED, message, "", values, holds_until=min(too_old, default=None)
        )
    reasons = [
        f"{item.signer_subject}'s {why}"
        for item in relevant
        if (why := shortcoming(demand, item, facts.now)) is not None
    ]
    found = f"; not counted: {'; '.join(reasons)}" if reasons else ""
    if demand.count > 1:
        by = f" ({', '.join(signers)})" if signers else ""
        lack = f"{len(signers)} of {demand.count} signers{by} of a {what}attestation that {wanted}"
        message = f"{lack}, each a trusted {' or '.join(demand.signers)}{found}"
    else:
        message = f"no {what}attestation that {wanted}, by a trusted {' or '.join(demand.signers)}{found}"
    return RuleResult(
        demand.rule,
        RuleStatus.AWAITING,
        message,
        f"{demand.remedy} {attest_command(demand, facts)}".strip(),
        values,
    )


def is_about(demand: EvidenceDemand, item: Attestation) -> bool:
    """Return whether an attestation is of the demanded type and suite."""
    return demand.suite in (None, item.suite) and is_of_kind(demand.type, item.predicate_type, item.suite)


def shortcoming(demand: EvidenceDemand, item: Attestation, now: datetime, *, aged: bool = True) -> str | None:
    """Say why an attestation of the demanded type does not meet the demand; None when it does.

    Args:
        demand: The demand.
        item: An attestation of its type and suite.
        now: The deciding environment's clock.
        aged: Whether the demanded age matters; it does not for what was admitted earlier.
    """
    if not item.signer_roles & set(demand.signers):
        return f"signer is not trusted as {' or '.join(demand.signers)}"
    if item.result not in demand.results and (item.result or item.predicate_type in WITH_RESULT):
        return f"result is {item.result or 'not stated'}"
    return _age_shortcoming(item.time, demand.max_age, now) if demand.max_age and aged else None


def _age_shortcoming(time: datetime | None, max_age: timedelta, now: datetime) -> str | None:
    if time is None:
        return "states no time, and an age is demanded"
    if time > now + CLOCK_SKEW:
        return f"is dated in the future: {time.isoformat()}"
    if now - time > max_age:
        return f"is of {time.isoformat()}, and older than {in_words(max_age)}"
    return None


def attest_command(demand: EvidenceDemand, facts: Facts) -> str:
    """Return the command that brings the evidence, as one sentence."""
    kind = attested_as(demand.type)
    suite = f" for suite {demand.suite}" if demand.suite else ""
    role = " or ".join(demand.signers)
    return f"As {role}{suite}, run: carnet attest {facts.reference} --type {kind} --file FILE"

"""Rules of evidence: an attestation of a type and suite, by a signer trusted for it, that says PASSED.

Responsible for which attestations meet a demand. Invariants: what is missing is awaited; one FAILED result of
the demanded type and suite, by any trusted signer, fails the rule for good, whatever else is there.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from carnet_policies.evaluation import RuleResult, RuleStatus
from carnet_policies.facts import TEST_RESULT

if TYPE_CHECKING:
    from datetime import datetime

    from carnet_policies.facts import Attestation, Facts
    from carnet_policies.schema import EvidenceDemand

CLOCK_SKEW = timedelta(minutes=5)
_WITH_RESULT = frozenset({TEST_RESULT, "https://slsa.dev/verification_summary/v1"})
_SHORT_TYPES = {TEST_RESULT: "test-result"}


def check_evidence(demand: EvidenceDemand, facts: Facts) -> RuleResult:
    """Check one demand for evidence.

    Args:
        demand: What must be attested, and by whom.
        facts: The facts, of which the verified evidence is read.
    """
    relevant = [item for item in facts.evidence if is_about(demand, item)]
    what = f"{demand.suite} " if demand.suite else ""
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
    if good:
        signers = ", ".join(sorted({item.signer_subject for item in good}))
        values = {"digest": good[0].digest, "signer": signers}
        return RuleResult(demand.rule, RuleStatus.PASSED, f"{what}PASSED, attested by {signers}", "", values)
    reasons = [f"{item.signer_subject}'s {shortcoming(demand, item, facts.now)}" for item in relevant]
    found = f"; not counted: {'; '.join(reasons)}" if reasons else ""
    return RuleResult(
        demand.rule,
        RuleStatus.AWAITING,
        f"no {what}attestation that PASSED, by a trusted {' or '.join(demand.signers)}{found}",
        f"{demand.remedy} {attest_command(demand, facts)}".strip(),
    )


def is_about(demand: EvidenceDemand, item: Attestation) -> bool:
    """Return whether an attestation is of the demanded type and suite."""
    return item.predicate_type == demand.type and demand.suite in (None, item.suite)


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
    if item.result != "PASSED" and (item.result or demand.type in _WITH_RESULT):
        return f"result is {item.result or 'not stated'}"
    return _age_shortcoming(item.time, demand.max_age, now) if demand.max_age and aged else None


def _age_shortcoming(time: datetime | None, max_age: timedelta, now: datetime) -> str | None:
    if time is None:
        return "states no time, and an age is demanded"
    if time > now + CLOCK_SKEW:
        return f"is dated in the future: {time.isoformat()}"
    if now - time > max_age:
        return f"is of {time.isoformat()}, and older than {str(max_age).removesuffix(', 0:00:00')}"
    return None


def attest_command(demand: EvidenceDemand, facts: Facts) -> str:
    """Return the command that brings the evidence, as one sentence."""
    kind = _SHORT_TYPES.get(demand.type, demand.type)
    suite = f" for suite {demand.suite}" if demand.suite else ""
    role = " or ".join(demand.signers)
    return f"As {role}{suite}, run: carnet attest {facts.reference} --type {kind} --file FILE"

"""The dossier: when one is issued, and when the one that was issued stands no longer.

Pure rules. A dossier freezes policy and evidence for the people who approve; new evidence that speaks for the
version does not reopen it, and what speaks against it (a FAILED result, a revocation) refuses the promotion.
It is issued anew only where another policy is in force, or its time is over; approvals of the old one then
count for nothing, since they name its digest.

In an emergency a dossier is issued while rules stand open that people may skip, and it names them. It cannot
be approved, and is replaced as soon as another rule stands open, or everything but people is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.signing.dossier import Dossier, OpenRule
from carnet.signing.dsse import parse_envelope
from carnet.signing.evidence_set import evidence_set_digest
from carnet.signing.statement import parse_statement
from carnet_policies.evaluation import RuleStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from carnet_policies.document import Policy
    from carnet_policies.evaluation import Evaluation, RuleResult
    from carnet_server.admission.domain import Admission


def read_dossier(data: bytes) -> Dossier:
    """Read a dossier that this environment signed and stored.

    Raises:
        IntegrityError: The stored bytes are not a dossier.
    """
    return Dossier.parse(parse_statement(parse_envelope(data)))


def standing_dossier(admission: Admission | None, *, policy_digest: str, now: datetime) -> Dossier | None:
    """Return the promotion's dossier if it stands: made under the policy in force, and not expired.

    Args:
        admission: The promotion; None where it is not known here.
        policy_digest: The digest of the policy in force.
        now: This environment's clock.
    """
    if admission is None or admission.dossier is None:
        return None
    dossier = read_dossier(admission.dossier)
    return dossier if dossier.policy_digest == policy_digest and dossier.expires_at > now else None


def needs_dossier(
    evaluation: Evaluation,
    policy: Policy,
    standing: Dossier | None,
    *,
    emergency: Sequence[RuleResult] = (),
) -> bool:
    """Whether a dossier is to be issued: everything but people is there, or may be skipped, and none stands.

    Args:
        evaluation: What the policy says now.
        policy: The policy in force.
        standing: The dossier that stands.
        emergency: What stands open and is to be shown to those who may break the glass.
    """
    if evaluation.skipped:
        return False
    if emergency:
        return standing is None or not all(is_shown(standing, result) for result in emergency)
    if standing is not None and not standing.open_rules:
        return False
    asked = {result.rule for result in evaluation.results}
    asks_people = any(each.when is None or each.rule in asked for each in policy.document.approvals)
    return evaluation.awaits_only_people or (asks_people and evaluation.outcome is RuleStatus.PASSED)


def is_shown(dossier: Dossier, result: RuleResult) -> bool:
    """Whether whoever signs over a dossier is shown that a rule stands open, and how.

    What an ordinary dossier shows as open is people and the clock.
    """
    if dossier.open_rules:
        return (result.rule, result.status) in {(each.rule, each.status) for each in dossier.open_rules}
    return result.status is RuleStatus.AWAITING and (result.awaits_people or result.awaits_clock)


def make_dossier(
    admission: Admission,
    evidence: Iterable[str],
    *,
    environment: str,
    policy: Policy,
    now: datetime,
    emergency: Sequence[RuleResult] = (),
) -> Dossier:
    """Return a dossier, to be signed.

    Args:
        admission: The promotion.
        evidence: The digests of the evidence that was evaluated.
        environment: This environment.
        policy: The policy in force.
        now: When it is issued; whole seconds are kept.
        emergency: What stands open and is to be shown to those who may break the glass.
    """
    frozen = tuple(sorted(set(evidence)))
    issued_at = now.replace(microsecond=0)
    return Dossier(
        promotion=admission.promotion,
        source=admission.source,
        target=environment,
        namespace=admission.namespace,
        model=admission.model,
        version=admission.version,
        alias=admission.alias,
        policy_digest=policy.digest,
        evidence=frozen,
        evidence_set_digest=evidence_set_digest(frozen),
        requester=admission.requester,
        publisher=admission.publisher,
        issued_at=issued_at,
        expires_at=issued_at + policy.document.dossier_valid_for,
        open_rules=tuple(
            OpenRule(
                rule=result.rule,
                status="FAILED" if result.status is RuleStatus.FAILED else "AWAITING",
                message=result.message,
            )
            for result in emergency
        ),
        by_rollout=admission.by_rollout,
    )

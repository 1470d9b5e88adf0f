"""The dossier: when one is issued, and when the one that was issued stands no longer.

Pure rules. A dossier freezes policy and evidence for the people who approve; new evidence that speaks for the
version does not reopen it, and what speaks against it (a FAILED result, a revocation) refuses the promotion.
It is issued anew only where another policy is in force, or its time is over; approvals of the old one then
count for nothing, since they name its digest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.signing.dossier import Dossier
from carnet.signing.dsse import parse_envelope
from carnet.signing.evidence_set import evidence_set_digest
from carnet.signing.statement import parse_statement
from carnet_policies.evaluation import RuleStatus

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from carnet_policies.document import Policy
    from carnet_policies.evaluation import Evaluation
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


def needs_dossier(evaluation: Evaluation, policy: Policy, standing: Dossier | None) -> bool:
    """Whether a dossier is to be issued: everything but people is there, and none stands.

    Args:
        evaluation: What the policy says now.
        policy: The policy in force.
        standing: The dossier that stands.
    """
    if standing is not None:
        return False
    asked = {result.rule for result in evaluation.results}
    asks_people = any(each.when is None or each.rule in asked for each in policy.document.approvals)
    return evaluation.awaits_only_people or (asks_people and evaluation.outcome is RuleStatus.PASSED)


def make_dossier(
    admission: Admission, evidence: Iterable[str], *, environment: str, policy: Policy, now: datetime
) -> Dossier:
    """Return a dossier, to be signed.

    Args:
        admission: The promotion.
        evidence: The digests of the evidence that was evaluated.
        environment: This environment.
        policy: The policy in force.
        now: When it is issued; whole seconds are kept.
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
    )

"""What the target asks people to approve.

Signed by the target environment once everything but people is there, or in an emergency, with the rules that
stand open. It freezes what an approval is bound to:
the bundle (its subject), the policy and the set of evidence.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from carnet.signing.evidence_set import evidence_set_digest
from carnet.signing.fields import (
    Digest,
    Digests,
    FrozenModel,
    Hex32,
    Line,
    Many,
    Name,
    OptionalName,
    Time,
    VersionNumber,
)
from carnet.signing.predicate import Predicate


class OpenRule(FrozenModel):
    """A rule that had not passed when the dossier was issued, and what it said."""

    rule: Name
    status: Literal["FAILED", "AWAITING"]
    message: str


class Dossier(Predicate):
    """A dossier.

    Attributes:
        promotion: The promotion that it is for; one admission consumes it.
        source: The environment that the version comes from.
        target: The environment that decides, which signs it.
        namespace: The namespace at the target.
        model: The model.
        version: The version's number.
        alias: The alias that admission would move, or permit a rollout to move; empty for none.
        policy_digest: The SHA-256 of the policy in force.
        evidence: The digests of the evidence that was evaluated, in order.
        evidence_set_digest: The digest of that set, as ``evidence_set_digest`` gives it.
        requester: The subject that asked for the promotion.
        publisher: The subject that published the version.
        issued_at: When it was signed.
        expires_at: Until when it can be approved and consumed.
        open_rules: The rules that stand open, in a dossier for breaking the glass; it cannot be approved.
        by_rollout: Whether admission only permits the alias to move, which a rollout then does.
    """

    PREDICATE_TYPE: ClassVar[str] = "urn:carnet:dossier:v1"

    promotion: Hex32
    source: Name
    target: Name
    namespace: Name
    model: Name
    version: VersionNumber
    alias: OptionalName
    policy_digest: Digest
    evidence: Digests
    evidence_set_digest: Digest
    requester: Line
    publisher: Line
    issued_at: Time
    expires_at: Time
    open_rules: Many[OpenRule] = ()
    by_rollout: bool = False

    def check_consistency(self) -> None:
        """Refuse another set's digest, a dossier that ends before it begins, and a rollout of no alias."""
        if self.evidence_set_digest != evidence_set_digest(self.evidence):
            raise self.inconsistent("evidence_set_digest", "is not the digest of the evidence listed")
        if self.expires_at <= self.issued_at:
            raise self.inconsistent("expires_at", "is not after issued_at")
        if self.by_rollout and not self.alias:
            raise self.inconsistent("by_rollout", "needs an alias")

"""A person's signed word about a dossier.

Signed by the approver, with a key that never leaves them, over the dossier's digest: so it holds for that
bundle, policy and set of evidence, and for nothing else.
"""

# ruff: noqa: TC001 - pydantic reads the fields' types at run time
from __future__ import annotations

from typing import ClassVar, Literal

from carnet.signing.fields import Digest, Hex32, Name, Reason, Time
from carnet.signing.spoken import SpokenPredicate

Meaning = Literal["reviewed", "approved", "rejected", "withdrawn"]


class Approval(SpokenPredicate):
    """An approval, a rejection, a review or a withdrawal; says also how its signer was authenticated.

    Attributes:
        promotion: The promotion that it is about.
        dossier_digest: The SHA-256 of the dossier's envelope.
        source: The environment that the version comes from.
        target: The environment that it is for.
        policy_digest: The policy's digest, as in the dossier.
        evidence_set_digest: The evidence's digest, as in the dossier.
        meaning: ``reviewed`` (seen, and no more), ``approved``, ``rejected``, or ``withdrawn`` (takes back
            what the same person said before).
        reason: Why, in the approver's words.
        signed_at: When it was signed.
        expires_at: Until when it counts.
        nonce: 32 random hexadecimal digits.
    """

    PREDICATE_TYPE: ClassVar[str] = "urn:carnet:approval:v1"

    promotion: Hex32
    dossier_digest: Digest
    source: Name
    target: Name
    policy_digest: Digest
    evidence_set_digest: Digest
    meaning: Meaning
    reason: Reason
    signed_at: Time
    expires_at: Time
    nonce: Hex32

    def check_consistency(self) -> None:
        """Refuse an approval that ends before it begins."""
        if self.expires_at <= self.signed_at:
            raise self.inconsistent("expires_at", "is not after signed_at")

"""A signed statement that an emergency outweighs named rules, and the review that follows it.

Both are signed by people, with keys that never leave them, and say how their signer was authenticated. The
first is over the dossier's digest and names the rules that it skips, so it holds for that bundle, policy, set
of evidence and those rules, and for nothing else; the second is over the decision that it led to.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from carnet.signing.fields import Digest, Hex32, Line, Many, Name, Reason, Time
from carnet.signing.spoken import SpokenPredicate

Verdict = Literal["accepted", "rejected"]
Ticket = Annotated[Line, Field(max_length=200)]


class BreakGlass(SpokenPredicate):
    """One person's part in breaking the glass.

    Attributes:
        promotion: The promotion that it is for; one admission consumes it.
        dossier_digest: The SHA-256 of the dossier's envelope.
        source: The environment that the version comes from.
        target: The environment that it is for.
        policy_digest: The policy's digest, as in the dossier.
        evidence_set_digest: The evidence's digest, as in the dossier.
        skips: The ids of the rules that are skipped, in order, each once.
        reason: Why, in the signer's words.
        ticket: The incident or change that it belongs to.
        signed_at: When it was signed.
        expires_at: Until when it counts.
        nonce: 32 random hexadecimal digits.
    """

    PREDICATE_TYPE: ClassVar[str] = "urn:carnet:break-glass:v1"

    promotion: Hex32
    dossier_digest: Digest
    source: Name
    target: Name
    policy_digest: Digest
    evidence_set_digest: Digest
    skips: Annotated[Many[Name], Field(min_length=1, max_length=100)]
    reason: Reason
    ticket: Ticket
    signed_at: Time
    expires_at: Time
    nonce: Hex32

    def check_consistency(self) -> None:
        """Refuse rules out of order or twice, and a statement that ends before it begins."""
        if any(first >= second for first, second in pairwise(self.skips)):
            raise self.inconsistent("skips", "should be in ascending order, each rule once")
        if self.expires_at <= self.signed_at:
            raise self.inconsistent("expires_at", "is not after signed_at")


class BreakGlassReview(SpokenPredicate):
    """What somebody else says afterwards of an admission for which the glass was broken.

    Attributes:
        promotion: The promotion.
        target: The environment that admitted it.
        decision_digest: The SHA-256 of the decision's envelope.
        verdict: ``accepted``, or ``rejected`` for one that should not have been.
        reason: Why, in the reviewer's words.
        signed_at: When it was signed.
        nonce: 32 random hexadecimal digits.
    """

    PREDICATE_TYPE: ClassVar[str] = "urn:carnet:break-glass-review:v1"

    promotion: Hex32
    target: Name
    decision_digest: Digest
    verdict: Verdict
    reason: Reason
    signed_at: Time
    nonce: Hex32

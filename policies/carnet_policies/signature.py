"""The rule ``signature``: a bundle is signed by somebody who is trusted here for publishing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet_policies.evaluation import RuleResult, RuleStatus

if TYPE_CHECKING:
    from carnet_policies.facts import Facts

RULE = "signature"


def check_signature(facts: Facts) -> RuleResult:
    """Check that the bundle carries a verified signature by a key that is trusted here."""
    if facts.signature is None:
        return RuleResult(
            RULE,
            RuleStatus.FAILED,
            f"no signature of the bundle verifies with a key that {facts.target} trusts for publishing",
            f"Push a new version signed with a trusted key, or have the key added to {facts.target}'s trust "
            "document.",
        )
    values = {"signer": facts.signature.subject, "key_id": facts.signature.key_id}
    return RuleResult(RULE, RuleStatus.PASSED, f"signed by {facts.signature.subject}", "", values)

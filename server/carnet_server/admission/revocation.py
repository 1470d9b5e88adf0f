"""The one rule that no policy can leave out: what is revoked at the source or here is not admitted.

Pure. It stands beside the policy's own results, under the id ``revocation``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet_policies.evaluation import Evaluation, RuleResult, RuleStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

RULE = "revocation"


def with_revocation(evaluation: Evaluation, revoked_at: Sequence[str], *, asked: Sequence[str]) -> Evaluation:
    """Return an evaluation with the result of this rule added.

    Args:
        evaluation: What the policy said.
        revoked_at: The environments at which the version is revoked.
        asked: The environments that were looked at.
    """
    if revoked_at:
        result = RuleResult(
            RULE,
            RuleStatus.FAILED,
            f"the version is revoked at {' and '.join(revoked_at)}",
            "A revocation stands for good: push a new version, and promote that.",
            {"revoked_at": ", ".join(revoked_at)},
        )
    else:
        result = RuleResult(RULE, RuleStatus.PASSED, f"not revoked at {' or '.join(asked)}")
    return Evaluation(evaluation.policy_digest, (*evaluation.results, result))

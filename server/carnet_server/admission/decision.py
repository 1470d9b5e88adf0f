"""The decision: what this environment signs about a bundle, when its policy has said yes or no for good.

Pure. A decision names the policy, every rule's result, and all the envelopes that it rests on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from carnet.signing.decision import (
    Decision,
    InputAttestation,
    PolicyReference,
    RuleOutcome,
    Verifier,
    verifier_id,
    version_uri,
)
from carnet.signing.predicate import DigestSet
from carnet.version import __version__
from carnet_policies.evaluation import RuleStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime, timedelta

    from carnet_policies.evaluation import Evaluation
    from carnet_server.admission.domain import Admission

ADMITTED_LEVEL = "CARNET_ADMITTED"
# SLSA's own word for having reached no level (VSA, SlsaResult).
FAILED_LEVEL = "FAILED"
BREAK_GLASS_LEVEL = "CARNET_BREAK_GLASS"


def make_decision(
    admission: Admission,
    evaluation: Evaluation,
    inputs: Mapping[str, Iterable[str]],
    *,
    environment: str,
    permit_valid_for: timedelta,
    now: datetime,
) -> Decision:
    """Return a decision, to be signed.

    Args:
        admission: The promotion.
        evaluation: What the policy said; anything but PASSED is a refusal.
        inputs: The digests of the envelopes that it rests on, by their kind.
        environment: This environment.
        permit_valid_for: How long a rollout may act on it, where the promotion is by rollout.
        now: When it is made.
    """
    levels = (ADMITTED_LEVEL, BREAK_GLASS_LEVEL) if evaluation.skipped else (ADMITTED_LEVEL,)
    result: Literal["PASSED", "FAILED"] = "PASSED" if evaluation.outcome is RuleStatus.PASSED else "FAILED"
    return Decision(
        verifier=Verifier(id=verifier_id(environment), version={"carnet": __version__}),
        time_verified=now,
        resource_uri=version_uri(environment, admission.namespace, admission.model, admission.version),
        policy=PolicyReference(
            uri=f"urn:carnet:policy:{environment}", digest=DigestSet(sha256=evaluation.policy_digest)
        ),
        input_attestations=tuple(
            InputAttestation(uri=f"urn:carnet:{kind}", digest=DigestSet(sha256=digest))
            for kind, digests in inputs.items()
            for digest in sorted(set(digests))
        ),
        verification_result=result,
        verified_levels=levels if result == "PASSED" else (FAILED_LEVEL,),
        promotion=admission.promotion,
        alias=admission.alias,
        rules=tuple(
            RuleOutcome(
                rule=rule.rule, status="SKIPPED" if rule.skipped else rule.status.value, message=rule.message
            )
            for rule in evaluation.results
        ),
        by_rollout=admission.by_rollout,
        permit_expires_at=now + permit_valid_for if admission.by_rollout and result == "PASSED" else None,
    )

"""The signed decision about a publication."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.errors import GateAwaitingError, GateRefusedError
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
    from collections.abc import Iterable
    from datetime import datetime

    from carnet.signing.dsse import Envelope
    from carnet.signing.keys import SigningKey
    from carnet_policies.evaluation import Evaluation
    from carnet_server.models.domain import Arrival

PUBLISHED_LEVEL = "CARNET_PUBLISHED"
# SLSA's own word for having reached no level (VSA, SlsaResult).
FAILED_LEVEL = "FAILED"


def sign_decision(
    arrival: Arrival,
    evaluation: Evaluation,
    *,
    environment: str,
    key: SigningKey,
    evidence: Iterable[str],
    now: datetime,
) -> Envelope:
    """Sign what the policy said about a publication, as a SLSA verification summary.

    Args:
        arrival: The version.
        evaluation: What the policy said; it passed or failed.
        environment: This environment.
        key: Its key.
        evidence: The digests of the attestations that were looked at.
        now: When it was decided.
    """
    manifest = arrival.manifest
    passed = evaluation.outcome is RuleStatus.PASSED
    decision = Decision(
        verifier=Verifier(id=verifier_id(environment), version={"carnet": __version__}),
        time_verified=now,
        resource_uri=version_uri(environment, manifest.namespace, manifest.model, manifest.version),
        policy=PolicyReference(
            uri=f"urn:carnet:policy:{environment}", digest=DigestSet(sha256=evaluation.policy_digest)
        ),
        input_attestations=tuple(
            InputAttestation(digest=DigestSet(sha256=digest)) for digest in sorted(evidence)
        ),
        verification_result="PASSED" if passed else "FAILED",
        verified_levels=(PUBLISHED_LEVEL if passed else FAILED_LEVEL,),
        rules=tuple(
            RuleOutcome(rule=result.rule, status=result.status.value, message=result.message)
            for result in evaluation.results
        ),
    )
    return decision.sign(manifest.subject_name, arrival.bundle_digest, key)


def refusal(arrival: Arrival, evaluation: Evaluation, *, environment: str) -> GateRefusedError:
    """Return the error for a publication that the policy refused; it names each failed rule."""
    text, rules = _describe(evaluation, RuleStatus.FAILED)
    return GateRefusedError(
        f"{environment}'s policy refused {arrival.manifest.subject_name}: {text}",
        metadata={"subject": arrival.manifest.subject_name, "rules": rules},
    )


def awaiting(arrival: Arrival, evaluation: Evaluation, *, environment: str) -> GateAwaitingError:
    """Return the error for a publication that lacks something; it names what is awaited."""
    text, rules = _describe(evaluation, RuleStatus.AWAITING)
    return GateAwaitingError(
        f"{environment}'s policy does not let {arrival.manifest.subject_name} in yet: {text}",
        metadata={"subject": arrival.manifest.subject_name, "rules": rules},
    )


def _describe(evaluation: Evaluation, status: RuleStatus) -> tuple[str, str]:
    told = [result for result in evaluation.results if result.status is status]
    lines = [f"rule {each.rule}: {each.message}. {each.remedy}".strip() for each in told]
    return "; ".join(lines), ",".join(each.rule for each in told)

"""Evidence that the promotion service carries: about this bundle, and believed only if trusted here.

Responsible for assessing envelopes that came with a promotion, for keeping them in one transaction, and for
showing them to a dry run, which keeps nothing. An envelope of an unknown signer is kept and counts for
nothing: a carrier cannot leave evidence out, and vouches for none.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from carnet.errors import StatementInvalidError
from carnet_policies.facts import Attestation, MetricValue, PeerDecision
from carnet_server.evidence.adding import add_evidence
from carnet_server.evidence.assessment import assess, check_subject

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from carnet.references import ResourceName
    from carnet_server.access.identity import Caller
    from carnet_server.admission.parts import AdmissionParts
    from carnet_server.evidence.assessment import Assessment
    from carnet_server.log.transaction import Transaction


async def assess_carried(
    parts: AdmissionParts, name: ResourceName, bundle_digest: str, envelopes: Iterable[bytes]
) -> list[tuple[Assessment, bytes]]:
    """Assess the envelopes that came with a promotion, each once.

    Args:
        parts: The registry's parts.
        name: The version that they must be about.
        bundle_digest: Its digest.
        envelopes: The envelopes' bytes.

    Raises:
        SignatureInvalidError: One is malformed, or a signature that names a known key is bad.
        StatementInvalidError: One is no statement, or about another bundle or version.
    """

    def run() -> list[tuple[Assessment, bytes]]:
        trust, own_key = parts.state.trust.current, parts.state.signing_key.verification_key
        found: list[tuple[Assessment, bytes]] = []
        for envelope in dict.fromkeys(envelopes):
            assessment = assess(
                envelope, namespace=name.namespace, trust=trust, own_key=own_key, at=parts.clock()
            )
            if assessment.bundle_digest != bundle_digest:
                raise StatementInvalidError(
                    f"evidence {assessment.digest} is about the bundle {assessment.bundle_digest}, and the "
                    f"promotion about {bundle_digest}",
                    metadata={"field": "evidence"},
                )
            check_subject(assessment, name)
            found.append((assessment, envelope))
        return found

    return await asyncio.to_thread(run)


async def keep_carried(
    parts: AdmissionParts, caller: Caller, name: ResourceName, carried: Sequence[tuple[Assessment, bytes]]
) -> None:
    """Keep assessed envelopes, each with its entry; those that are held already are left as they are."""

    def change(tx: Transaction) -> None:
        for assessment, envelope in carried:
            add_evidence(tx, name, assessment, envelope, actor=caller.actor)

    if carried:
        await parts.writer.commit(change)


def believed_of(
    assessments: Iterable[Assessment], *, environment: str
) -> tuple[list[Attestation], list[PeerDecision]]:
    """Return what policies may see of assessed envelopes: the trusted ones, apart from own decisions.

    Args:
        assessments: What was found of them.
        environment: This environment.
    """
    attestations: list[Attestation] = []
    decisions: list[PeerDecision] = []
    for found in assessments:
        content, signer = found.content, found.signer
        if not found.trusted or signer.environment == environment:
            continue
        if signer.environment:
            if content.time is not None:
                decisions.append(
                    PeerDecision(
                        signer.environment, found.bundle_digest, content.result, found.digest, content.time
                    )
                )
            continue
        metrics = tuple(
            MetricValue(metric.name, metric.value, metric.direction, dict(metric.slice), metric.sample_count)
            for metric in content.metrics
        )
        attestations.append(
            Attestation(
                found.digest,
                found.predicate_type,
                content.suite,
                content.result,
                signer.subject,
                signer.roles,
                content.time,
                metrics,
                signer_person=signer.person,
            )
        )
    return attestations, decisions

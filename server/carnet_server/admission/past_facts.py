"""What was known when a decision was made, rebuilt from what is kept.

Responsible for the facts as of a decision: the evidence, approvals and statements that came before its entry,
where the baseline alias pointed then, and its own time as the clock. Trust is today's: what is not believed
any more is not seen. What a refused publication was made of is not kept, and cannot be rebuilt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from carnet.bundle.manifest import parse_manifest
from carnet.errors import DataLossError, IntegrityError, NotFoundError
from carnet.signing.dsse import parse_envelope
from carnet.signing.model_signature import check_covers
from carnet.signing.promotion_request import PromotionRequest
from carnet.signing.statement import parse_statement
from carnet_policies.evaluation import RuleResult, RuleStatus
from carnet_policies.facts import Party, SignatureFact
from carnet_server.access.bundle_signer import verify_bundle_signer
from carnet_server.admission.approval_rules import approval_fact, with_people_of_today
from carnet_server.admission.dossier import standing_dossier
from carnet_server.admission.past_decisions import read_signed
from carnet_server.admission.queries import read_admission, read_approvals
from carnet_server.admission.revocation import RULE as REVOCATION
from carnet_server.admission.signers import signer_of
from carnet_server.admission.situation import words_about
from carnet_server.models.facts import Candidate, FactReader
from carnet_server.models.queries import read_version

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from carnet.bundle.manifest import Manifest
    from carnet.signing.decision import Decision
    from carnet.signing.dossier import Dossier
    from carnet_policies.facts import Facts
    from carnet_server.access.trust import Trust
    from carnet_server.admission.domain import HeldApproval
    from carnet_server.admission.past_decisions import PastDecision
    from carnet_server.environment.state import EnvironmentState


@dataclass(frozen=True, slots=True)
class PastFacts:
    """What one decision was made on.

    Attributes:
        decision: What was signed then.
        facts: What a policy sees.
        dossier: The dossier that stood; None for none.
        breaking: What was signed about it to break the glass.
        emergency: Whether the promotion was asked for as an emergency.
        revocation: What was found of revocations; None for a publication.
    """

    decision: Decision
    facts: Facts
    dossier: Dossier | None = None
    breaking: tuple[HeldApproval, ...] = ()
    emergency: bool = False
    revocation: RuleResult | None = None


def read_past_facts(
    connection: Connection, past: PastDecision, *, state: EnvironmentState, baseline_alias: str | None
) -> PastFacts:
    """Rebuild what was known when a decision was made.

    Args:
        connection: Where to read.
        past: The decision.
        state: The environment.
        baseline_alias: The alias that the policy which is replayed compares with; None for none.

    Raises:
        NotFoundError: Something of it is not kept.
        DataLossError: What is stored is damaged.
        IntegrityError: What is stored is not what it must be.
    """
    decision = read_signed(connection, past)
    reader = FactReader(
        connection, state.trust.current, state.signing_key.verification_key, before=past.log_index
    )
    read = _read_promotion if past.text("promotion") else _read_publication
    return read(reader, past, decision, baseline_alias)


def _read_promotion(
    reader: FactReader, past: PastDecision, decision: Decision, baseline_alias: str | None
) -> PastFacts:
    promotion, trust = past.text("promotion"), reader.trust
    stored = read_admission(reader.connection, promotion)
    if stored is None:
        raise NotFoundError(f"promotion {promotion} is not held here")
    admission = with_people_of_today(stored, trust)
    manifest = _manifest(admission.manifest, past)
    signature, publisher = _believed(
        admission.signature,
        manifest,
        trust,
        at=admission.created_at,
        otherwise=Party(admission.publisher, admission.publisher_person),
    )
    decided_at = decision.time_verified
    dossier = standing_dossier(admission, policy_digest=decision.policy.digest.sha256, now=decided_at)
    words = words_about(
        (each for each in read_approvals(reader.connection, promotion) if each.log_index < past.log_index),
        admission.dossier_digest if dossier else None,
        namespace=admission.namespace,
        alias=admission.alias,
        trust=trust,
    )
    candidate = Candidate(
        manifest=manifest,
        bundle_digest=admission.bundle_digest,
        namespace=admission.namespace,
        signature=signature,
        publisher=publisher,
        requester=Party(admission.requester, admission.requester_person),
        source=admission.source,
        alias=admission.alias,
    )
    facts = reader.facts(
        candidate,
        baseline=reader.baseline(admission.namespace, admission.model, baseline_alias),
        approvals=[approval_fact(each) for each in words.approvals],
        now=decided_at,
    )
    for each in words.breaking:
        each.signed()  # What was skipped cannot be told from less than all of them.
    wish = PromotionRequest.parse(parse_statement(parse_envelope(admission.request)))
    return PastFacts(decision, facts, dossier, words.breaking, wish.emergency, _revocation(decision))


def _read_publication(
    reader: FactReader, past: PastDecision, decision: Decision, baseline_alias: str | None
) -> PastFacts:
    name = past.version
    version = read_version(reader.connection, name.namespace, name.model, name.version)
    if version is None or version.bundle_digest != past.text("bundle_digest"):
        raise NotFoundError("the manifest of a publication that was refused is not kept")
    manifest = _manifest(version.manifest, past)
    signature, publisher = _believed(
        version.signature,
        manifest,
        reader.trust,
        at=version.created_at,
        otherwise=Party(version.publisher, reader.trust.person_of(version.publisher)),
    )
    candidate = Candidate(manifest, version.bundle_digest, name.namespace, signature, publisher)
    facts = reader.facts(
        candidate,
        baseline=reader.baseline(name.namespace, name.model, baseline_alias),
        now=decision.time_verified,
    )
    return PastFacts(decision, facts)


def _manifest(data: bytes, past: PastDecision) -> Manifest:
    manifest = parse_manifest(data)
    if manifest.digest != past.text("bundle_digest"):
        raise DataLossError(f"the stored manifest of {past.version} is damaged: restore the database")
    return manifest


def _believed(
    signature: bytes, manifest: Manifest, trust: Trust, *, at: datetime, otherwise: Party
) -> tuple[SignatureFact | None, Party]:
    """Return the signature and the publisher as they are believed today; no signature where it is not."""
    try:
        key, verified = verify_bundle_signer(signature, manifest.namespace, trust.ring(at))
        check_covers(verified, manifest)
    except IntegrityError:
        return None, otherwise
    signer = signer_of(key)
    return SignatureFact(signer.key_id, signer.subject, signer.person), signer.party


def _revocation(decision: Decision) -> RuleResult | None:
    """Return what was found of revocations then: a fact of that time, whichever policy is asked."""
    found = next((each for each in decision.rules if each.rule == REVOCATION), None)
    if found is None:
        return None
    status = RuleStatus.PASSED if found.status == "PASSED" else RuleStatus.FAILED
    return RuleResult(REVOCATION, status, found.message)

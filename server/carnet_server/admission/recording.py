"""Writing what an evaluation found, short of admission: a promotion's arrival, its dossier, its refusal.

Invariants: everything is signed before the transaction, which only compares the read set; what has not
changed is not written; a refusal is an entry with a signed decision, and final.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from carnet.translog.entry import EntryType
from carnet.translog.receipt import format_receipt
from carnet_policies.evaluation import RuleStatus
from carnet_server.admission import queries
from carnet_server.admission.approval_rules import counted_approvals
from carnet_server.admission.break_glass_rules import shown_in_emergency
from carnet_server.admission.decision import make_decision
from carnet_server.admission.domain import Admission
from carnet_server.admission.dossier import make_dossier, needs_dossier
from carnet_server.admission.parts import signing_actor
from carnet_server.admission.states import check_transition, state_of
from carnet_server.evidence.adding import ENVELOPE_MEDIA_TYPE
from carnet_server.log.revisions import promotion_scope
from carnet_server.log.transaction import EntryDraft

if TYPE_CHECKING:
    from carnet.signing.dsse import Envelope
    from carnet_server.access.identity import Caller
    from carnet_server.admission.domain import AdmissionInput
    from carnet_server.admission.parts import AdmissionParts
    from carnet_server.admission.situation import Situation
    from carnet_server.admission.stored_evaluation import StoredEvaluation
    from carnet_server.admission.verification import VerifiedInput
    from carnet_server.log.transaction import Transaction


@dataclass(frozen=True, slots=True)
class _Finding:
    """A promotion as it is to be after an evaluation, with the documents that were signed for it."""

    before: Admission | None
    after: Admission
    verified: VerifiedInput
    dossier: Envelope | None
    decision: Envelope | None


def new_admission(
    parts: AdmissionParts,
    given: AdmissionInput,
    verified: VerifiedInput,
    evaluation: StoredEvaluation,
    *,
    epoch: int,
) -> Admission:
    """Return a promotion that was not known here, as an evaluation finds it; its times are its writer's."""
    request = verified.request.request
    now = parts.clock()
    return Admission(
        promotion=request.promotion,
        state=state_of(evaluation.outcome),
        epoch=epoch,
        home=verified.manifest.home,
        namespace=request.namespace,
        model=request.model,
        version=request.version,
        alias=request.alias,
        source=request.source,
        bundle_digest=verified.request.bundle_digest,
        publisher=verified.publisher.subject,
        publisher_person=verified.publisher.person,
        requester=verified.request.requester.subject,
        requester_person=verified.request.requester.person,
        request=given.request,
        request_digest=verified.request.digest,
        manifest=given.manifest,
        signature=given.signature,
        source_receipt=format_receipt(given.source_receipt),
        evaluation=evaluation,
        dossier=None,
        dossier_digest=None,
        dossier_expires_at=None,
        decision=None,
        decision_digest=None,
        log_index=None,
        created_at=now,
        updated_at=now,
        requester_key_id=verified.request.requester.key_id,
        by_rollout=request.by_rollout,
    )


def sign_decision(
    parts: AdmissionParts,
    admission: Admission,
    verified: VerifiedInput,
    situation: Situation,
    evaluation: StoredEvaluation,
) -> Envelope:
    """Sign this environment's decision about a promotion, with everything that it rests on.

    A decision that admits names the approvals that count, and the statements that broke the glass, if it was
    broken; one that refuses, all that was said.
    """
    said, breaking = situation.approvals, situation.breaking
    if evaluation.outcome is RuleStatus.PASSED:
        said = counted_approvals(said, situation.authors, now=evaluation.evaluated_at)
        breaking = situation.broken_by
    inputs = {
        "promotion-request": [verified.request.digest],
        "release": [verified.release.digest],
        "evidence": situation.evidence,
        "dossier": [admission.dossier_digest] if situation.dossier and admission.dossier_digest else [],
        "approval": [each.digest for each in said],
        "break-glass": [each.digest for each in breaking],
    }
    decision = make_decision(
        admission,
        evaluation.evaluation,
        inputs,
        environment=parts.state.name,
        permit_valid_for=parts.state.policy.document.dossier_valid_for,
        now=evaluation.evaluated_at,
    )
    return parts.sign(decision, admission)


async def record_evaluation(
    parts: AdmissionParts,
    caller: Caller,
    base: Admission,
    *,
    verified: VerifiedInput,
    situation: Situation,
    evaluation: StoredEvaluation,
    epoch: int,
) -> bool:
    """Write what an evaluation found.

    Args:
        parts: The registry's parts.
        caller: Who asked.
        base: The promotion as it is stored, or as it is to be stored for the first time.
        verified: What it brings.
        situation: What was looked at.
        evaluation: What the policy says of it.
        epoch: The worker's fencing epoch.

    Returns:
        Whether it was written; False where something moved meanwhile, and nothing was.

    Raises:
        StaleEpochError: Another worker took the promotion over.
        IllegalTransitionError: The promotion has ended.
    """
    before = situation.held.admission
    wanted = state_of(evaluation.outcome)
    if before is not None and before.state is not wanted:
        check_transition(before.promotion, before.state, wanted)
    same = before is not None and evaluation.says_the_same(before.evaluation)
    after = replace(base, state=wanted, evaluation=base.evaluation if same else evaluation)
    dossier = decision = None
    emergency = shown_in_emergency(evaluation.evaluation)
    if needs_dossier(evaluation.evaluation, parts.state.policy, situation.dossier, emergency=emergency):
        issued = make_dossier(
            after,
            situation.evidence,
            environment=parts.state.name,
            policy=parts.state.policy,
            now=evaluation.evaluated_at,
            emergency=emergency,
        )
        dossier = await asyncio.to_thread(parts.sign, issued, after)
        after = replace(
            after,
            dossier=dossier.to_bytes(),
            dossier_digest=dossier.digest,
            dossier_expires_at=issued.expires_at,
        )
    if evaluation.outcome is RuleStatus.FAILED:
        decision = await asyncio.to_thread(sign_decision, parts, after, verified, situation, evaluation)
        after = replace(after, decision=decision.to_bytes(), decision_digest=decision.digest)
    finding = _Finding(before, after, verified, dossier, decision)
    return await parts.writer.commit(lambda tx: _write(tx, caller, situation, finding, epoch))


def _write(tx: Transaction, caller: Caller, situation: Situation, finding: _Finding, epoch: int) -> bool:
    if not situation.still_holds(tx.connection):
        return False
    before, after = finding.before, finding.after
    stored = queries.read_admission(tx.connection, after.promotion)
    kept = replace(after, epoch=epoch, updated_at=tx.now)
    if stored is None:
        kept = replace(kept, created_at=tx.now, request_log_index=_request(tx, finding))
        queries.insert_admission(tx.connection, kept)
    else:
        stored.check_epoch(epoch)
        if after == before:
            if epoch > stored.epoch:
                queries.update_admission(tx.connection, replace(stored, epoch=epoch))
            return True
        queries.update_admission(tx.connection, kept)
    for kind, envelope, outcome in (
        (EntryType.DOSSIER_ISSUED, finding.dossier, None),
        (EntryType.DECISION_MADE, finding.decision, "FAILED"),
    ):
        if envelope is not None:
            digest = tx.store_document(envelope.to_bytes(), ENVELOPE_MEDIA_TYPE)
            draft = EntryDraft(kind, caller.actor, after.subject, new=outcome, envelope_digest=digest)
            index = tx.append(draft)
            if envelope is finding.decision:
                queries.update_admission(tx.connection, replace(kept, log_index=index))
    if finding.decision is not None:
        tx.store_document(finding.verified.release.data, ENVELOPE_MEDIA_TYPE)
    tx.touch(promotion_scope(after.promotion))
    return True


def _request(tx: Transaction, finding: _Finding) -> int:
    """Write the entry of a promotion's first appearance, which is its requester's."""
    after = finding.after
    digest = tx.store_document(after.request, ENVELOPE_MEDIA_TYPE)
    return tx.append(
        EntryDraft(
            EntryType.PROMOTION_REQUESTED,
            signing_actor(finding.verified.request.requester),
            after.subject,
            envelope_digest=digest,
        )
    )

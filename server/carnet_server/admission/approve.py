"""SubmitApproval: what an approver signed about the dossier, written straight to the target."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from carnet.errors import ConflictError, PermissionDeniedError, PreconditionFailedError, StatementInvalidError
from carnet.translog.entry import EntryType
from carnet_server.access.authorize import require_acting
from carnet_server.admission import queries
from carnet_server.admission.approval_rules import check_approval, with_people_of_today
from carnet_server.admission.domain import HeldApproval
from carnet_server.admission.dossier import standing_dossier
from carnet_server.admission.signers import open_signed, require_covers, signer_of
from carnet_server.admission.states import check_open
from carnet_server.admission.view import read_held, require_known, unknown_promotion, view_admission
from carnet_server.evidence.adding import ENVELOPE_MEDIA_TYPE
from carnet_server.log.revisions import promotion_scope
from carnet_server.log.transaction import EntryDraft

if TYPE_CHECKING:
    from carnet.signing.approval import Approval
    from carnet.signing.statement import Statement
    from carnet.translog.receipt import Receipt
    from carnet_server.access.identity import Caller
    from carnet_server.admission.domain import Admission, AdmissionView, Signer
    from carnet_server.admission.parts import AdmissionParts
    from carnet_server.log.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Submission:
    """What became of an approver's statement: it, the promotion after it, and the receipt of its entry."""

    approval: HeldApproval
    view: AdmissionView
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class _Signed:
    """An approver's statement, verified and about this promotion."""

    approval: Approval
    approver: Signer
    digest: str
    envelope: bytes


async def submit_approval(
    parts: AdmissionParts, caller: Caller, promotion: str, envelope: bytes
) -> Submission:
    """Keep what an approver signed about a promotion's dossier; the same envelope twice is kept once.

    Args:
        parts: The registry's parts.
        caller: The approver; a statement is taken from nobody else.
        promotion: The promotion's id.
        envelope: The signed approval.

    Returns:
        The statement as it is held. One of a subject that maps to no person counts for nothing, and says so
        by its empty person.

    Raises:
        NotFoundError: The promotion is not known here.
        PermissionDeniedError: The caller is no approver there, is not the signer, or approves their own.
        SignatureInvalidError: The envelope is malformed or does not verify.
        KeyUntrustedError: The signer's key is not trusted for approvals in that namespace.
        StatementInvalidError: The approval is about something else, expired, or a replay.
        ConflictError: Another dossier was issued meanwhile.
        PreconditionFailedError: There is no dossier to approve now.
        IllegalTransitionError: The promotion has ended.
    """
    held = await parts.database.read(lambda connection: read_held(connection, promotion))
    admission = held.admission
    if admission is None:
        raise unknown_promotion(parts.state.name, promotion)
    require_known(caller, admission, environment=parts.state.name)
    require_acting(caller, "approver", namespace=admission.namespace, alias=admission.alias)
    statement, approver, digest = await asyncio.to_thread(_open, parts, caller, admission, envelope)
    kept = next((each for each in held.approvals if each.digest == digest), None)
    if kept is None:
        check_open(promotion, admission.state)
        signed = _Signed(_checked(parts, statement, approver, admission), approver, digest, envelope)
        kept = await parts.writer.commit(lambda tx: _keep(tx, caller, admission, signed))
    receipt = await parts.log.receipt_of_change(kept.log_index)
    return Submission(kept, await view_admission(parts, promotion), receipt)


def _open(
    parts: AdmissionParts, caller: Caller, admission: Admission, envelope: bytes
) -> tuple[Statement, Signer, str]:
    trust = parts.state.trust.current
    key, statement, digest = open_signed(envelope, trust.ring(parts.clock()), "approval")
    require_covers(key, admission.namespace, "approvals")
    if key.subject != caller.subject:
        raise PermissionDeniedError(
            f"the approval is signed by {key.subject}, and the caller is {caller.subject}: approvers write "
            "their own",
            metadata={"subject": caller.subject},
        )
    return statement, signer_of(key), digest


def _checked(parts: AdmissionParts, statement: Statement, approver: Signer, admission: Admission) -> Approval:
    now = parts.clock()
    dossier = standing_dossier(admission, policy_digest=parts.state.policy.digest, now=now)
    if dossier is None:
        state = "has no dossier yet" if admission.dossier is None else "waits for its next dossier"
        raise PreconditionFailedError(
            f"promotion {admission.promotion} {state}: it is issued once everything but people is there",
            metadata={"promotion": admission.promotion},
        )
    today = with_people_of_today(admission, parts.state.trust.current)
    return check_approval(statement, approver, today, dossier, now=now)


def _keep(tx: Transaction, caller: Caller, read: Admission, signed: _Signed) -> HeldApproval:
    """Write the statement, its document and its entry, if the promotion still stands as it was read."""
    stored = queries.read_admission(tx.connection, read.promotion)
    assert stored is not None
    approval, approver = signed.approval, signed.approver
    before = queries.read_approval_by_nonce(tx.connection, approver.key_id, approval.nonce)
    if before is not None:
        if before.digest == signed.digest:
            return before
        raise StatementInvalidError(
            f"an approval with the nonce {approval.nonce} is held already (of promotion {before.promotion}): "
            "this one is a replay",
            metadata={"field": "nonce"},
        )
    check_open(stored.promotion, stored.state)
    if stored.dossier_digest != read.dossier_digest:
        raise ConflictError("another dossier was issued meanwhile: read it, and sign that")
    index = tx.append(
        EntryDraft(
            EntryType.APPROVAL_RECORDED,
            caller.actor,
            stored.subject,
            new=approval.meaning,
            envelope_digest=tx.store_document(signed.envelope, ENVELOPE_MEDIA_TYPE),
        )
    )
    held = HeldApproval(
        promotion=stored.promotion,
        digest=signed.digest,
        approver=approver.subject,
        approver_key_id=approver.key_id,
        person=approver.person,
        meaning=approval.meaning,
        reason=approval.reason,
        dossier_digest=approval.dossier_digest,
        nonce=approval.nonce,
        signed_at=approval.signed_at,
        expires_at=approval.expires_at,
        created_at=tx.now,
        log_index=index,
        envelope=signed.envelope,
    )
    queries.insert_approval(tx.connection, held)
    tx.touch(promotion_scope(stored.promotion))
    return held

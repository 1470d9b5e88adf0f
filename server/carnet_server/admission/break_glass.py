"""SubmitApproval, for emergencies: breaking the glass, and reviewing it afterwards.

Both are written straight to the target by whoever signed them, beside the approvals. Invariant: while an
admission for which the glass was broken is overdue for review, nobody breaks it again in this environment.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from carnet.errors import (
    AlreadyExistsError,
    ConflictError,
    PermissionDeniedError,
    PreconditionFailedError,
    StatementInvalidError,
)
from carnet.signing.times import format_time
from carnet.translog.entry import EntryType
from carnet_server.access.authorize import require_acting
from carnet_server.admission import queries
from carnet_server.admission.approval_rules import with_people_of_today
from carnet_server.admission.approve import Submission
from carnet_server.admission.break_glass_rules import (
    MEANING,
    PURPOSE,
    REVIEWS,
    ROLE,
    check_break_glass,
    check_review,
    was_broken,
)
from carnet_server.admission.domain import HeldApproval
from carnet_server.admission.dossier import standing_dossier
from carnet_server.admission.overdue_reviews import read_overdue_review
from carnet_server.admission.signers import open_signed, require_covers, signer_of
from carnet_server.admission.states import check_open
from carnet_server.admission.view import read_held, require_known, unknown_promotion, view_admission
from carnet_server.evidence.adding import ENVELOPE_MEDIA_TYPE
from carnet_server.log.revisions import promotion_scope
from carnet_server.log.transaction import EntryDraft

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy import Connection

    from carnet.signing.statement import Statement
    from carnet_policies.schema import BreakGlassTerms
    from carnet_server.access.identity import Caller
    from carnet_server.admission.domain import Admission, Signer
    from carnet_server.admission.parts import AdmissionParts
    from carnet_server.admission.view import Held
    from carnet_server.log.transaction import Transaction


@dataclass(frozen=True, slots=True)
class _Signed:
    """A person's statement, verified."""

    statement: Statement
    signer: Signer
    digest: str
    envelope: bytes


async def record_break_glass(
    parts: AdmissionParts, caller: Caller, promotion: str, envelope: bytes
) -> Submission:
    """Keep a person's statement that breaks the glass for a promotion; the same one twice is kept once.

    Args:
        parts: The registry's parts.
        caller: The signer; a statement is taken from nobody else.
        promotion: The promotion's id.
        envelope: The signed statement.

    Raises:
        NotFoundError: The promotion is not known here.
        PermissionDeniedError: The caller may not break the glass there, or is not the signer.
        SignatureInvalidError: The envelope is malformed or does not verify.
        KeyUntrustedError: The signer's key is not trusted for breaking the glass in that namespace.
        StatementInvalidError: It is about something else, expired, too long, or a replay.
        ConflictError: Another dossier was issued meanwhile.
        PreconditionFailedError: There is no dossier, the policy lets nobody skip these rules, or a review is
            overdue.
        IllegalTransitionError: The promotion has ended.
    """
    held = await _held(parts, caller, promotion)
    admission = held.admission
    assert admission is not None
    require_acting(caller, ROLE, namespace=admission.namespace, alias=admission.alias)
    signed = await asyncio.to_thread(_open, parts, caller, admission, envelope, PURPOSE)
    kept = _same(held, signed)
    if kept is None:
        check_open(promotion, admission.state)
        kept = await parts.writer.commit(_breaking(parts, caller, admission, signed))
    receipt = await parts.log.receipt_of_change(kept.log_index)
    return Submission(kept, await view_admission(parts, promotion), receipt)


async def review_break_glass(
    parts: AdmissionParts, caller: Caller, promotion: str, envelope: bytes
) -> Submission:
    """Keep a person's review of an admission for which the glass was broken; it closes it.

    Args:
        parts: The registry's parts.
        caller: The signer, an approver; a review is taken from nobody else.
        promotion: The promotion's id.
        envelope: The signed review.

    Raises:
        NotFoundError: The promotion is not known here.
        PermissionDeniedError: The caller may not review there, is not the signer, or had a part in it.
        SignatureInvalidError: The envelope is malformed or does not verify.
        KeyUntrustedError: The signer's key is not trusted for approvals in that namespace.
        StatementInvalidError: It is about something else, or a replay.
        PreconditionFailedError: The promotion was not admitted with the glass broken.
        AlreadyExistsError: It was reviewed before.
    """
    held = await _held(parts, caller, promotion)
    admission = held.admission
    assert admission is not None
    require_acting(caller, "approver", namespace=admission.namespace, alias=admission.alias)
    signed = await asyncio.to_thread(_open, parts, caller, admission, envelope, "approval")
    kept = _same(held, signed)
    if kept is None:
        if admission.decision_digest is None or not admission.state.ended or not was_broken(admission):
            raise PreconditionFailedError(
                f"promotion {promotion} was not admitted with the glass broken: there is nothing to review",
                metadata={"promotion": promotion},
            )
        kept = await parts.writer.commit(_reviewing(parts, caller, admission, signed))
    receipt = await parts.log.receipt_of_change(kept.log_index)
    return Submission(kept, await view_admission(parts, promotion), receipt)


async def _held(parts: AdmissionParts, caller: Caller, promotion: str) -> Held:
    held = await parts.database.read(lambda connection: read_held(connection, promotion))
    if held.admission is None:
        raise unknown_promotion(parts.state.name, promotion)
    require_known(caller, held.admission, environment=parts.state.name)
    return held


def _open(
    parts: AdmissionParts, caller: Caller, admission: Admission, envelope: bytes, purpose: str
) -> _Signed:
    trust = parts.state.trust.current
    key, statement, digest = open_signed(envelope, trust.ring(parts.clock()), purpose)
    require_covers(key, admission.namespace, f"{purpose} statements")
    if key.subject != caller.subject:
        raise PermissionDeniedError(
            f"the statement is signed by {key.subject}, and the caller is {caller.subject}: people write "
            "their own",
            metadata={"subject": caller.subject},
        )
    return _Signed(statement, signer_of(key), digest, envelope)


def _same(held: Held, signed: _Signed) -> HeldApproval | None:
    return next((each for each in held.approvals if each.digest == signed.digest), None)


def _breaking(
    parts: AdmissionParts, caller: Caller, read: Admission, signed: _Signed
) -> Callable[[Transaction], HeldApproval]:
    policy = parts.state.policy
    now = parts.clock()
    dossier = standing_dossier(read, policy_digest=policy.digest, now=now)
    if dossier is None:
        raise PreconditionFailedError(
            f"promotion {read.promotion} has no dossier to break the glass over: it is issued once "
            "everything but people is there; where more stands open, ask for a promotion with --emergency",
            metadata={"promotion": read.promotion},
        )
    said = check_break_glass(
        signed.statement,
        signed.signer,
        with_people_of_today(read, parts.state.trust.current),
        dossier,
        policy.document,
        now=now,
    )
    terms = policy.document.break_glass
    assert terms is not None

    def write(tx: Transaction) -> HeldApproval:
        stored = queries.read_admission(tx.connection, read.promotion)
        assert stored is not None
        check_open(stored.promotion, stored.state)
        if stored.dossier_digest != read.dossier_digest:
            raise ConflictError("another dossier was issued meanwhile: read it, and sign that")
        _check_none_overdue(tx.connection, terms, tx.now)
        return _keep(
            tx,
            caller,
            stored,
            signed,
            kind=EntryType.BREAK_GLASS_RECORDED,
            logged=",".join(said.skips),
            meaning=MEANING,
            reason=said.reason,
            nonce=said.nonce,
            signed_at=said.signed_at,
            expires_at=said.expires_at,
        )

    return write


def _reviewing(
    parts: AdmissionParts, caller: Caller, read: Admission, signed: _Signed
) -> Callable[[Transaction], HeldApproval]:
    def write(tx: Transaction) -> HeldApproval:
        held = queries.read_approvals(tx.connection, read.promotion)
        before = next((each for each in held if each.meaning in REVIEWS.values()), None)
        if before is not None:
            raise AlreadyExistsError(
                f"promotion {read.promotion} was reviewed before, by {before.person or before.approver}",
                metadata={"promotion": read.promotion},
            )
        broken = [each for each in held if each.meaning == MEANING]
        said = check_review(
            signed.statement,
            signed.signer,
            with_people_of_today(read, parts.state.trust.current),
            broken,
            environment=parts.state.name,
            now=tx.now,
        )
        return _keep(
            tx,
            caller,
            read,
            signed,
            kind=EntryType.BREAK_GLASS_REVIEWED,
            logged=said.verdict,
            meaning=REVIEWS[said.verdict],
            reason=said.reason,
            nonce=said.nonce,
            signed_at=said.signed_at,
            expires_at=said.signed_at,
        )

    return write


def _check_none_overdue(connection: Connection, terms: BreakGlassTerms, now: datetime) -> None:
    """Insist that no admission for which the glass was broken is overdue for review.

    Raises:
        PreconditionFailedError: One is; the message names it.
    """
    overdue = read_overdue_review(connection, terms.review_within, now=now)
    if overdue is not None:
        due = format_time(overdue.updated_at + terms.review_within)
        raise PreconditionFailedError(
            f"the glass was broken for {overdue.version_name} in promotion {overdue.promotion}, and its "
            f"review was due at {due}: before it is broken again, somebody else reviews that, with: carnet "
            f"break-glass review {overdue.promotion} --reason TEXT",
            metadata={"promotion": overdue.promotion},
        )


def _keep(
    tx: Transaction,
    caller: Caller,
    admission: Admission,
    signed: _Signed,
    *,
    kind: EntryType,
    logged: str,
    meaning: str,
    reason: str,
    nonce: str,
    signed_at: datetime,
    expires_at: datetime,
) -> HeldApproval:
    """Write the statement, its document and its entry."""
    before = queries.read_approval_by_nonce(tx.connection, signed.signer.key_id, nonce)
    if before is not None:
        if before.digest == signed.digest:
            return before
        raise StatementInvalidError(
            f"a statement with the nonce {nonce} is held already (of promotion {before.promotion}): this one "
            "is a replay",
            metadata={"field": "nonce"},
        )
    index = tx.append(
        EntryDraft(
            kind,
            caller.actor,
            admission.subject,
            new=logged,
            envelope_digest=tx.store_document(signed.envelope, ENVELOPE_MEDIA_TYPE),
        )
    )
    held = HeldApproval(
        promotion=admission.promotion,
        digest=signed.digest,
        approver=signed.signer.subject,
        approver_key_id=signed.signer.key_id,
        person=signed.signer.person,
        meaning=meaning,
        reason=reason,
        dossier_digest=admission.dossier_digest or "",
        nonce=nonce,
        signed_at=signed_at,
        expires_at=expires_at,
        created_at=tx.now,
        log_index=index,
        envelope=signed.envelope,
    )
    queries.insert_approval(tx.connection, held)
    tx.touch(promotion_scope(admission.promotion))
    return held

"""CancelAdmission: a promotion's end at its requester's or an operator's signed word, known here or not."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from carnet.errors import StatementInvalidError
from carnet.references import parse_reference
from carnet.signing.cancellation import Cancellation
from carnet.translog.entry import EntryType
from carnet_server.access.authorize import require_acting
from carnet_server.admission import queries
from carnet_server.admission.cancellation_rules import check_canceller
from carnet_server.admission.domain import HeldCancellation
from carnet_server.admission.parts import signing_actor
from carnet_server.admission.signers import open_signed, require_covers, signer_of
from carnet_server.admission.states import AdmissionState, check_transition
from carnet_server.evidence.adding import ENVELOPE_MEDIA_TYPE
from carnet_server.log.revisions import promotion_scope
from carnet_server.log.transaction import EntryDraft
from carnet_server.models.domain import version_subject

if TYPE_CHECKING:
    from carnet.references import Reference
    from carnet.signing.statement import Statement
    from carnet.translog.receipt import Receipt
    from carnet_server.access.identity import Caller
    from carnet_server.access.key_ring import TrustedKey
    from carnet_server.access.trust import Trust
    from carnet_server.admission.parts import AdmissionParts
    from carnet_server.log.transaction import Transaction


@dataclass(frozen=True, slots=True)
class _Signed:
    """A cancellation, verified; who signed it, and what it is about."""

    promotion: str
    key: TrustedKey
    statement: Statement
    about: Reference
    digest: str
    envelope: bytes


async def cancel_admission(parts: AdmissionParts, caller: Caller, promotion: str, envelope: bytes) -> Receipt:
    """End a promotion; one that is not known here leaves a tombstone that refuses it when it comes.

    Args:
        parts: The registry's parts.
        caller: Who carries the cancellation.
        promotion: The promotion's id.
        envelope: The signed cancellation.

    Returns:
        The receipt of the entry; the first one's, where it was cancelled before.

    Raises:
        SignatureInvalidError: The envelope is malformed or does not verify.
        KeyUntrustedError: The signer's key is not trusted for cancellations in that namespace.
        StatementInvalidError: It is about something else.
        PermissionDeniedError: The signer may not cancel this promotion, or the caller nothing there.
        IllegalTransitionError: The promotion was admitted or refused.
    """
    trust = parts.state.trust.current
    signed = await asyncio.to_thread(_open, trust, promotion, envelope)
    require_acting(caller, "promoter", "requester", "operator", namespace=signed.about.namespace)
    index = await parts.writer.commit(lambda tx: _cancel(tx, trust, signed))
    return await parts.log.receipt_of_change(index)


def _open(trust: Trust, promotion: str, envelope: bytes) -> _Signed:
    # Whoever may ask may also take it back, with the same key.
    key, statement, digest = open_signed(envelope, trust.ring(datetime.now(UTC)), "cancellation", "request")
    cancellation = Cancellation.parse(statement)
    if cancellation.promotion != promotion:
        raise StatementInvalidError(
            f"the cancellation is of promotion {cancellation.promotion}, not {promotion}",
            metadata={"field": "promotion"},
        )
    about = parse_reference(statement.subject_name, want="version")
    require_covers(key, about.namespace, "cancellations")
    return _Signed(promotion, key, statement, about, digest, envelope)


def _cancel(tx: Transaction, trust: Trust, signed: _Signed) -> int:
    """Write the cancellation and its entry; returns the entry that ended the promotion."""
    promotion, about = signed.promotion, signed.about
    admission = queries.read_admission(tx.connection, promotion)
    check_canceller(signed.key, signed.statement, admission, about.namespace, trust)
    held = queries.read_cancellations(tx.connection, promotion)
    own = next((each for each in held if each.canceller == signed.key.subject), None)
    if admission is None and own is not None:
        return own.log_index
    if admission is not None:
        if admission.state is AdmissionState.CANCELLED:
            return held[-1].log_index
        check_transition(promotion, admission.state, AdmissionState.CANCELLED)
    digest = signed.statement.subject_digest
    subject = version_subject(about.namespace, about.model, about.version, digest)
    index = tx.append(
        EntryDraft(
            EntryType.PROMOTION_CANCELLED,
            signing_actor(signer_of(signed.key)),
            subject | {"promotion": promotion},
            envelope_digest=tx.store_document(signed.envelope, ENVELOPE_MEDIA_TYPE),
        )
    )
    if own is None:
        queries.insert_cancellation(tx.connection, _held(signed, tx.now, index))
    if admission is not None:
        ended = replace(admission, state=AdmissionState.CANCELLED, updated_at=tx.now)
        queries.update_admission(tx.connection, ended)
    tx.touch(promotion_scope(promotion))
    return index


def _held(signed: _Signed, now: datetime, log_index: int) -> HeldCancellation:
    return HeldCancellation(
        promotion=signed.promotion,
        canceller=signed.key.subject,
        namespace=signed.about.namespace,
        model=signed.about.model,
        version=signed.about.version,
        bundle_digest=signed.statement.subject_digest,
        digest=signed.digest,
        created_at=now,
        log_index=log_index,
    )

"""RecordAdmission: verifying a target's decision and receipt, and writing that they were seen."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from carnet.errors import AlreadyExistsError, KeyUntrustedError, StatementInvalidError
from carnet.signing.decision import Decision, version_uri
from carnet.signing.dsse import parse_envelope, verify_envelope
from carnet.signing.statement import parse_statement
from carnet.translog.entry import EntryType
from carnet.translog.receipt import format_receipt, verify_receipt
from carnet_server.evidence.adding import ENVELOPE_MEDIA_TYPE
from carnet_server.log.transaction import EntryDraft
from carnet_server.release import queries
from carnet_server.release.domain import PromotionRecord

if TYPE_CHECKING:
    from collections.abc import Mapping

    from carnet.translog.entry import Entry
    from carnet.translog.receipt import Receipt
    from carnet_server.access.identity import Caller
    from carnet_server.access.trust import Trust
    from carnet_server.environment.state import EnvironmentState
    from carnet_server.log.transaction import Transaction
    from carnet_server.log.writer import Writer
    from carnet_server.models.domain import Version


def verify_admission(
    decision: bytes, target_receipt: Receipt, version: Version, trust: Trust
) -> tuple[Decision, str]:
    """Verify that a peer admitted a version: its signed decision says so, and its log has it.

    A version that was at the target before, and was promoted for an alias alone, has no admission of its own
    there: then the receipt is that of the decision's entry.

    Args:
        decision: The decision's envelope.
        target_receipt: The receipt of the admission's entry in the target's log.
        version: The version here.
        trust: This environment's trust document.

    Returns:
        The decision, and its envelope's digest.

    Raises:
        SignatureInvalidError: The envelope is malformed or does not verify.
        KeyUntrustedError: The decision is by no peer, or decision or receipt is not signed by that peer.
        StatementInvalidError: They are about something else, or refuse.
        ProofInvalidError: The receipt does not hold.
    """
    envelope = parse_envelope(decision)
    statement = parse_statement(envelope)
    said = Decision.parse(statement)
    peer = trust.peer(said.environment)
    if peer is None:
        raise KeyUntrustedError(f"the decision is by {said.verifier.id[:120]!r}, which is no peer here")
    verify_envelope(envelope, peer.signing_keys)
    if not said.passed:
        raise StatementInvalidError(
            f"the decision of {said.environment} says {said.verification_result}: there is no admission "
            "to record",
            metadata={"field": "verificationResult"},
        )
    if not said.promotion:
        raise StatementInvalidError(
            f"the decision of {said.environment} is about no promotion",
            metadata={"field": "carnet_promotion"},
        )
    uri = version_uri(said.environment, version.namespace, version.model, version.version)
    _same(
        "the decision",
        {"bundle_digest": statement.subject_digest, "resourceUri": said.resource_uri},
        {"bundle_digest": version.bundle_digest, "resourceUri": uri},
    )
    entry = verify_receipt(target_receipt, peer.log)
    _check_entry(entry, version, said, envelope.digest)
    return said, envelope.digest


def _check_entry(entry: Entry, version: Version, decision: Decision, digest: str) -> None:
    admitted = entry.type is EntryType.VERSION_ADMITTED
    decided = entry.type is EntryType.DECISION_MADE and entry.new == "PASSED"
    if not (admitted or decided):
        raise StatementInvalidError(
            f"the target's receipt is for an entry {entry.type}, and one for the admission is needed",
            metadata={"field": "target_receipt"},
        )
    wanted = {
        "environment": decision.environment,
        "envelope_digest": digest,
        "promotion": decision.promotion,
        **version.subject,
    }
    stated = {"environment": entry.environment, "envelope_digest": entry.envelope_digest}
    about = {name: entry.subject.get(name) for name in wanted if name not in stated}
    _same("the target's receipt", {**stated, **about}, wanted)


def _same(what: str, stated: Mapping[str, object], wanted: Mapping[str, object]) -> None:
    for field, value in wanted.items():
        if stated[field] != value:
            raise StatementInvalidError(
                f"{what} says {stated[field]!r} for {field}, and {value!r} is recorded",
                metadata={"field": field},
            )


async def record_admission(
    writer: Writer,
    state: EnvironmentState,
    caller: Caller,
    version: Version,
    *,
    decision: bytes,
    target_receipt: Receipt,
) -> int:
    """Verify an admission elsewhere and write it down.

    Args:
        writer: Where to write.
        state: The environment.
        caller: The promotion service.
        version: The version here.
        decision: The target's signed decision.
        target_receipt: The target's receipt.

    Returns:
        The index of the entry; of the first one, where it was recorded before.

    Raises:
        IntegrityError: As ``verify_admission`` says.
        AlreadyExistsError: The promotion is recorded with another target or decision.
    """
    trust = state.trust.current
    said, digest = await asyncio.to_thread(verify_admission, decision, target_receipt, version, trust)

    def change(tx: Transaction) -> int:
        recorded = _recorded_before(tx, said, digest)
        if recorded is not None:
            return recorded
        tx.store_document(decision, ENVELOPE_MEDIA_TYPE)
        index = tx.append(
            EntryDraft(
                EntryType.PROMOTION_RECORDED,
                caller.actor,
                version.subject | {"promotion": said.promotion},
                new=said.environment,
                envelope_digest=digest,
            )
        )
        record = PromotionRecord(
            promotion=said.promotion,
            target=said.environment,
            namespace=version.namespace,
            model=version.model,
            version=version.version,
            bundle_digest=version.bundle_digest,
            decision_digest=digest,
            target_receipt=format_receipt(target_receipt),
            created_at=tx.now,
            log_index=index,
        )
        queries.insert_record(tx.connection, record)
        return index

    return await writer.commit(change)


def _recorded_before(tx: Transaction, said: Decision, digest: str) -> int | None:
    """Return the index of the entry that recorded this very decision, if there is one."""
    before = queries.read_record(tx.connection, said.promotion)
    if before is None:
        return None
    if before.decision_digest != digest:
        raise AlreadyExistsError(
            f"promotion {said.promotion} is recorded with decision {before.decision_digest} of "
            f"{before.target}, and this one is {digest} of {said.environment}",
            metadata={"promotion": said.promotion},
        )
    return before.log_index

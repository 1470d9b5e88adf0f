"""Admit: the one act that takes a bundle in from another environment.

The policy is evaluated once more, outside of any transaction and on a fresh release statement. The
transaction compares what was evaluated with what is, and the deadlines with the clock; then version,
evidence, stamps, decision, alias move and log entries commit as one, or nothing does. Of a promotion by
rollout the alias stays where it is, and a permit is written in the place of its move.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from carnet.errors import GateAwaitingError, GateRefusedError, IllegalTransitionError
from carnet.references import ResourceName
from carnet.signing.decision import Decision
from carnet.signing.statement import parse_statement
from carnet.translog.entry import EntryType
from carnet.translog.receipt import parse_receipt
from carnet_policies.evaluation import RuleStatus
from carnet_server.access.authorize import require_acting
from carnet_server.admission import queries
from carnet_server.admission.approval_rules import counted_approvals
from carnet_server.admission.carried import assess_carried, keep_carried
from carnet_server.admission.domain import AdmissionInput, AdmissionView
from carnet_server.admission.judging import MOST_ATTEMPTS, judge, moving
from carnet_server.admission.permits import write_permit
from carnet_server.admission.recording import record_evaluation, sign_decision
from carnet_server.admission.situation import arrival_of
from carnet_server.admission.source_rules import check_fresh, check_nothing_withheld
from carnet_server.admission.states import AdmissionState, check_open, check_transition
from carnet_server.admission.stored_evaluation import describe_unmet
from carnet_server.admission.verification import verify_input
from carnet_server.admission.view import read_held, require_known, unknown_promotion, view_admission, view_of
from carnet_server.aliases.domain import Move, MoveKind
from carnet_server.aliases.moves import move_alias
from carnet_server.evidence.adding import ENVELOPE_MEDIA_TYPE, insert_own_decision
from carnet_server.evidence.queries import read_all_evidence, read_evidence_digests
from carnet_server.log.revisions import promotion_scope
from carnet_server.log.transaction import EntryDraft
from carnet_server.models.arrival import register_version
from carnet_server.models.stages import approve_admitted
from carnet_server.stamps.carried import keep_carried_stamps, verify_carried

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from carnet.errors import PreconditionFailedError
    from carnet.signing.dsse import Envelope
    from carnet_server.access.identity import Caller
    from carnet_server.admission.domain import Admission
    from carnet_server.admission.parts import AdmissionParts
    from carnet_server.admission.situation import Situation
    from carnet_server.admission.stored_evaluation import StoredEvaluation
    from carnet_server.admission.verification import VerifiedInput
    from carnet_server.log.transaction import Transaction
    from carnet_server.models.domain import Arrival, Version


async def admit_version(
    parts: AdmissionParts,
    caller: Caller,
    promotion: str,
    *,
    release: bytes,
    evidence: Sequence[bytes],
    stamps: Sequence[bytes] = (),
    epoch: int,
) -> tuple[AdmissionView, bool]:
    """Admit the version that a promotion brings.

    Args:
        parts: The registry's parts.
        caller: The promotion service.
        promotion: The promotion's id.
        release: A fresh release statement of the source.
        evidence: Evidence that it names and that is not here yet.
        stamps: The stamps that it names.
        epoch: The worker's fencing epoch.

    Returns:
        The promotion, with its decision and receipt, and whether it had been admitted before.

    Raises:
        NotFoundError: The promotion is not known here.
        PermissionDeniedError: The caller may not promote there.
        IllegalTransitionError: The promotion was refused or cancelled.
        StaleEpochError: Another worker took the promotion over.
        IntegrityError: Something is forged, malformed, withheld or of another promotion.
        GateRefusedError: The policy says no now; the refusal is kept, and final.
        GateAwaitingError: The policy awaits something.
        PreconditionFailedError: The release statement is too old, or the model has another home here.
        BlobsMissingError: Blobs of the version have not been transferred.
        AlreadyExistsError: The version's number is another bundle's here.
        PurgedError: The version was here, and its files were purged.
        ConflictError: The facts kept moving.
    """
    held = await parts.database.read(lambda connection: read_held(connection, promotion))
    admission = held.admission
    if admission is None:
        if held.cancellations:
            raise IllegalTransitionError(f"promotion {promotion} was cancelled before it was evaluated here")
        raise unknown_promotion(parts.state.name, promotion)
    require_known(caller, admission, environment=parts.state.name)
    require_acting(caller, "promoter", namespace=admission.namespace)
    if admission.state is AdmissionState.ADMITTED:
        return await view_of(parts, admission, held.approvals), True
    check_open(promotion, admission.state)
    admission.check_epoch(epoch)
    verified = await asyncio.to_thread(_verify, parts, admission, release)
    await _take_evidence(parts, caller, admission, verified, evidence)
    carried = await _verify_stamps(parts, admission, verified, stamps)
    arrival = arrival_of(verified, admission.signature)
    for _ in range(MOST_ATTEMPTS):
        situation, evaluation = await judge(parts, verified, arrival)
        stored = situation.held.admission
        assert stored is not None
        if stored.state is AdmissionState.ADMITTED:
            return await view_admission(parts, promotion), True
        check_transition(promotion, stored.state, AdmissionState.ADMITTED)
        if evaluation.outcome is not RuleStatus.PASSED:
            if await record_evaluation(
                parts,
                caller,
                stored,
                verified=verified,
                situation=situation,
                evaluation=evaluation,
                epoch=epoch,
            ):
                raise _unmet(parts.state.name, promotion, evaluation)
            continue
        # Made in a thread: it signs, which a key in a KMS does over the network.
        admitting = await asyncio.to_thread(
            _Admitting,
            parts,
            caller,
            stored,
            verified=verified,
            arrival=arrival,
            situation=situation,
            evaluation=evaluation,
            stamps=carried,
            epoch=epoch,
        )
        if await parts.writer.commit(admitting.write):
            return await view_admission(parts, promotion), False
    raise moving(promotion)


def _verify(parts: AdmissionParts, admission: Admission, release: bytes) -> VerifiedInput:
    """Verify everything anew, under today's trust: what was carried once is not believed for ever."""
    given = AdmissionInput(
        request=admission.request,
        manifest=admission.manifest,
        signature=admission.signature,
        release=release,
        source_receipt=parse_receipt(admission.source_receipt),
        arrived_at=admission.created_at,
    )
    return verify_input(
        given,
        environment=parts.state.name,
        trust=parts.state.trust.current,
        policy=parts.state.policy.document,
        now=parts.clock(),
    )


async def _take_evidence(
    parts: AdmissionParts,
    caller: Caller,
    admission: Admission,
    verified: VerifiedInput,
    evidence: Sequence[bytes],
) -> None:
    digest = admission.bundle_digest
    held = await parts.database.read(
        lambda connection: read_evidence_digests(connection, admission.namespace, digest)
    )
    check_nothing_withheld(verified.release.release, held, evidence)
    name = ResourceName(admission.namespace, admission.model, admission.version)
    carried = await assess_carried(parts, name, digest, evidence)
    await keep_carried(parts, caller, name, [each for each in carried if each[0].digest not in held])


async def _verify_stamps(
    parts: AdmissionParts, admission: Admission, verified: VerifiedInput, stamps: Sequence[bytes]
) -> dict[str, tuple[bytes, str]]:
    held = await parts.database.read(
        lambda connection: read_all_evidence(connection, admission.namespace, admission.bundle_digest)
    )
    return await asyncio.to_thread(
        verify_carried,
        verified.release.release,
        stamps,
        [each.envelope for each in held],
        manifest=verified.manifest,
        trust=parts.state.trust.current,
    )


def _unmet(environment: str, promotion: str, evaluation: StoredEvaluation) -> PreconditionFailedError:
    text = describe_unmet(evaluation.evaluation)
    metadata = {"promotion": promotion}
    if evaluation.outcome is RuleStatus.FAILED:
        return GateRefusedError(f"{environment} refused the promotion:\n{text}", metadata=metadata)
    return GateAwaitingError(f"{environment} awaits:\n{text}", metadata=metadata)


class _Admitting:
    """One attempt to commit an admission: signed before, compared and written inside the transaction."""

    def __init__(
        self,
        parts: AdmissionParts,
        caller: Caller,
        admission: Admission,
        *,
        verified: VerifiedInput,
        arrival: Arrival,
        situation: Situation,
        evaluation: StoredEvaluation,
        stamps: dict[str, tuple[bytes, str]],
        epoch: int,
    ) -> None:
        self._parts = parts
        self._caller = caller
        self._admission = admission
        self._verified = verified
        self._arrival = arrival
        self._situation = situation
        self._evaluation = evaluation
        self._stamps = stamps
        self._epoch = epoch
        self._decision: Envelope = sign_decision(parts, admission, verified, situation, evaluation)
        self._permit_expires_at = Decision.parse(parse_statement(self._decision)).permit_expires_at

    def write(self, tx: Transaction) -> bool:
        """Compare and write; False where something moved meanwhile, and nothing was written."""
        situation, admission = self._situation, self._admission
        if not situation.still_holds(tx.connection) or not self._in_time(tx.now):
            return False
        stored = queries.read_admission(tx.connection, admission.promotion)
        assert stored is not None
        stored.check_epoch(self._epoch)
        check_transition(stored.promotion, stored.state, AdmissionState.ADMITTED)
        max_age = self._parts.state.policy.document.release_max_age
        check_fresh(self._verified.release.release, max_age=max_age, now=tx.now)
        decided_at, digest = self._write_decision(tx)
        version, is_new = register_version(
            tx, self._arrival, actor=self._caller.actor, decision_digest=digest
        )
        self._approve(tx, version, digest)
        self._move_alias(tx, digest)
        if self._permit_expires_at is not None:
            write_permit(tx, admission, digest, decided_at, expires_at=self._permit_expires_at)
        evaluation = self._evaluation
        admitted = replace(
            stored,
            state=AdmissionState.ADMITTED,
            epoch=self._epoch,
            evaluation=stored.evaluation if evaluation.says_the_same(stored.evaluation) else evaluation,
            decision=self._decision.to_bytes(),
            decision_digest=digest,
            log_index=version.log_index if is_new else decided_at,
            updated_at=tx.now,
        )
        queries.update_admission(tx.connection, admitted)
        tx.touch(promotion_scope(admission.promotion))
        return True

    def _in_time(self, now: datetime) -> bool:
        """Whether nothing that was counted has come to its end since it was."""
        situation = self._situation
        counted = counted_approvals(situation.approvals, situation.authors, now=self._evaluation.evaluated_at)
        ends = [each.expires_at for each in (*counted, *situation.broken_by)]
        ends += [situation.dossier.expires_at] if situation.dossier else []
        return all(end > now for end in ends) and self._evaluation.evaluation.holds_at(now)

    def _write_decision(self, tx: Transaction) -> tuple[int, str]:
        """Write the decision, and keep it as evidence, so that the next environment is given it."""
        admission = self._admission
        tx.store_document(self._verified.release.data, ENVELOPE_MEDIA_TYPE)
        keep_carried_stamps(tx, self._stamps)
        digest = tx.store_document(self._decision.to_bytes(), ENVELOPE_MEDIA_TYPE)
        index = tx.append(
            EntryDraft(
                EntryType.DECISION_MADE,
                self._caller.actor,
                admission.subject,
                new="PASSED",
                envelope_digest=digest,
            )
        )
        if skipped := self._evaluation.evaluation.skipped:
            tx.append(
                EntryDraft(
                    EntryType.BREAK_GLASS_USED,
                    self._caller.actor,
                    admission.subject,
                    new=",".join(skipped),
                    envelope_digest=digest,
                )
            )
        insert_own_decision(
            tx,
            ResourceName(admission.namespace, admission.model, admission.version),
            admission.bundle_digest,
            self._decision,
            result="PASSED",
            own_key=self._parts.state.signing_key.verification_key,
            log_index=index,
        )
        return index, digest

    def _approve(self, tx: Transaction, version: Version, decision_digest: str) -> None:
        """Say that the version is approved, where people's approvals were counted."""
        situation = self._situation
        at = self._evaluation.evaluated_at
        if counted_approvals(situation.approvals, situation.authors, now=at):
            promotion, actor = self._admission.promotion, self._caller.actor
            approve_admitted(tx, actor, version, promotion=promotion, decision_digest=decision_digest)

    def _move_alias(self, tx: Transaction, decision_digest: str) -> None:
        admission, situation = self._admission, self._situation
        if not admission.alias or admission.by_rollout or situation.alias_version == admission.version:
            return
        move = Move(
            namespace=admission.namespace,
            model=admission.model,
            alias=admission.alias,
            version=admission.version,
            kind=MoveKind.ADMITTED,
            actor=self._caller.actor,
            expected_revision=situation.alias_revision,
            promotion=admission.promotion,
            envelope_digest=decision_digest,
        )
        move_alias(tx, move)

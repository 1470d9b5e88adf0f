"""EvaluateAdmission: what this environment's policy says of a promotion now; a dry run keeps nothing."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from carnet.errors import AlreadyExistsError, IllegalTransitionError
from carnet.references import ResourceName
from carnet.signing.dsse import parse_envelope
from carnet.signing.promotion_request import PromotionRequest
from carnet.signing.statement import parse_statement
from carnet_server.access.authorize import require_acting
from carnet_server.admission.cancellation_rules import binding_cancellation
from carnet_server.admission.carried import assess_carried, keep_carried
from carnet_server.admission.domain import AdmissionView
from carnet_server.admission.judging import MOST_ATTEMPTS, judge, moving
from carnet_server.admission.queries import read_admission
from carnet_server.admission.recording import new_admission, record_evaluation
from carnet_server.admission.situation import arrival_of
from carnet_server.admission.source_rules import check_nothing_withheld
from carnet_server.admission.states import AdmissionState, check_open, state_of
from carnet_server.admission.verification import verify_input
from carnet_server.admission.view import read_held, view_admission, view_of
from carnet_server.evidence.queries import read_evidence_digests
from carnet_server.models.arrival import find_registered

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from carnet_server.access.identity import Caller
    from carnet_server.admission.domain import Admission, AdmissionInput
    from carnet_server.admission.parts import AdmissionParts
    from carnet_server.admission.verification import VerifiedInput
    from carnet_server.admission.view import Held
    from carnet_server.evidence.assessment import Assessment
    from carnet_server.models.domain import Arrival


async def evaluate_admission(
    parts: AdmissionParts, caller: Caller, given: AdmissionInput, *, epoch: int, validate_only: bool
) -> AdmissionView:
    """Verify what a promotion brings, evaluate it, and keep what was found.

    Args:
        parts: The registry's parts.
        caller: The promotion service.
        given: What it carries.
        epoch: The worker's fencing epoch.
        validate_only: Whether to keep nothing.

    Returns:
        The promotion after it; one that was refused or admitted is shown as it is.

    Raises:
        IntegrityError: Something is forged, malformed, withheld or of another promotion.
        PermissionDeniedError: The caller or the requester has not the role.
        PreconditionFailedError: The release statement is too old.
        IllegalTransitionError: The promotion was cancelled.
        AlreadyExistsError: The promotion's id was used with another input, or the version's number is
            another bundle's here.
        PurgedError: The version was here, and its files were purged.
        StaleEpochError: Another worker took the promotion over.
        ConflictError: The facts kept moving.
    """
    given = await _as_it_arrived(parts, given)
    verified = await asyncio.to_thread(_verify, parts, given)
    request = verified.request.request
    require_acting(caller, "promoter", namespace=request.namespace)
    name = ResourceName(request.namespace, request.model, request.version)
    arrival = arrival_of(verified, given.signature)

    def read(connection: Connection) -> tuple[Held, list[str]]:
        find_registered(connection, arrival)
        return read_held(connection, request.promotion), read_evidence_digests(
            connection, request.namespace, verified.request.bundle_digest
        )

    held, digests = await parts.database.read(read)
    if held.admission is not None:
        _check_same_input(held.admission, given)
        if held.admission.state in (AdmissionState.REFUSED, AdmissionState.ADMITTED):
            return await view_of(parts, held.admission, held.approvals)
        if not validate_only:
            held.admission.check_epoch(epoch)
    _check_not_cancelled(parts, verified, held)
    check_nothing_withheld(verified.release.release, digests, given.evidence)
    carried = await assess_carried(parts, name, verified.request.bundle_digest, given.evidence)
    if validate_only:
        assessments = [assessment for assessment, _ in carried]
        return await _dry_run(parts, given, verified, arrival, held=held, carried=assessments)
    new = [each for each in carried if each[0].digest not in digests]
    await keep_carried(parts, caller, name, new)
    for _ in range(MOST_ATTEMPTS):
        situation, evaluation = await judge(parts, verified, arrival)
        _check_not_cancelled(parts, verified, situation.held)
        stored = situation.held.admission
        if stored is not None and stored.state in (AdmissionState.REFUSED, AdmissionState.ADMITTED):
            break
        base = stored or new_admission(parts, given, verified, evaluation, epoch=epoch)
        if await record_evaluation(
            parts, caller, base, verified=verified, situation=situation, evaluation=evaluation, epoch=epoch
        ):
            break
    else:
        raise moving(request.promotion)
    return await view_admission(parts, request.promotion)


async def _as_it_arrived(parts: AdmissionParts, given: AdmissionInput) -> AdmissionInput:
    """Return what is carried with the time at which its request arrived here first, if it did before.

    Nothing is believed of the request yet but its promotion's id, under which the same bytes must be held.
    """
    wish = PromotionRequest.parse(parse_statement(parse_envelope(given.request)))
    held = await parts.database.read(lambda connection: read_admission(connection, wish.promotion))
    known = held is not None and held.request == given.request
    return replace(given, arrived_at=held.created_at if held is not None and known else None)


def _verify(parts: AdmissionParts, given: AdmissionInput) -> VerifiedInput:
    return verify_input(
        given,
        environment=parts.state.name,
        trust=parts.state.trust.current,
        policy=parts.state.policy.document,
        now=parts.clock(),
    )


def _check_same_input(admission: Admission, given: AdmissionInput) -> None:
    stored = (admission.request, admission.manifest, admission.signature)
    if stored != (given.request, given.manifest, given.signature):
        raise AlreadyExistsError(
            f"promotion {admission.promotion} is known here with another request, manifest or signature: "
            "a new promotion needs a new id",
            metadata={"promotion": admission.promotion},
        )


def _check_not_cancelled(parts: AdmissionParts, verified: VerifiedInput, held: Held) -> None:
    if held.admission is not None:
        if held.admission.state is AdmissionState.CANCELLED:
            check_open(held.admission.promotion, held.admission.state)
        return
    request, requester = verified.request.request, verified.request.requester.subject
    trust = parts.state.trust.current
    ended = binding_cancellation(held.cancellations, requester, request.namespace, trust)
    if ended is not None:
        raise IllegalTransitionError(
            f"promotion {request.promotion} was cancelled by {ended.canceller} before it came here; ask "
            "for a new promotion",
            metadata={"promotion": request.promotion, "state": AdmissionState.CANCELLED},
        )


async def _dry_run(
    parts: AdmissionParts,
    given: AdmissionInput,
    verified: VerifiedInput,
    arrival: Arrival,
    *,
    held: Held,
    carried: list[Assessment],
) -> AdmissionView:
    _, evaluation = await judge(parts, verified, arrival, carried=carried)
    base = held.admission or new_admission(parts, given, verified, evaluation, epoch=0)
    found = replace(base, state=state_of(evaluation.outcome), evaluation=evaluation)
    return AdmissionView(found, held.approvals)

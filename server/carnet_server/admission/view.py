"""Reading where a promotion stands at the target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from carnet.errors import NotFoundError
from carnet_server.access.permissions import READERS
from carnet_server.admission import queries
from carnet_server.admission.domain import Admission, AdmissionView
from carnet_server.admission.states import AdmissionState
from carnet_server.evidence.queries import read_evidence

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from carnet_server.access.identity import Caller
    from carnet_server.admission.domain import HeldApproval, HeldCancellation
    from carnet_server.admission.parts import AdmissionParts


@dataclass(frozen=True, slots=True)
class Held:
    """What is stored of a promotion; no ``admission`` where its request was never verified here."""

    admission: Admission | None
    approvals: tuple[HeldApproval, ...]
    cancellations: tuple[HeldCancellation, ...]


def read_held(connection: Connection, promotion: str) -> Held:
    """Read what is stored of a promotion."""
    return Held(
        queries.read_admission(connection, promotion),
        queries.read_approvals(connection, promotion),
        queries.read_cancellations(connection, promotion),
    )


async def view_admission(parts: AdmissionParts, promotion: str) -> AdmissionView:
    """Read a promotion as it is shown.

    Args:
        parts: The registry's parts.
        promotion: The promotion's id.

    Returns:
        The promotion; one that was cancelled before it was heard of has only what its cancellation names.

    Raises:
        NotFoundError: It is not known here.
    """
    held = await parts.database.read(lambda connection: read_held(connection, promotion))
    if held.admission is not None:
        return await view_of(parts, held.admission, held.approvals)
    if held.cancellations:
        return AdmissionView(_tombstone(held.cancellations[0]))
    raise unknown_promotion(parts.state.name, promotion)


async def view_of(
    parts: AdmissionParts, admission: Admission, approvals: tuple[HeldApproval, ...]
) -> AdmissionView:
    """Return a promotion that was read, with the receipts of its admission and of the decision about it."""
    if admission.log_index is None:
        return AdmissionView(admission, approvals)
    receipt = await parts.log.signed_receipt(admission.log_index)
    if admission.state is not AdmissionState.ADMITTED:
        return AdmissionView(admission, approvals, decision_receipt=receipt)
    place, digest = (admission.namespace, admission.bundle_digest), admission.decision_digest or ""
    held = await parts.database.read(lambda connection: read_evidence(connection, *place, digest))
    decided = receipt
    if held is not None and held.log_index != admission.log_index:
        decided = await parts.log.signed_receipt(held.log_index)
    return AdmissionView(admission, approvals, receipt, decided)


def require_known(caller: Caller, admission: Admission, *, environment: str) -> None:
    """Insist that a caller may know of a promotion; to others it is as if there were none.

    Args:
        caller: Who asks.
        admission: The promotion.
        environment: This environment.

    Raises:
        NotFoundError: The caller may read nothing in its namespace.
    """
    if not caller.roles_in(admission.namespace) & READERS:
        raise unknown_promotion(environment, admission.promotion)


def unknown_promotion(environment: str, promotion: str) -> NotFoundError:
    """Return the error of a promotion that is not known here."""
    return NotFoundError(
        f"{environment} knows no promotion {promotion}: it is known here once it was evaluated",
        metadata={"promotion": promotion},
    )


def _tombstone(cancellation: HeldCancellation) -> Admission:
    return Admission(
        promotion=cancellation.promotion,
        state=AdmissionState.CANCELLED,
        epoch=0,
        home="",
        namespace=cancellation.namespace,
        model=cancellation.model,
        version=cancellation.version,
        alias="",
        source="",
        bundle_digest=cancellation.bundle_digest,
        publisher="",
        publisher_person=None,
        requester="",
        requester_person=None,
        request=b"",
        request_digest="",
        manifest=b"",
        signature=b"",
        source_receipt="",
        evaluation=None,
        dossier=None,
        dossier_digest=None,
        dossier_expires_at=None,
        decision=None,
        decision_digest=None,
        log_index=None,
        created_at=cancellation.created_at,
        updated_at=cancellation.created_at,
    )

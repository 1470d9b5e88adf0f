"""The statements of promotions at the target, built once, and the reads and writes that use them.

Rows do not leave this module: what is returned are the dataclasses of ``domain``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, insert, select, update
from sqlmodel import SQLModel

from carnet_server.admission.domain import Admission, HeldApproval, HeldCancellation, Permit
from carnet_server.admission.states import AdmissionState
from carnet_server.admission.stored_evaluation import StoredEvaluation
from carnet_server.admission.tables import AdmissionRow, AliasPermitRow, ApprovalRow, CancellationRow

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection, Row

_ADMISSIONS = SQLModel.metadata.tables[str(AdmissionRow.__tablename__)]
_APPROVALS = SQLModel.metadata.tables[str(ApprovalRow.__tablename__)]
_CANCELLATIONS = SQLModel.metadata.tables[str(CancellationRow.__tablename__)]
_PERMITS = SQLModel.metadata.tables[str(AliasPermitRow.__tablename__)]

# What an evaluation, a decision or a cancellation may change; what was asked for never changes.
CHANGEABLE = (
    "state",
    "epoch",
    "evaluation",
    "dossier",
    "dossier_digest",
    "dossier_expires_at",
    "decision",
    "decision_digest",
    "log_index",
    "updated_at",
)
_READ_ADMISSION = select(_ADMISSIONS).where(_ADMISSIONS.c.promotion == bindparam("wanted"))
_INSERT_ADMISSION = insert(_ADMISSIONS)
_UPDATE_ADMISSION = (
    update(_ADMISSIONS)
    .where(_ADMISSIONS.c.promotion == bindparam("wanted"))
    .values({name: bindparam(f"new_{name}") for name in CHANGEABLE})
)
_READ_RUNNING = (
    select(_ADMISSIONS.c.version, _ADMISSIONS.c.promotion)
    .where(
        _ADMISSIONS.c.namespace == bindparam("of_namespace"),
        _ADMISSIONS.c.model == bindparam("of_model"),
        _ADMISSIONS.c.state.in_([str(state) for state in AdmissionState if not state.ended]),
    )
    .order_by(_ADMISSIONS.c.version, _ADMISSIONS.c.promotion)
)
_READ_APPROVALS = (
    select(_APPROVALS).where(_APPROVALS.c.promotion == bindparam("wanted")).order_by(_APPROVALS.c.log_index)
)
_READ_APPROVAL_BY_NONCE = select(_APPROVALS).where(
    _APPROVALS.c.approver_key_id == bindparam("wanted_key"), _APPROVALS.c.nonce == bindparam("wanted_nonce")
)
_READ_ADMITTED_BY = (
    select(_ADMISSIONS)
    .where(_ADMISSIONS.c.state == str(AdmissionState.ADMITTED))
    .where(
        _ADMISSIONS.c.promotion.in_(
            select(_APPROVALS.c.promotion).where(_APPROVALS.c.meaning == bindparam("wanted"))
        )
    )
    .order_by(_ADMISSIONS.c.updated_at, _ADMISSIONS.c.promotion)
)
_INSERT_APPROVAL = insert(_APPROVALS)
_READ_CANCELLATIONS = (
    select(_CANCELLATIONS)
    .where(_CANCELLATIONS.c.promotion == bindparam("wanted"))
    .order_by(_CANCELLATIONS.c.log_index)
)
_INSERT_CANCELLATION = insert(_CANCELLATIONS)
_IN_TIME = (
    _PERMITS.c.used_at.is_(None),
    _PERMITS.c.expires_at > bindparam("at", type_=_PERMITS.c.expires_at.type),
)
_READ_PERMIT = (
    select(_PERMITS)
    .where(
        _PERMITS.c.namespace == bindparam("of_namespace"),
        _PERMITS.c.model == bindparam("of_model"),
        _PERMITS.c.alias == bindparam("of_alias"),
        _PERMITS.c.bundle_digest == bindparam("of_bundle"),
        *_IN_TIME,
    )
    .order_by(_PERMITS.c.expires_at.desc(), _PERMITS.c.promotion)
    .limit(1)
)
_INSERT_PERMIT = insert(_PERMITS)
_USE_PERMIT = (
    update(_PERMITS)
    .where(_PERMITS.c.promotion == bindparam("wanted"), *_IN_TIME)
    .values(used_at=bindparam("at", type_=_PERMITS.c.used_at.type))
)


def read_admission(connection: Connection, promotion: str) -> Admission | None:
    """Read a promotion; None where it is not known here."""
    row = connection.execute(_READ_ADMISSION, {"wanted": promotion}).first()
    return None if row is None else _admission(row)


def read_running(connection: Connection, namespace: str, model: str) -> list[tuple[int, str]]:
    """Read the promotions about a model that have not ended here: the version's number, and the promotion."""
    rows = connection.execute(_READ_RUNNING, {"of_namespace": namespace, "of_model": model})
    return [(row.version, row.promotion) for row in rows]


def read_admitted_with(connection: Connection, meaning: str) -> tuple[Admission, ...]:
    """Read the promotions that were admitted and of which somebody signed something of a meaning."""
    return tuple(_admission(row) for row in connection.execute(_READ_ADMITTED_BY, {"wanted": meaning}))


def insert_admission(connection: Connection, admission: Admission) -> None:
    """Write a promotion that was not known here."""
    connection.execute(_INSERT_ADMISSION, _row(admission))


def update_admission(connection: Connection, admission: Admission) -> None:
    """Write what changed of a promotion."""
    row = _row(admission)
    changed = {f"new_{name}": row[name] for name in CHANGEABLE}
    connection.execute(_UPDATE_ADMISSION, {"wanted": admission.promotion, **changed})


def read_approvals(connection: Connection, promotion: str) -> tuple[HeldApproval, ...]:
    """Read what approvers said of a promotion, in the order of its arrival."""
    rows = connection.execute(_READ_APPROVALS, {"wanted": promotion})
    return tuple(HeldApproval(**row._mapping) for row in rows)  # noqa: SLF001  as above


def read_approval_by_nonce(connection: Connection, key_id: str, nonce: str) -> HeldApproval | None:
    """Read the statement that a key signed with a nonce, about whichever promotion."""
    row = connection.execute(_READ_APPROVAL_BY_NONCE, {"wanted_key": key_id, "wanted_nonce": nonce}).first()
    return None if row is None else HeldApproval(**row._mapping)  # noqa: SLF001  as above


def insert_approval(connection: Connection, approval: HeldApproval) -> None:
    """Write what an approver said."""
    connection.execute(_INSERT_APPROVAL, _fields(approval))


def read_cancellations(connection: Connection, promotion: str) -> tuple[HeldCancellation, ...]:
    """Read the signed cancellations of a promotion, whether it is known here or not; the oldest first."""
    rows = connection.execute(_READ_CANCELLATIONS, {"wanted": promotion})
    return tuple(HeldCancellation(**row._mapping) for row in rows)  # noqa: SLF001  as above


def insert_cancellation(connection: Connection, cancellation: HeldCancellation) -> None:
    """Write a signed cancellation."""
    connection.execute(_INSERT_CANCELLATION, _fields(cancellation))


def read_permit(
    connection: Connection, namespace: str, model: str, alias: str, bundle_digest: str, *, now: datetime
) -> Permit | None:
    """Read the permit for an alias and a bundle that is neither used nor expired; of several the longest."""
    asked = {"of_namespace": namespace, "of_model": model, "of_alias": alias, "of_bundle": bundle_digest}
    row = connection.execute(_READ_PERMIT, asked | {"at": now}).first()
    return None if row is None else Permit(**row._mapping)  # noqa: SLF001  as above


def insert_permit(connection: Connection, permit: Permit) -> None:
    """Write a permit."""
    connection.execute(_INSERT_PERMIT, _fields(permit))


def mark_used(connection: Connection, promotion: str, *, now: datetime) -> bool:
    """Write that a promotion's permit is used; False where it was used before, or has expired."""
    return connection.execute(_USE_PERMIT, {"wanted": promotion, "at": now}).rowcount == 1


def _admission(row: Row[Any]) -> Admission:
    values = dict(row._mapping)  # noqa: SLF001  SQLAlchemy's public name for it
    evaluation = values["evaluation"]
    values["state"] = AdmissionState(values["state"])
    values["evaluation"] = None if evaluation is None else StoredEvaluation.from_json(evaluation)
    return Admission(**values)


def _fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in type(value).__slots__}


def _row(admission: Admission) -> dict[str, Any]:
    row = _fields(admission)
    row["state"] = str(admission.state)
    row["evaluation"] = None if admission.evaluation is None else admission.evaluation.to_json()
    return row

"""The statements about what was signed with a key, built once, and the reads that use them.

Rows do not leave this module: what is returned are the dataclasses of ``domain``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Integer, bindparam, exists, literal, or_, select, tuple_, union_all
from sqlmodel import SQLModel

from carnet_server.admission.tables import AdmissionRow, ApprovalRow
from carnet_server.evidence.queries import EVIDENCE
from carnet_server.identity.domain import Use, UseKind
from carnet_server.models.domain import Stage
from carnet_server.models.queries import VERSIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, Connection, Select

_ADMISSIONS = SQLModel.metadata.tables[str(AdmissionRow.__tablename__)]
_APPROVALS = SQLModel.metadata.tables[str(ApprovalRow.__tablename__)]
_NEWEST = (2**63 - 1, 2**63 - 1, 0, "")

Position = tuple[int, int, int, str]
"""Where a page ended: time in microseconds, log index, kind and digest of its last use."""


def _uses(
    kind: UseKind,
    source: Any,
    *,
    arrived: Any,
    digest: ColumnElement[str],
    key_id: ColumnElement[str],
    subject: ColumnElement[str],
    promotion: ColumnElement[str],
    log_index: ColumnElement[int],
    version: Any,
) -> Select[Any]:
    """Select the uses of one kind by a key, or by a subject and all keys that are its."""
    return (
        select(
            literal(int(kind), Integer).label("kind"),
            digest.label("digest"),
            version.c.namespace.label("namespace"),
            version.c.model.label("model"),
            version.c.version.label("version"),
            version.c.bundle_digest.label("bundle_digest"),
            key_id.label("key_id"),
            subject.label("subject"),
            promotion.label("promotion"),
            arrived.label("created_at"),
            log_index.label("log_index"),
        )
        .select_from(source)
        .where(
            or_(
                key_id.in_(bindparam("of_keys", expanding=True)),
                subject.in_(bindparam("of_subjects", expanding=True)),
            )
        )
    )


_ALL = union_all(
    _uses(
        UseKind.BUNDLE,
        VERSIONS,
        arrived=VERSIONS.c.created_at,
        digest=VERSIONS.c.bundle_digest,
        key_id=VERSIONS.c.publisher_key_id,
        subject=VERSIONS.c.publisher,
        promotion=VERSIONS.c.promotion,
        log_index=VERSIONS.c.log_index,
        version=VERSIONS,
    ),
    _uses(
        UseKind.EVIDENCE,
        EVIDENCE,
        arrived=EVIDENCE.c.created_at,
        digest=EVIDENCE.c.digest,
        key_id=EVIDENCE.c.signer_key_id,
        subject=EVIDENCE.c.signer,
        promotion=literal(""),
        log_index=EVIDENCE.c.log_index,
        version=EVIDENCE,
    ),
    _uses(
        UseKind.REQUEST,
        _ADMISSIONS,
        arrived=_ADMISSIONS.c.created_at,
        digest=_ADMISSIONS.c.request_digest,
        key_id=_ADMISSIONS.c.requester_key_id,
        subject=_ADMISSIONS.c.requester,
        promotion=_ADMISSIONS.c.promotion,
        log_index=_ADMISSIONS.c.request_log_index,
        version=_ADMISSIONS,
    ),
    _uses(
        UseKind.APPROVAL,
        _APPROVALS.join(_ADMISSIONS, _ADMISSIONS.c.promotion == _APPROVALS.c.promotion),
        arrived=_APPROVALS.c.created_at,
        digest=_APPROVALS.c.digest,
        key_id=_APPROVALS.c.approver_key_id,
        subject=_APPROVALS.c.approver,
        promotion=_APPROVALS.c.promotion,
        log_index=_APPROVALS.c.log_index,
        version=_ADMISSIONS,
    ),
).subquery("uses")
_ORDER = (_ALL.c.created_at, _ALL.c.log_index, _ALL.c.kind, _ALL.c.digest)
_IS_LIVE = exists().where(VERSIONS.c.bundle_digest == _ALL.c.bundle_digest, VERSIONS.c.stage != Stage.REVOKED)
_LIST = (
    select(_ALL, _IS_LIVE.label("live"))
    .where(
        tuple_(*_ORDER)
        < tuple_(
            bindparam("before_time", type_=BigInteger),
            bindparam("before_index", type_=BigInteger),
            bindparam("before_kind", type_=Integer),
            bindparam("before_digest"),
        )
    )
    .order_by(*(column.desc() for column in _ORDER))
    .limit(bindparam("row_limit", type_=Integer))
)


def list_uses(
    connection: Connection,
    *,
    keys: Sequence[str],
    subjects: Sequence[str],
    before: Position | None,
    limit: int,
) -> list[Use]:
    """Read what was signed with some keys or as some subjects, the newest first.

    Args:
        connection: Where to read.
        keys: The keys.
        subjects: The subjects.
        before: Where the page before ended; None for the first page.
        limit: How many at most.
    """
    time, index, kind, digest = before or _NEWEST
    asked = {
        "of_keys": list(keys),
        "of_subjects": list(subjects),
        "before_time": time,
        "before_index": index,
        "before_kind": kind,
        "before_digest": digest,
        "row_limit": limit,
    }
    rows = connection.execute(_LIST, asked)
    return [
        Use(**{**row._mapping, "kind": UseKind(row.kind), "live": bool(row.live)})  # noqa: SLF001  SQLAlchemy's public name for it
        for row in rows
    ]

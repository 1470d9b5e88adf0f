"""Which versions are old and out of use: the statement, built once, and the read that uses it.

Rows do not leave this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Integer, bindparam, func, or_, select, tuple_
from sqlmodel import SQLModel

from carnet.stages import Stage
from carnet_server.admission.states import AdmissionState
from carnet_server.admission.tables import AdmissionRow
from carnet_server.aliases.queries import ALIASES
from carnet_server.evidence.tables import EvidenceRow
from carnet_server.models.archival_rules import Unused
from carnet_server.models.domain import Version
from carnet_server.models.queries import VERSIONS
from carnet_server.release.tables import PromotionRecordRow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection, RowMapping

    from carnet_server.models.archival_rules import ArchivalRule

_ADMISSIONS = SQLModel.metadata.tables[str(AdmissionRow.__tablename__)]
_EVIDENCE = SQLModel.metadata.tables[str(EvidenceRow.__tablename__)]
_RECORDS = SQLModel.metadata.tables[str(PromotionRecordRow.__tablename__)]

_LISTED = [column for column in VERSIONS.c if column.name not in {"manifest", "signature"}]
_KEY = (VERSIONS.c.namespace, VERSIONS.c.model, VERSIONS.c.version)
_RESTING = (Stage.REGISTERED, Stage.CANDIDATE, Stage.APPROVED)
_RUNNING = [str(state) for state in AdmissionState if not state.ended]
_OF_BUNDLE = tuple(
    (table.c.namespace == VERSIONS.c.namespace) & (table.c.bundle_digest == VERSIONS.c.bundle_digest)
    for table in (_EVIDENCE, _RECORDS)
)
_TOLD_AT = select(func.max(_EVIDENCE.c.created_at)).where(_OF_BUNDLE[0]).correlate(VERSIONS).scalar_subquery()
_PROMOTED_AT = (
    select(func.max(_RECORDS.c.created_at)).where(_OF_BUNDLE[1]).correlate(VERSIONS).scalar_subquery()
)
_UNUSED_SINCE = bindparam("unused_since", type_=VERSIONS.c.created_at.type)
_POINTED_AT = (
    select(ALIASES.c.alias)
    .where(*(ALIASES.c[column.name] == column for column in _KEY))
    .correlate(VERSIONS)
    .exists()
)
_HELD = (
    select(_ADMISSIONS.c.promotion)
    .where(*(_ADMISSIONS.c[column.name] == column for column in _KEY), _ADMISSIONS.c.state.in_(_RUNNING))
    .correlate(VERSIONS)
    .exists()
)
_FIND = (
    select(*_LISTED, _TOLD_AT.label("told_at"), _PROMOTED_AT.label("promoted_at"))
    .where(
        VERSIONS.c.stage.in_(_RESTING),
        VERSIONS.c.created_at <= bindparam("arrived_by", type_=VERSIONS.c.created_at.type),
        VERSIONS.c.staged_at <= _UNUSED_SINCE,
        or_(_TOLD_AT.is_(None), _TOLD_AT <= _UNUSED_SINCE),
        or_(_PROMOTED_AT.is_(None), _PROMOTED_AT <= _UNUSED_SINCE),
        ~_POINTED_AT,
        ~_HELD,
    )
    .order_by(*_KEY)
)
_FIND_PAGE = _FIND.where(
    VERSIONS.c.namespace.in_(bindparam("in_namespaces", expanding=True)),
    tuple_(*_KEY)
    > tuple_(bindparam("after_namespace"), bindparam("after_model"), bindparam("after_version")),
).limit(bindparam("row_limit", type_=Integer))
_FIND_ONE = _FIND.where(
    VERSIONS.c.namespace == bindparam("of_namespace"),
    VERSIONS.c.model == bindparam("of_model"),
    VERSIONS.c.version == bindparam("of_version"),
)


def find_unused(
    connection: Connection,
    rule: ArchivalRule,
    namespaces: Sequence[str],
    *,
    after: tuple[str, str, int],
    limit: int,
    now: datetime,
) -> list[Unused]:
    """Read versions that a rule is about, by namespace, model and number.

    No alias points at them, no promotion into this environment is under way for them, and they are not
    deployed, archived or revoked.

    Args:
        connection: Where to read.
        rule: How old, and how long out of use.
        namespaces: Where they may be.
        after: The last one that was read before; two empty texts and 0 for the first page.
        limit: How many at most.
        now: The time.
    """
    asked = {
        "in_namespaces": list(namespaces),
        "after_namespace": after[0],
        "after_model": after[1],
        "after_version": after[2],
        "row_limit": limit,
    }
    return [_unused(row._mapping) for row in connection.execute(_FIND_PAGE, asked | _ends(rule, now))]  # noqa: SLF001  SQLAlchemy's public name for it


def still_unused(connection: Connection, rule: ArchivalRule, version: Version, *, now: datetime) -> bool:
    """Tell whether a rule is still about a version; the arguments are those of ``find_unused``."""
    key = {"of_namespace": version.namespace, "of_model": version.model, "of_version": version.version}
    return connection.execute(_FIND_ONE, key | _ends(rule, now)).first() is not None


def _ends(rule: ArchivalRule, now: datetime) -> dict[str, datetime]:
    return {"arrived_by": now - rule.min_age, "unused_since": now - rule.min_unused}


def _unused(row: RowMapping) -> Unused:
    fields: dict[str, Any] = {str(name): value for name, value in row.items()}
    told_at, promoted_at = fields.pop("told_at"), fields.pop("promoted_at")
    return Unused(Version(**fields), told_at=told_at, promoted_at=promoted_at)

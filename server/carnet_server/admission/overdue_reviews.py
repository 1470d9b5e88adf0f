"""Reviews that are overdue: of admissions for which the glass was broken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet_server.admission import queries
from carnet_server.admission.break_glass_rules import MEANING, REVIEWS, was_broken

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from sqlalchemy import Connection

    from carnet_server.admission.domain import Admission


def read_overdue_review(
    connection: Connection, review_within: timedelta, *, now: datetime
) -> Admission | None:
    """Read the first promotion whose review is overdue; None for none.

    Args:
        connection: Where to read.
        review_within: How long after an admission it must be reviewed.
        now: This environment's clock.
    """
    for admission in queries.read_admitted_with(connection, MEANING):
        if admission.updated_at + review_within > now or not was_broken(admission):
            continue
        held = queries.read_approvals(connection, admission.promotion)
        if not any(each.meaning in REVIEWS.values() for each in held):
            return admission
    return None

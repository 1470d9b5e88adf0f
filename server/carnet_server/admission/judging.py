"""One evaluation: the facts of this moment under the policy in force."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from carnet.errors import ConflictError
from carnet_policies.break_glass import name_overdue
from carnet_server.admission.break_glass_rules import with_break_glass
from carnet_server.admission.revocation import with_revocation
from carnet_server.admission.situation import read_situation
from carnet_server.admission.stored_evaluation import StoredEvaluation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from carnet_server.admission.parts import AdmissionParts
    from carnet_server.admission.situation import Situation
    from carnet_server.admission.verification import VerifiedInput
    from carnet_server.evidence.assessment import Assessment
    from carnet_server.models.domain import Arrival

# How often an evaluation is made again because something moved under it, before the caller is told to.
MOST_ATTEMPTS = 5


async def judge(
    parts: AdmissionParts,
    verified: VerifiedInput,
    arrival: Arrival,
    *,
    carried: Sequence[Assessment] = (),
) -> tuple[Situation, StoredEvaluation]:
    """Evaluate a promotion as it stands now; outside of any transaction that writes.

    Args:
        parts: The registry's parts.
        verified: What the promotion brings.
        arrival: The version that it brings.
        carried: Evidence to look at although it is not kept here; for dry runs.

    Returns:
        What was looked at, and what the policy says of it.

    Raises:
        AlreadyExistsError: The version's number is another bundle's here.
        PurgedError: The version was here, and its files were purged.
        UnavailableError: The database failed.
    """
    now = parts.clock()
    log_size = parts.log.size
    situation = await parts.database.read(
        lambda connection: read_situation(
            connection, verified, arrival, state=parts.state, carried=carried, now=now
        )
    )
    evaluation = await asyncio.to_thread(parts.engine.evaluate, parts.state.policy, situation.facts)
    source, target = verified.request.request.source, parts.state.name
    revoked = {
        source: verified.release.release.revoked,
        target: situation.present is not None and situation.present.revoked,
    }
    evaluation = with_revocation(
        evaluation, [each for each, is_revoked in revoked.items() if is_revoked], asked=(source, target)
    )
    evaluation, broken_by = with_break_glass(
        evaluation,
        parts.state.policy.document,
        situation.dossier,
        situation.breaking,
        publisher=situation.facts.publisher,
        requester=situation.facts.requester,
        emergency=verified.request.request.emergency,
        now=now,
    )
    if situation.overdue_review:
        evaluation = name_overdue(evaluation, situation.overdue_review)
    return replace(situation, broken_by=broken_by), StoredEvaluation(evaluation, log_size, now)


def moving(promotion: str) -> ConflictError:
    """Return the error of a promotion whose facts changed at every attempt to decide on them."""
    return ConflictError(
        f"the facts about promotion {promotion} changed {MOST_ATTEMPTS} times while it was decided on: try "
        "again",
        metadata={"promotion": promotion},
    )

"""Permits: what a promotion by rollout leaves behind, so that a rollout may move a protected alias.

Responsible for writing one with the decision, for finding the one that counts now, and for using it up. A
permit is for one alias and one bundle. It covers any number of rollouts, and any share of the traffic, until
the alias is moved on it, its time is over (the policy's ``dossier_valid_for`` after the decision, which names
the end), or the bundle is revoked. A policy that changes later leaves it: it was decided. The log entry of
the decision tells of it, and the entry of the move names the decision. Moves nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.errors import ConflictError
from carnet_server.admission import queries
from carnet_server.admission.domain import Permit
from carnet_server.models.queries import read_listed_version

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from carnet_server.admission.domain import Admission
    from carnet_server.log.transaction import Transaction

__all__ = ["Permit", "find_permit", "use_permit", "write_permit"]


def find_permit(
    connection: Connection, namespace: str, model: str, alias: str, bundle_digest: str, *, now: datetime
) -> Permit | None:
    """Return the permit on which an alias may be moved to a bundle now.

    Args:
        connection: Where to read.
        namespace: The alias's namespace.
        model: Its model.
        alias: The alias.
        bundle_digest: The bundle.
        now: This environment's clock.

    Returns:
        The permit, of several the one that lasts the longest; None where there is none, or it is used or
        expired, or the bundle is revoked here.
    """
    permit = queries.read_permit(connection, namespace, model, alias, bundle_digest, now=now)
    if permit is None:
        return None
    version = read_listed_version(connection, namespace, model, permit.version)
    return None if version is None or version.revoked else permit


def use_permit(tx: Transaction, permit: Permit) -> None:
    """Use a permit up, in the transaction that moves the alias on it.

    The move's ``promotion`` is the permit's, and its ``envelope_digest`` the permit's decision.

    Args:
        tx: The transaction.
        permit: The permit that was found.

    Raises:
        ConflictError: It was used meanwhile, or its time is over.
    """
    if not queries.mark_used(tx.connection, permit.promotion, now=tx.now):
        raise ConflictError(
            f"the permit of promotion {permit.promotion} to move alias {permit.alias!r} of "
            f"{permit.namespace}/{permit.model} was used meanwhile, or has expired: ask for a new promotion",
            metadata={"promotion": permit.promotion},
        )


def write_permit(
    tx: Transaction, admission: Admission, decision_digest: str, log_index: int, *, expires_at: datetime
) -> None:
    """Write what a decision permits, in the transaction that writes the decision.

    Args:
        tx: The transaction.
        admission: The promotion, by rollout.
        decision_digest: The stored decision.
        log_index: Its entry.
        expires_at: Until when it counts.
    """
    queries.insert_permit(
        tx.connection,
        Permit(
            promotion=admission.promotion,
            namespace=admission.namespace,
            model=admission.model,
            alias=admission.alias,
            bundle_digest=admission.bundle_digest,
            version=admission.version,
            decision_digest=decision_digest,
            log_index=log_index,
            created_at=tx.now,
            expires_at=expires_at,
        ),
    )

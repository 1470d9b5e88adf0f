"""Whether an alias may be moved to a rollout's challenger, or get it a share of its traffic.

Responsible for the one question: is there a decision that lets it? What was live under the alias before needs
no other one, just as a rollback needs none. Asked inside transactions; decides by what is stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from carnet.errors import GateRefusedError
from carnet_policies.protection import ALL_TRAFFIC, needs_decision
from carnet_server.aliases.queries import read_moves

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from carnet.references import ResourceName
    from carnet_policies.schema import PolicyDocument
    from carnet_server.log.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Permit:
    """What lets a rollout move an alias.

    Attributes:
        promotion: The promotion that was decided on; empty where the version was live there before.
        decision_digest: The stored decision; None where the version was live there before.
        expires_at: Until when it counts; None for good.
    """

    promotion: str = ""
    decision_digest: str | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Permission:
    """Whether a challenger may have a share of an alias's traffic.

    Attributes:
        allowed: Whether it may.
        permit: What lets it, where it needs something that does.
    """

    allowed: bool
    permit: Permit | None = None


def permission_for(
    connection: Connection,
    document: PolicyDocument,
    alias: ResourceName,
    bundle_digest: str,
    *,
    now: datetime,
    share: float = ALL_TRAFFIC,
) -> Permission:
    """Say whether a bundle may have a share of an alias's traffic.

    Args:
        connection: Where to read.
        document: The policy in force.
        alias: The alias.
        bundle_digest: The bundle.
        now: This environment's clock.
        share: The share, from 0 to 1; all of it for a move.
    """
    if not needs_decision(document, alias=alias.alias, share=share):
        return Permission(allowed=True)
    permit = permit_for(connection, alias, bundle_digest, now=now)
    return Permission(permit is not None, permit)


def permit_for(
    connection: Connection, alias: ResourceName, bundle_digest: str, *, now: datetime
) -> Permit | None:
    """Return what lets an alias be moved to a bundle now.

    Args:
        connection: Where to read.
        alias: The alias.
        bundle_digest: The bundle.
        now: This environment's clock.

    Returns:
        The permit; None where there is none.
    """
    once_live = any(move.bundle_digest == bundle_digest for move in read_moves(connection, alias))
    permit = Permit() if once_live else None
    return permit if permit is None or permit.expires_at is None or permit.expires_at > now else None


def use_permit(tx: Transaction, permit: Permit) -> None:
    """Use a permit up, in the transaction that moves the alias on it; what was live before is never used up.

    Args:
        tx: The transaction.
        permit: The permit that was found.
    """
    del tx, permit


def needs_promotion(environment: str, alias: ResourceName, version: int, *, share: float) -> GateRefusedError:
    """Return the error of a share that no decision lets a version have.

    Args:
        environment: This environment.
        alias: The alias.
        version: The version.
        share: The share that was to be had.
    """
    return GateRefusedError(
        f"alias {alias.alias!r} is protected in {environment}, and no decision lets version {version} of "
        f"{alias.namespace}/{alias.model} have {share:.6g} of its traffic. "
        f"Run: {promotion_command(environment, alias, version)}",
        metadata={"subject": str(alias), "alias": alias.alias},
    )


def promotion_command(environment: str, alias: ResourceName, version: int) -> str:
    """Say how a decision is asked for."""
    return (
        f"carnet promote SOURCE/{alias.namespace}/{alias.model}@{version} --to {environment} "
        f"--alias {alias.alias} --by-rollout"
    )

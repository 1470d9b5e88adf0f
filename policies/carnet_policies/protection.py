"""Which changes of traffic need a decision of their own.

A pure rule, asked whenever an alias is to be moved and whenever a version is to get a share of an alias's
traffic. A move gives the version all of it. Rolling back is no business of this rule: it needs no decision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from carnet_policies.schema import PolicyDocument

ALL_TRAFFIC: Final = 1.0


def needs_decision(document: PolicyDocument, *, alias: str, share: float = ALL_TRAFFIC) -> bool:
    """Whether a version may get a share of an alias's traffic by a decision of this environment only.

    Without ``traffic_share_above``, any share of a protected alias's traffic needs one.

    Args:
        document: The policy in force.
        alias: The alias.
        share: The share of its traffic, from 0 to 1; all of it for a move.
    """
    return alias in document.protected_aliases and share > (document.traffic_share_above or 0.0)

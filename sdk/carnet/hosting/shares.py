"""Who answers a request: the pure rules of routing.

A request has a position from 0 up to, not including, 1, and the versions have intervals of it. A key's
position is the same on every host, so that a caller stays with a version; and as a challenger's share grows
its interval only grows, so that nobody who had it is sent back. Does no I/O.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from carnet.references import ResourceName

if TYPE_CHECKING:
    from carnet.client.results import Traffic, TrafficTarget


@dataclass(frozen=True, slots=True)
class Choice:
    """Who answers a request.

    Attributes:
        version: The version whose answer the caller gets.
        bundle_digest: Its bundle digest.
        mirrored: To whom the request is mirrored too; their answers are thrown away.
        rollout: The number of the rollout that it is part of; None where there is none.
    """

    version: int
    bundle_digest: str
    mirrored: tuple[TrafficTarget, ...]
    rollout: int | None


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """The intervals of an alias's traffic.

    Attributes:
        traffic: What it was made of.
        salt: What keys are hashed with: the rollout's resource name, so that every rollout asks other
            callers first; empty where there is none.
        bounds: Where each version's interval ends, in the order of version numbers, which a rollout does
            not change.
    """

    traffic: Traffic
    salt: str
    bounds: tuple[tuple[float, TrafficTarget], ...]

    @classmethod
    def of(cls, traffic: Traffic) -> RoutingTable:
        """Return the table of an alias's traffic."""
        alias = traffic.reference
        salt = (
            str(ResourceName(alias.namespace, alias.model, alias=alias.alias, rollout=traffic.rollout))
            if traffic.rollout
            else ""
        )
        bounds, end = [], 0.0
        for target in sorted(traffic.answering, key=lambda each: each.version):
            end += target.share
            bounds.append((end, target))
        return cls(traffic, salt, tuple(bounds))

    def position_of(self, key: str) -> float:
        """Return where a key stands.

        It is the first 53 bits of the SHA-256 of the salt, a line feed and the key in UTF-8, over 2**53.
        """
        digest = hashlib.sha256(f"{self.salt}\n{key}".encode()).digest()
        return (int.from_bytes(digest[:8], "big") >> 11) / (1 << 53)

    def choose(self, position: float) -> Choice | None:
        """Return who answers a request at a position; None where the alias points nowhere."""
        if not self.bounds:
            return None
        # Shares are rounded, and add up to nearly 1: the last interval goes to the end.
        target = next((each for end, each in self.bounds if position < end), self.bounds[-1][1])
        mirrored = tuple(each for each in self.traffic.mirrored if position < each.share)
        return Choice(target.version, target.bundle_digest, mirrored, self.traffic.rollout)

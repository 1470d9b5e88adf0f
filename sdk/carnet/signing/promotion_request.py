"""The signed wish to bring a version from one environment to another.

Signed by the requester: a person, or the CI job that acts for one. The target verifies it itself, so that a
promotion service can neither make nor change one.
"""

# ruff: noqa: TC001 - pydantic reads the fields' types at run time
from __future__ import annotations

from typing import ClassVar

from carnet.signing.fields import Hex32, Name, OptionalName, Time, VersionNumber
from carnet.signing.predicate import Predicate


class PromotionRequest(Predicate):
    """A request for one promotion.

    Attributes:
        promotion: The promotion's id, ``uuid4().hex``; also what makes a repeated request the same one.
        source: The environment that has the version.
        target: The environment that is to admit it.
        namespace: The namespace at the target.
        model: The model.
        version: The version's number.
        alias: The alias to move at the target; empty for none.
        requested_at: When it was signed.
        emergency: Whether it is asked for although rules stand open that only a break-glass can skip.
        by_rollout: Whether admission only permits the alias to move, which a rollout then does.
    """

    PREDICATE_TYPE: ClassVar[str] = "urn:carnet:promotion-request:v1"

    promotion: Hex32
    source: Name
    target: Name
    namespace: Name
    model: Name
    version: VersionNumber
    alias: OptionalName
    requested_at: Time
    emergency: bool = False
    by_rollout: bool = False

    def check_consistency(self) -> None:
        """Refuse a promotion to where it comes from, and a rollout of no alias or in an emergency."""
        if self.source == self.target:
            raise self.inconsistent("target", f"is the source, {self.source!r}: name another environment")
        if self.by_rollout and not self.alias:
            raise self.inconsistent("by_rollout", "needs an alias: name the one that the rollout is to move")
        if self.by_rollout and self.emergency:
            raise self.inconsistent("by_rollout", "contradicts emergency, which does not wait for a rollout")

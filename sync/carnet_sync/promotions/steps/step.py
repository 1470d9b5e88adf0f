"""What a step is, and what it is handed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from carnet_sync.environments.links import Links
    from carnet_sync.environments.registry import Registry
    from carnet_sync.promotions.domain import Promotion
    from carnet_sync.promotions.outcome import Outcome


class ReportProgress(Protocol):
    """Tells how far a transfer is."""

    async def __call__(self, transferred_bytes: int, total_bytes: int) -> None:
        """Store and show it.

        Raises:
            StaleEpochError: Another worker took the promotion over.
        """


@dataclass(frozen=True, slots=True)
class Work:
    """What a step is handed besides the promotion.

    Attributes:
        links: The registries.
        report_progress: Tells how far a transfer is.
    """

    links: Links
    report_progress: ReportProgress

    def source(self, promotion: Promotion) -> Registry:
        """Return the registry that the promotion comes from."""
        return self.links.registry(promotion.source)

    def target(self, promotion: Promotion) -> Registry:
        """Return the registry that the promotion goes to."""
        return self.links.registry(promotion.target)


class Step(Protocol):
    """One step of a promotion."""

    async def __call__(self, promotion: Promotion, work: Work) -> Outcome:
        """Take the step, and return what it came to.

        Raises:
            CarnetError: It could not be taken; the worker decides what that means.
        """

"""A dry run: the promotion's own questions, asked so that nobody stores anything."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from carnet_sync.promotions.domain import State
from carnet_sync.promotions.steps import answers, pending, presenting
from carnet_sync.promotions.steps.step import Work

if TYPE_CHECKING:
    from carnet_sync.environments.links import Links
    from carnet_sync.promotions.domain import Promotion
    from carnet_sync.promotions.outcome import Outcome


async def rehearse(promotion: Promotion, links: Links) -> Promotion:
    """Return what a promotion would be after its first check.

    Args:
        promotion: The promotion that is not stored.
        links: The registries.

    Raises:
        CarnetError: Whatever the source or the target answers with.
    """
    work = Work(links, _tell_nobody)
    fetched = _after(promotion, await pending.run(promotion, work))
    presented = await presenting.gather(fetched, work.source(fetched))
    admission = await work.target(fetched).evaluate(
        presented.admission_input(fetched, presented.evidence), epoch=0, validate_only=True
    )
    outcome = answers.outcome_of(fetched, admission)
    rehearsed = _after(fetched, outcome)
    if outcome.state is State.TRANSFERRING:
        return replace(rehearsed, message=f"every rule of {promotion.target} passes: it would be admitted")
    return rehearsed


def _after(promotion: Promotion, outcome: Outcome) -> Promotion:
    return replace(promotion, state=outcome.state, message=outcome.message, **outcome.learned)


async def _tell_nobody(transferred_bytes: int, total_bytes: int) -> None:
    del transferred_bytes, total_bytes

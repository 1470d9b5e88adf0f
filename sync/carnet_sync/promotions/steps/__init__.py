"""The steps of a promotion, one a file, and the table of which is taken in which state.

A step reads the promotion, talks to the two registries, and returns what it came to. Each may be repeated at
any time: what it did before is found done. None of them stores anything here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet_sync.promotions.domain import State
from carnet_sync.promotions.steps import admitting, checking, pending, transferring

if TYPE_CHECKING:
    from collections.abc import Mapping

    from carnet_sync.promotions.steps.step import Step

STEPS: Mapping[State, Step] = {
    State.PENDING: pending.run,
    State.CHECKING: checking.run,
    State.AWAITING: checking.run,
    State.TRANSFERRING: transferring.run,
    State.ADMITTING: admitting.run,
}

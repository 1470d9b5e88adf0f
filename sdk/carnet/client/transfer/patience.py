"""How long a peer that is away is waited for: as long as there is progress, and a few times without any.

Responsible for the number of attempts and the pauses between them. Does not decide which errors are worth
another attempt.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from carnet.errors import CarnetError

ATTEMPTS = 8
FIRST_PAUSE_SECONDS = 0.1
MAX_PAUSE_SECONDS = 5.0


class Patience:
    """How often something is tried again: as long as it moves, and a few times where it does not."""

    def __init__(self) -> None:
        self._reached = -1
        self._failures = 0

    async def wait(self, error: CarnetError, reached: int) -> None:
        """Wait before the next attempt.

        Args:
            error: Why the last one failed.
            reached: How far things are, in bytes; having come further starts the count anew.

        Raises:
            CarnetError: The error, when it has been tried often enough.
        """
        self._failures = 1 if reached > self._reached else self._failures + 1
        self._reached = max(self._reached, reached)
        if self._failures > ATTEMPTS:
            raise error
        pause = min(FIRST_PAUSE_SECONDS * 2 ** (self._failures - 1), MAX_PAUSE_SECONDS)
        await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311  jitter

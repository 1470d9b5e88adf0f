"""How many certificates one subject may be given within a minute, so that a token cannot fill the log.

Counted by each process for itself. Invariant: what is remembered is bounded by what was given within the last
minute.
"""

from __future__ import annotations

import math
import time
from collections import deque
from typing import TYPE_CHECKING

from carnet.errors import ResourceExhaustedError

if TYPE_CHECKING:
    from collections.abc import Callable

CERTIFICATES_PER_MINUTE = 120
_WINDOW_SECONDS = 60.0


class CertificateQuota:
    """Counts what each subject was given; used on one event loop.

    Args:
        per_minute: How many a subject may be given within a minute.
        clock: A clock that never goes back, in seconds.
    """

    def __init__(
        self, *, per_minute: int = CERTIFICATES_PER_MINUTE, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._given: dict[str, deque[float]] = {}

    def take(self, subject: str) -> None:
        """Count one certificate for a subject.

        Raises:
            ResourceExhaustedError: It was given as many as it may be within the last minute.
        """
        now = self._clock()
        self._forget(now - _WINDOW_SECONDS)
        given = self._given.get(subject) or deque()
        while given and given[0] <= now - _WINDOW_SECONDS:
            given.popleft()
        if len(given) >= self._per_minute:
            seconds = max(1, math.ceil(given[0] + _WINDOW_SECONDS - now))
            raise ResourceExhaustedError(
                f"{subject} was given {self._per_minute} certificates within a minute, which is all that one "
                f"subject is given: ask again in {seconds} seconds",
                metadata={"subject": subject, "retryAfterSeconds": str(seconds)},
            )
        # Taken out and put in again, so that the order is that of the last certificate.
        self._given.pop(subject, None)
        given.append(now)
        self._given[subject] = given

    def _forget(self, before: float) -> None:
        """Forget the subjects that were given nothing since; they stand first."""
        while self._given:
            subject = next(iter(self._given))
            if self._given[subject][-1] > before:
                break
            del self._given[subject]

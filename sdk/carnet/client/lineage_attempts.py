"""Asking many environments, of which some may be away.

Responsible for the difference between what could not be read, which a lineage says and goes on, and what is
not what was signed or logged, which it says too, and louder. An environment that is away is asked once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from carnet.errors import (
    CancelledError,
    CarnetError,
    CertificateExpiredError,
    DataLossError,
    DeadlineExceededError,
    IntegrityError,
    InternalError,
    UnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from carnet.lineage.graph import Standing

T = TypeVar("T")
_AWAY = (UnavailableError, DeadlineExceededError)
_WRONG = (IntegrityError, DataLossError, InternalError)
_OWN = (CertificateExpiredError, CancelledError)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why something is not there: how a node of it stands, and on what basis."""

    standing: Standing
    basis: str


@dataclass(slots=True)
class Attempts:
    """Calls that may fail, and the environments that turned out to be away."""

    _away: dict[str, Failure] = field(default_factory=dict)

    async def of(self, environment: str, call: Callable[[], Awaitable[T]]) -> T | Failure:
        """Make a call to an environment.

        Returns:
            What it gives, or why it gives nothing.

        Raises:
            CertificateExpiredError: The caller's own certificate has ended; no environment would answer.
            CancelledError: The caller gave up.
        """
        if environment in self._away:
            return self._away[environment]
        try:
            return await call()
        except _OWN:
            raise
        except _AWAY as error:
            self._away[environment] = Failure("unreachable", f"{environment} is away: {error.message}")
            return self._away[environment]
        except _WRONG as error:
            return Failure("contradicted", error.message)
        except CarnetError as error:
            return Failure("unreachable", error.message)

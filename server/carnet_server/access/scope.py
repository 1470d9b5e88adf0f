"""The scope of one request: who is calling, for code that is below the servicer."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

from carnet.errors import UnauthenticatedError

if TYPE_CHECKING:
    from carnet_server.access.identity import Caller

_CALLER: ContextVar[Caller] = ContextVar("carnet_caller")


def current_caller() -> Caller:
    """Return who is calling.

    Raises:
        UnauthenticatedError: There is no call, or it was not authenticated.
    """
    try:
        return _CALLER.get()
    except LookupError:
        raise UnauthenticatedError("nobody is calling") from None


def enter_scope(caller: Caller) -> None:
    """Make a caller the current one for the rest of this task."""
    _CALLER.set(caller)

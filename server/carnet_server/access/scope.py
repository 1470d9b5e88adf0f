"""The scope of one request: who is calling, for code that is below the servicer."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

from carnet.errors import UnauthenticatedError

if TYPE_CHECKING:
    from carnet_server.access.identity import Caller

_CALLER: ContextVar[Caller] = ContextVar("carnet_caller")
_DOCUMENTS: ContextVar[object] = ContextVar("carnet_documents", default=None)


def current_caller() -> Caller:
    """Return who is calling.

    Raises:
        UnauthenticatedError: There is no call, or it was not authenticated.
    """
    try:
        return _CALLER.get()
    except LookupError:
        raise UnauthenticatedError("nobody is calling") from None


def documents_at_entry() -> object:
    """Return what names the documents that were in force when the request began; None outside of one."""
    return _DOCUMENTS.get()


def enter_scope(caller: Caller, documents: object = None) -> None:
    """Make a caller the current one for the rest of this task.

    Args:
        caller: Who is calling.
        documents: What names the documents that are in force; None where they cannot change.
    """
    _CALLER.set(caller)
    _DOCUMENTS.set(documents)

"""The bearer token of a call: exactly one, in the call's metadata (RFC 6750, section 2.1). Verifies none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.errors import UnauthenticatedError

if TYPE_CHECKING:
    from carnet.serving.call_scope import ServicerContext

_HEADER = "authorization"
_SCHEME = "bearer"


def bearer_token_of(context: ServicerContext) -> str:
    """Return the token that a call shows.

    Args:
        context: The call's context.

    Raises:
        UnauthenticatedError: It shows none, several, or something else.
    """
    found = [value for name, value in context.invocation_metadata() or () if name == _HEADER]
    scheme, _, token = str(found[0]).partition(" ") if len(found) == 1 else ("", "", "")
    if scheme.lower() != _SCHEME or not token.strip():
        raise UnauthenticatedError(
            "exactly one header `authorization: Bearer TOKEN` is needed here; who has a client certificate "
            "calls the other address"
        )
    return token.strip()

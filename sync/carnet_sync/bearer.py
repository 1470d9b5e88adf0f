"""Who calls the promotion service with an OIDC token instead of a client certificate.

Responsible for the caller that a token makes. It serves a listener of its own, which asks nobody for a
certificate: a token on the other listener is not looked at. The table of roles is the same
(``carnet_sync.access``).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from carnet.errors import UnavailableError
from carnet.serving.callers.bearer import bearer_token_of
from carnet.serving.callers.tokens import CLOCK_SKEW_SECONDS, TokenVerifier
from carnet_sync.access import Caller, SyncCallScope, known_caller, permit, require_unrevoked

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from carnet.serving.call_scope import ServicerContext
    from carnet_sync.callers import CallersStore


class BearerCallScope(SyncCallScope):
    """Enters one scope a call on the listener of tokens.

    Args:
        callers: Who may do what now.
        verifier: Verifies the tokens.
    """

    def __init__(self, callers: CallersStore, verifier: TokenVerifier | None = None) -> None:
        super().__init__(callers)
        self._verifier = verifier or TokenVerifier()

    def enter(self, method: str, request: Any, context: ServicerContext) -> Awaitable[None]:
        """Verify the token, and refuse what its bearer may not do; see ``CallScope.enter``."""
        del request
        return self._enter_by_token(method, context)

    async def _enter_by_token(self, method: str, context: ServicerContext) -> None:
        callers = self._callers.current
        _require_unended(known_caller())
        verified = await self._verifier.verify(bearer_token_of(context), callers)
        require_unrevoked(callers, verified.subject)
        roles = callers.roles_of_token(verified)
        permit(method, Caller(verified.subject, roles, token_ends_at=verified.expires_at))


def _require_unended(before: Caller | None) -> None:
    """Have a stream that outlived its token begun anew, so that whoever renews tokens is not turned away."""
    ends_at = None if before is None else before.token_ends_at
    if ends_at is not None and ends_at + CLOCK_SKEW_SECONDS < time.time():
        raise UnavailableError("the token that this stream began with has ended: begin again with a new one")

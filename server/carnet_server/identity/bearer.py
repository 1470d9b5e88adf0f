"""Entering a call that shows an OIDC token instead of a client certificate.

Responsible for the caller that a token makes. It serves a listener of its own, which asks nobody for a
certificate: a token on the other listener is not looked at. Everything behind is the same, the table of
permissions too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from carnet.serving.callers.bearer import bearer_token_of
from carnet.serving.callers.tokens import TokenVerifier
from carnet_server.access.identity import Caller, revoked
from carnet_server.access.interceptor import RegistryCallScope
from carnet_server.access.scope import enter_scope

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from carnet.serving.call_scope import ServicerContext
    from carnet.serving.callers.claims import Token
    from carnet_server.access.refusals import RefusalLog
    from carnet_server.access.trust import Trust, TrustStore

METHOD = "oidc"


def caller_by_token(verified: Token, trust: Trust) -> Caller:
    """Return the caller that a verified token makes; its subject may be revoked.

    Args:
        verified: The token.
        trust: The trust document in force.
    """
    own = trust.for_token(verified)
    return Caller(verified.subject, own.person_of(verified.subject), verified.issuer, METHOD, own, verified)


class BearerCallScope(RegistryCallScope):
    """Enters one scope a call on the listener of tokens.

    Args:
        trust: The trust document in force.
        verifier: Verifies the tokens.
        documents: Names the documents that are in force; None where they cannot change.
        refusals: Takes note of refused calls; None for nobody.
    """

    def __init__(
        self,
        trust: TrustStore,
        verifier: TokenVerifier | None = None,
        *,
        documents: Callable[[], object] = lambda: None,
        refusals: RefusalLog | None = None,
    ) -> None:
        super().__init__(trust, documents=documents, refusals=refusals)
        self._verifier = verifier or TokenVerifier()

    def enter(self, method: str, request: Any, context: ServicerContext) -> Awaitable[None]:
        """Verify the token, and consult the table with the request in hand; see ``CallScope.enter``."""
        return self._enter_by_token(method, request, context)

    async def _enter_by_token(self, method: str, request: Any, context: ServicerContext) -> None:
        documents, trust = self._documents(), self._trust.current
        verified = await self._verifier.verify(bearer_token_of(context), trust)
        caller = caller_by_token(verified, trust)
        enter_scope(caller, documents)
        revocation = trust.revocation_of(caller.subject)
        if revocation is not None:
            raise revoked(caller.subject, revocation)
        self.permit(method, request, caller)

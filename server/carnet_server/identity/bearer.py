"""Entering a call that shows an OIDC token instead of a client certificate.

Responsible for taking the token from the call's metadata (RFC 6750, section 2.1) and for the caller that it
makes. It serves a listener of its own, which asks nobody for a certificate: a token on the other listener is
not looked at. Everything behind is the same, the table of permissions too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from carnet.errors import UnauthenticatedError
from carnet_server.access.identity import Caller, revoked
from carnet_server.access.interceptor import RegistryCallScope
from carnet_server.access.scope import enter_scope
from carnet_server.identity.tokens import TokenVerifier

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from carnet.serving.call_scope import ServicerContext
    from carnet_server.access.trust import Trust, TrustStore

HEADER = "authorization"
METHOD = "oidc"
_SCHEME = "bearer"


def bearer_token_of(context: ServicerContext) -> str:
    """Return the token that a call shows.

    Args:
        context: The call's context.

    Raises:
        UnauthenticatedError: It shows none, several, or something else.
    """
    found = [value for name, value in context.invocation_metadata() or () if name == HEADER]
    scheme, _, token = str(found[0]).partition(" ") if len(found) == 1 else ("", "", "")
    if scheme.lower() != _SCHEME or not token.strip():
        raise UnauthenticatedError(
            "exactly one header `authorization: Bearer TOKEN` is needed here; who has a client certificate "
            "calls the other address of this registry"
        )
    return token.strip()


def caller_by_token(verified: Any, trust: Trust) -> Caller:
    """Return the caller that a verified token makes.

    Args:
        verified: The token.
        trust: The trust document in force.

    Raises:
        UnauthenticatedError: Its subject is revoked.
    """
    revocation = trust.revocation_of(verified.subject)
    if revocation is not None:
        raise revoked(verified.subject, revocation)
    own = trust.for_token(verified)
    return Caller(verified.subject, own.person_of(verified.subject), verified.issuer, METHOD, own)


class BearerCallScope(RegistryCallScope):
    """Enters one scope a call on the listener of tokens.

    Args:
        trust: The trust document in force.
        verifier: Verifies the tokens.
        documents: Names the documents that are in force; None where they cannot change.
    """

    def __init__(
        self,
        trust: TrustStore,
        verifier: TokenVerifier | None = None,
        *,
        documents: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__(trust, documents=documents)
        self._verifier = verifier or TokenVerifier()

    def enter(self, method: str, request: Any, context: ServicerContext) -> Awaitable[None]:
        """Verify the token, and consult the table with the request in hand; see ``CallScope.enter``."""
        return self._enter_by_token(method, request, context)

    async def _enter_by_token(self, method: str, request: Any, context: ServicerContext) -> None:
        documents, trust = self._documents(), self._trust.current
        verified = await self._verifier.verify(bearer_token_of(context), trust)
        caller = caller_by_token(verified, trust)
        self.permit(method, request, caller)
        enter_scope(caller, documents)

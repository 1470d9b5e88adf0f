"""Who is calling by certificate: the SPIFFE id that gRPC found in it, and what it means here.

Responsible for the one form of a recognised caller, whatever it showed, and for whether a certificate is good
at this call: not ended, by an authority that is believed now, and not revoked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from carnet.serving.call_scope import certified_peer_of
from carnet.serving.callers import revocations
from carnet.serving.callers.certificates import read_certificate, require_valid
from carnet.translog.entry import Actor

if TYPE_CHECKING:
    from carnet.client.renewal import FollowedIdentity
    from carnet.errors import UnauthenticatedError
    from carnet.serving.call_scope import ServicerContext
    from carnet.serving.callers.claims import Token
    from carnet.serving.callers.revocations import Revocation
    from carnet_server.access.trust import Trust


@dataclass(frozen=True, slots=True)
class Caller:
    """A recognised caller.

    Attributes:
        subject: Its SPIFFE id, or a token's subject.
        person: The person behind it; None where it maps to nobody.
        issuer: Who vouches for it: the SPIFFE trust domain, or the token's issuer.
        method: How it was authenticated: ``mtls`` or ``oidc``.
        trust: The trust document that it was recognised under, as it is for this caller.
        token: What the token said that it showed; None for one that showed a certificate.
    """

    subject: str
    person: str | None
    issuer: str
    method: str
    trust: Trust
    token: Token | None = None

    @property
    def actor(self) -> Actor:
        """The caller, as log entries name it."""
        return Actor(subject=self.subject, issuer=self.issuer, method=self.method)

    def roles_in(self, namespace: str | None) -> frozenset[str]:
        """The roles that it has in a namespace; with None, in any."""
        return self.trust.roles(self.subject, namespace)


def recognise(context: ServicerContext, trust: Trust, identity: FollowedIdentity | None = None) -> Caller:
    """Return who is calling.

    Args:
        context: The call's context.
        trust: The trust document in force.
        identity: The authorities that are believed; None where they cannot change.

    Raises:
        UnauthenticatedError: There is no certificate, or it has no SPIFFE id, ended, is by an authority that
            is not believed any more, or is revoked, alone or with its subject.
    """
    subject, pem, chain = certified_peer_of(context)
    certificate = read_certificate(pem)
    require_valid(certificate, chain=chain, identity=identity)
    revocation = trust.revocation_of(subject, certificate)
    if revocation is not None:
        raise revoked(subject, revocation)
    domain = "/".join(subject.split("/")[:3])
    return Caller(subject, trust.person_of(subject), domain, "mtls", trust)


def revoked(subject: str, revocation: Revocation) -> UnauthenticatedError:
    """Return the error of a caller whose identity is revoked."""
    mend = "an administrator of this environment issues another identity"
    return revocations.revoked(subject, revocation, mend=mend)

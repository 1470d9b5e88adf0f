"""Who is calling: the SPIFFE id that gRPC found in the client's certificate, and what it means here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from carnet.serving.call_scope import spiffe_id_of
from carnet.translog.entry import Actor

if TYPE_CHECKING:
    from carnet.serving.call_scope import ServicerContext
    from carnet_server.access.trust import Trust


@dataclass(frozen=True, slots=True)
class Caller:
    """A recognised caller.

    Attributes:
        subject: Its SPIFFE id.
        person: The person behind it; None where it maps to nobody.
        issuer: Who vouches for it: the SPIFFE trust domain.
        method: How it was authenticated.
        trust: The trust document that it was recognised under.
    """

    subject: str
    person: str | None
    issuer: str
    method: str
    trust: Trust

    @property
    def actor(self) -> Actor:
        """The caller, as log entries name it."""
        return Actor(subject=self.subject, issuer=self.issuer, method=self.method)

    def roles_in(self, namespace: str | None) -> frozenset[str]:
        """The roles that it has in a namespace; with None, in any."""
        return self.trust.roles(self.subject, namespace)


def recognise(context: ServicerContext, trust: Trust) -> Caller:
    """Return who is calling.

    Args:
        context: The call's context.
        trust: The trust document in force.

    Raises:
        UnauthenticatedError: The certificate has no SPIFFE id, or there is no certificate.
    """
    subject = spiffe_id_of(context)
    domain = "/".join(subject.split("/")[:3])
    return Caller(subject, trust.person_of(subject), domain, "mtls", trust)

"""Who may do what at the promotion service: the parts ``callers``, ``oidc`` and ``revoked`` of ``sync.yaml``.

Responsible for the form of a caller's entry, for what the three parts say together, and for looking things
up in them. Invariants: what is in force is replaced as a whole, and never changed; whoever is revoked has no
role, whatever is bound. Reads no file, and recognises nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from carnet.errors import DocumentInvalidError
from carnet.serving.callers.claims import (
    ClaimName,
    ClaimPattern,
    IssuerUrl,
    TokenPattern,
    matches_claims,
)
from carnet.serving.callers.issuers import IssuerDocument, check_issuers
from carnet.serving.callers.revocations import Revocation, Revocations
from carnet.serving.callers.subjects import Strict, Subject

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from carnet.serving.callers.certificates import PeerCertificate
    from carnet.serving.callers.claims import Token

Role = Literal["reader", "requester", "operator", "auditor", "log"]


class CallerRoles(Strict):
    """What a caller of this service may do: a subject, or whoever shows a token with some claims.

    Attributes:
        subject: Its SPIFFE id, or the subject of its tokens.
        issuer: The issuer of its tokens, where it is meant by claims.
        claims: The claims that its tokens must have, all of them.
        roles: ``reader`` sees promotions; ``requester`` starts, cancels and retries them too; ``operator``
            cancels and retries; ``auditor`` has reports made; ``log`` has checkpoints cosigned.
    """

    subject: Subject | None = None
    issuer: IssuerUrl | None = None
    claims: dict[ClaimName, ClaimPattern] = Field(default_factory=dict)
    roles: tuple[Role, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.subject is None) is (self.issuer is None) or (self.subject is not None and self.claims):
            raise ValueError("either subject, or issuer with claims, is wanted")
        if self.issuer is not None:
            if not self.claims:
                raise ValueError("claims: name one at least, or everybody whom the issuer knows is meant")
            TokenPattern.model_validate({"issuer": self.issuer, "claims": self.claims})
        return self

    def means(self, token: Token) -> bool:
        """Tell whether a token is meant by its claims."""
        return self.issuer is not None and matches_claims(self.issuer, self.claims, token)


@dataclass(frozen=True, eq=False)
class Callers:
    """Who may do what, ready to be looked up; two are the same only if they are one object."""

    _by_subject: Mapping[str, frozenset[str]]
    _by_claims: tuple[CallerRoles, ...]
    _issuers: Mapping[str, IssuerDocument]
    _revocations: Revocations

    @classmethod
    def of(
        cls,
        callers: Sequence[CallerRoles],
        issuers: Sequence[IssuerDocument] = (),
        revoked: Sequence[Revocation] = (),
        *,
        name: str = "sync.yaml",
    ) -> Callers:
        """Put the three parts together.

        Args:
            callers: The entries of callers.
            issuers: The issuers whose tokens are taken.
            revoked: The identities that are revoked.
            name: What to call the document in messages.

        Raises:
            DocumentInvalidError: A subject or an issuer is there twice, an issuer would be asked without TLS,
                or an entry is of an issuer that is unknown.
        """
        known = check_issuers(issuers, name=name)
        by_subject: dict[str, frozenset[str]] = {}
        for i, caller in enumerate(callers):
            if caller.issuer is not None and caller.issuer not in known:
                raise DocumentInvalidError(
                    f"{name}: callers[{i}].issuer: {caller.issuer} is not among the issuers of `oidc`; it "
                    f"has {', '.join(known) or 'none'}"
                )
            if caller.subject is None:
                continue
            if caller.subject in by_subject:
                raise DocumentInvalidError(
                    f"{name}: callers[{i}].subject: the caller {caller.subject!r} stands twice: give it all "
                    "its roles in one place"
                )
            by_subject[caller.subject] = frozenset(caller.roles)
        by_claims = tuple(caller for caller in callers if caller.issuer is not None)
        return cls(by_subject, by_claims, known, Revocations.of(revoked))

    def issuer(self, url: str) -> IssuerDocument | None:
        """The OIDC issuer of a URL; None for one whose tokens are not taken here."""
        return self._issuers.get(url)

    def revocation_of(self, subject: str, certificate: PeerCertificate | None = None) -> Revocation | None:
        """The entry by which a caller is revoked; None for one that is in order.

        Args:
            subject: The caller's subject.
            certificate: Its certificate; None for one that showed none.
        """
        found = self._revocations.of_subject(subject)
        if found is None and certificate is not None:
            found = self._revocations.of_certificate(certificate)
        return found

    def roles(self, subject: str) -> frozenset[str]:
        """The roles of a subject."""
        if self._revocations.of_subject(subject) is not None:
            return frozenset()
        return self._by_subject.get(subject, frozenset())

    def roles_of_token(self, token: Token) -> frozenset[str]:
        """The roles of whoever shows a token: those of its subject, and those of its claims."""
        if self._revocations.of_subject(token.subject) is not None:
            return frozenset()
        by_claims = (role for each in self._by_claims if each.means(token) for role in each.roles)
        return self.roles(token.subject).union(by_claims)


@dataclass
class CallersStore:
    """Who may do what now.

    Attributes:
        current: What is in force.
    """

    current: Callers

"""The schema of the trust document, ``trust.yaml``.

Responsible for the form alone: names, keys as text, patterns, and times that are in order. What contradicts
what, and what is believed when, is ``carnet_server.access.trust``'s.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from carnet.serving.callers.claims import ClaimName, ClaimPattern, IssuerUrl, TokenPattern
from carnet.serving.callers.issuers import IssuerDocument  # noqa: TC001  pydantic reads it
from carnet.serving.callers.revocations import Revocation  # noqa: TC001  pydantic reads it
from carnet.serving.callers.subjects import SpiffeId, Strict, Subject
from carnet_server.access.bindings import ANY, Denial, NamePattern, RoleBinding

Purpose = Literal["bundle", "request", "approval", "break-glass", "cancellation"]
JobPurpose = Literal["bundle", "request"]
"""What a job may sign with a one-time certificate, beside evidence; approvals are people's."""
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*([-_][a-z0-9]+)*$", max_length=63)]


class PersonDocument(Strict):
    """A person, and the subjects and the tokens that act for them."""

    name: Name
    subjects: tuple[Subject, ...] = ()
    claims: tuple[TokenPattern, ...] = ()

    @model_validator(mode="after")
    def _is_somebody(self) -> Self:
        if not self.subjects and not self.claims:
            raise ValueError("subjects or claims are wanted")
        if any(pattern.endswith("*") for each in self.claims for pattern in each.claims.values()):
            raise ValueError("claims: a person is meant by whole values, and not by the beginning of some")
        return self


class EvidenceGrant(Strict):
    """A right to sign evidence of one predicate type, in a role that policies name."""

    role: Name
    type: str = Field(min_length=1, max_length=512)


class _ForAWhile(Strict):
    """Something that is believed for a while: from one moment on, and up to another."""

    valid_from: AwareDatetime | None = None
    valid_until: AwareDatetime | None = None

    @model_validator(mode="after")
    def _begins_before_it_ends(self) -> Self:
        if self.valid_from and self.valid_until and self.valid_from >= self.valid_until:
            raise ValueError("valid_from is not before valid_until")
        return self


class KeyDocument(_ForAWhile):
    """A public key, whose it is, and what its signatures are believed for."""

    subject: Subject
    pem: str
    purposes: tuple[Purpose, ...] = ()
    evidence: tuple[EvidenceGrant, ...] = ()
    namespaces: tuple[NamePattern, ...] = ANY


class JobSigner(Strict):
    """Jobs whose one-time certificates are believed, by their tokens' claims, and what for."""

    issuer: IssuerUrl
    claims: dict[ClaimName, ClaimPattern] = Field(min_length=1)
    purposes: tuple[JobPurpose, ...] = ()
    evidence: tuple[EvidenceGrant, ...] = ()
    namespaces: tuple[NamePattern, ...] = ANY

    @model_validator(mode="after")
    def _means_somebody(self) -> Self:
        TokenPattern.model_validate({"issuer": self.issuer, "claims": self.claims})
        return self


class AuthorityDocument(_ForAWhile):
    """The signing authority of this environment or of a peer, and whose of its certificates are believed."""

    environment: Name
    certificate: str
    signers: tuple[JobSigner, ...] = Field(min_length=1)


class PeerDocument(_ForAWhile):
    """Another environment: where it is, who it is, its keys, and the namespaces that it is a peer for."""

    environment: Name
    subject: SpiffeId
    endpoint: str = Field(pattern=r"^.+:[0-9]{1,5}$")
    server_name: str = Field(min_length=1)
    signing_keys: tuple[str, ...] = Field(min_length=1)
    log_key: str
    namespaces: tuple[NamePattern, ...] = ANY


class TrustDocument(Strict):
    """The schema of ``trust.yaml``."""

    schema_: Literal["carnet.trust/v1"] = Field(alias="schema")
    environment: Name
    version: int = Field(ge=1)
    people: tuple[PersonDocument, ...] = ()
    keys: tuple[KeyDocument, ...] = ()
    peers: tuple[PeerDocument, ...] = ()
    authorities: tuple[AuthorityDocument, ...] = ()
    roles: tuple[RoleBinding, ...] = ()
    denied: tuple[Denial, ...] = ()
    revoked: tuple[Revocation, ...] = ()
    oidc: tuple[IssuerDocument, ...] = ()

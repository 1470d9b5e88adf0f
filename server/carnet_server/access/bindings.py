"""Roles bound to subjects, and what is denied to them whatever is bound.

Responsible for the one rule of access: a subject has a role at a place if some binding gives it there and no
denial takes it away there. A place is a namespace, and for calls that act on an alias the alias too. A
binding that is limited to aliases gives its roles for acting on those, and for reading what is around them;
it lets nobody act on anything that is not such an alias.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from carnet.serving.callers.claims import ClaimName, ClaimPattern, IssuerUrl, TokenPattern, matches_claims
from carnet.serving.callers.subjects import OIDC_PREFIX, Strict, Subject

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from carnet.serving.callers.claims import Token

Role = Literal[
    "reader",
    "publisher",
    "evaluator",
    "requester",
    "approver",
    "breaker",
    "operator",
    "monitor",
    "auditor",
    "archivist",
    "admin",
    "promoter",
]
NamePattern = Annotated[
    str,
    StringConstraints(pattern=r"^(\*|[a-z][a-z0-9]*([-_][a-z0-9]+)*([-_]?\*)?)$", max_length=63),
]
ANY: tuple[str, ...] = ("*",)
CERTIFICATE_ONLY: frozenset[str] = frozenset({"promoter"})
"""Roles that nobody has by a token: whoever carries between environments shows a certificate."""


class _Whom(Strict):
    """Whom a binding or a denial is about: a subject, or tokens of an issuer by their claims."""

    issuer: IssuerUrl | None = None
    claims: dict[ClaimName, ClaimPattern] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        subject: Any = getattr(self, "subject", None)
        if (subject is None) is (self.issuer is None) or (self.issuer is None and self.claims):
            raise ValueError("either subject, or issuer with claims, is wanted")
        if self.issuer is not None:
            TokenPattern.model_validate({"issuer": self.issuer, "claims": self.claims})
        return self

    def means(self, token: Token) -> bool:
        """Tell whether a token is meant by its claims."""
        return self.issuer is not None and matches_claims(self.issuer, self.claims, token)


class RoleBinding(_Whom):
    """Roles of a subject, in namespaces and for acting on aliases; ``risk-*`` stands for many names."""

    subject: Subject | None = None
    roles: tuple[Role, ...] = Field(min_length=1)
    namespaces: tuple[NamePattern, ...] = Field(default=ANY, min_length=1)
    aliases: tuple[NamePattern, ...] = Field(default=ANY, min_length=1)

    @model_validator(mode="after")
    def _not_by_token(self) -> Self:
        if self.subject is None or self.subject.startswith(OIDC_PREFIX):
            refused = CERTIFICATE_ONLY & set(self.roles)
            if refused:
                raise ValueError(f"roles: {', '.join(sorted(refused))} cannot be had by a token")
        return self


class Denial(_Whom):
    """Roles that a subject, or everybody (``*``), has not, whatever a binding gives."""

    subject: Subject | Literal["*"] | None = None
    roles: tuple[Role, ...] = Field(min_length=1)
    namespaces: tuple[NamePattern, ...] = Field(default=ANY, min_length=1)
    aliases: tuple[NamePattern, ...] = Field(default=ANY, min_length=1)
    reason: Annotated[str, StringConstraints(max_length=500)] = ""


def matches(patterns: Iterable[str], name: str) -> bool:
    """Tell whether a name is one of some patterns: a name, or the beginning of names before ``*``."""
    return any(
        name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern for pattern in patterns
    )


def everywhere(patterns: Iterable[str]) -> bool:
    """Tell whether patterns leave no name out."""
    return "*" in patterns


@dataclass(frozen=True)
class Bindings:
    """Who has which role where.

    Attributes:
        allowed: The bindings, by subject.
        denied: The denials, by subject; ``*`` for everybody's.
        allowed_by_claims: The bindings of tokens.
        denied_by_claims: The denials of tokens.
    """

    allowed: Mapping[str, tuple[RoleBinding, ...]]
    denied: Mapping[str, tuple[Denial, ...]]
    allowed_by_claims: tuple[RoleBinding, ...] = ()
    denied_by_claims: tuple[Denial, ...] = ()

    @classmethod
    def of(cls, bindings: Iterable[RoleBinding], denials: Iterable[Denial]) -> Bindings:
        """Put bindings and denials together by subject."""
        allowed: dict[str | None, list[RoleBinding]] = {}
        for binding in bindings:
            allowed.setdefault(binding.subject, []).append(binding)
        denied: dict[str | None, list[Denial]] = {}
        for denial in denials:
            denied.setdefault(denial.subject, []).append(denial)
        return cls(
            {subject: tuple(each) for subject, each in allowed.items() if subject is not None},
            {subject: tuple(each) for subject, each in denied.items() if subject is not None},
            tuple(allowed.get(None, ())),
            tuple(denied.get(None, ())),
        )

    def for_token(self, token: Token) -> Bindings:
        """Return these bindings with those of a token's claims as its subject's own."""
        subject = token.subject
        allowed = tuple(each for each in self.allowed_by_claims if each.means(token))
        denied = tuple(each for each in self.denied_by_claims if each.means(token))
        return Bindings(
            {**self.allowed, subject: self.allowed.get(subject, ()) + allowed},
            {**self.denied, subject: self.denied.get(subject, ()) + denied},
        )

    def reading_roles(self, subject: str, namespace: str | None) -> frozenset[str]:
        """Return the roles in which a subject may read.

        Args:
            subject: The subject.
            namespace: Where; None for the roles that it has in any namespace.
        """
        found = {
            role
            for binding in self.allowed.get(subject, ())
            if namespace is None or matches(binding.namespaces, namespace)
            for role in binding.roles
        }
        if not found:
            return frozenset()
        return frozenset(found) - {
            role
            for denial in self._denials(subject)
            if everywhere(denial.aliases) and _covers(denial, namespace)
            for role in denial.roles
        }

    def roles_everywhere(self, subject: str) -> frozenset[str]:
        """Return the roles in which a subject may read all namespaces; any denial of one takes it away."""
        found = {
            role
            for binding in self.allowed.get(subject, ())
            if everywhere(binding.namespaces)
            for role in binding.roles
        }
        return frozenset(found) - {
            role for denial in self._denials(subject) if everywhere(denial.aliases) for role in denial.roles
        }

    def acting_roles(self, subject: str, namespace: str, alias: str = "") -> frozenset[str]:
        """Return the roles in which a subject may act.

        Args:
            subject: The subject.
            namespace: Where.
            alias: The alias that is acted on; empty where none is.
        """
        found = {
            role
            for binding in self.allowed.get(subject, ())
            if matches(binding.namespaces, namespace) and _on(binding.aliases, alias)
            for role in binding.roles
        }
        if not found:
            return frozenset()
        return frozenset(found) - {
            role
            for denial in self._denials(subject)
            if matches(denial.namespaces, namespace) and _on(denial.aliases, alias)
            for role in denial.roles
        }

    def denial_of(self, subject: str, roles: frozenset[str], namespace: str, alias: str) -> Denial | None:
        """Return the denial that takes one of some roles away at a place; None where none does."""
        for denial in self._denials(subject):
            here = matches(denial.namespaces, namespace) and _on(denial.aliases, alias)
            if here and roles & set(denial.roles):
                return denial
        return None

    def _denials(self, subject: str) -> tuple[Denial, ...]:
        return self.denied.get(subject, ()) + self.denied.get("*", ())


def _covers(denial: Denial, namespace: str | None) -> bool:
    if namespace is None:
        return everywhere(denial.namespaces)
    return matches(denial.namespaces, namespace)


def _on(aliases: Iterable[str], alias: str) -> bool:
    """Whether a limit to aliases holds for what is acted on; what is no alias needs no limit at all."""
    return matches(aliases, alias) if alias else everywhere(aliases)

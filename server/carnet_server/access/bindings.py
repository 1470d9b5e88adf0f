"""Roles bound to subjects, and what is denied to them whatever is bound.

Responsible for the one rule of access: a subject has a role at a place if some binding gives it there and no
denial takes it away there. A place is a namespace, and for calls that act on an alias the alias too. A
binding that is limited to aliases gives its roles for acting on those, and for reading what is around them;
it lets nobody act on anything that is not such an alias.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

if TYPE_CHECKING:
    from collections.abc import Iterable

Role = Literal[
    "reader",
    "publisher",
    "evaluator",
    "requester",
    "approver",
    "operator",
    "auditor",
    "admin",
    "promoter",
]
SpiffeId = Annotated[
    str, StringConstraints(pattern=r"^spiffe://[a-z0-9._-]+(/[A-Za-z0-9._-]+)+$", max_length=2048)
]
NamePattern = Annotated[
    str,
    StringConstraints(pattern=r"^(\*|[a-z][a-z0-9]*([-_][a-z0-9]+)*([-_]?\*)?)$", max_length=63),
]
ANY: tuple[str, ...] = ("*",)


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class RoleBinding(_Strict):
    """Roles of a subject, in namespaces and for acting on aliases; ``risk-*`` stands for many names."""

    subject: SpiffeId
    roles: tuple[Role, ...] = Field(min_length=1)
    namespaces: tuple[NamePattern, ...] = Field(default=ANY, min_length=1)
    aliases: tuple[NamePattern, ...] = Field(default=ANY, min_length=1)


class Denial(_Strict):
    """Roles that a subject, or everybody (``*``), has not, whatever a binding gives."""

    subject: SpiffeId | Literal["*"]
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
    """

    allowed: dict[str, tuple[RoleBinding, ...]]
    denied: dict[str, tuple[Denial, ...]]

    @classmethod
    def of(cls, bindings: Iterable[RoleBinding], denials: Iterable[Denial]) -> Bindings:
        """Put bindings and denials together by subject."""
        allowed: dict[str, list[RoleBinding]] = {}
        for binding in bindings:
            allowed.setdefault(binding.subject, []).append(binding)
        denied: dict[str, list[Denial]] = {}
        for denial in denials:
            denied.setdefault(denial.subject, []).append(denial)
        return cls(
            {subject: tuple(each) for subject, each in allowed.items()},
            {subject: tuple(each) for subject, each in denied.items()},
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

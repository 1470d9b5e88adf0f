"""What ``carnet init`` makes, as plain data: environments, routes, people and services, and who may do what.

The result is a starting point that works; every file of it is meant to be edited by the platform team.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

TRUST_DOMAIN = "carnet.internal"
# What a signer of evidence is believed for: results, verification results, attribute reports, provenance.
EVIDENCE_TYPES = (
    "https://in-toto.io/attestation/test-result/v0.1",
    "https://in-toto.io/attestation/svr/v0.2",
    "https://in-toto.io/attestation/scai/v0.3",
    "https://slsa.dev/provenance/v1",
)
PROMOTION_SERVICE = f"spiffe://{TRUST_DOMAIN}/sync"
REPORTS = f"spiffe://{TRUST_DOMAIN}/sync/reports"
"""Who reads the logs for reports, and signs them: the promotion service by another certificate."""


@dataclass(frozen=True)
class Identity:
    """A client: a person, or a service that may act for one.

    Attributes:
        name: Its name, and its folder's below ``identities/``.
        kind: ``person`` or ``service``.
        person: The person that its acts are counted as; empty for nobody.
        roles: Its roles by environment; ``*`` for all.
        purposes: What its signatures are believed for.
        evidence: The roles in which it signs test results.
        signs: Whether it has a signing key.
    """

    name: str
    kind: str
    person: str = ""
    roles: dict[str, tuple[str, ...]] = field(default_factory=dict)
    purposes: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        """Its SPIFFE id."""
        return f"spiffe://{TRUST_DOMAIN}/{self.kind}/{self.name}"

    @property
    def signs(self) -> bool:
        """Whether it has a signing key."""
        return bool(self.purposes or self.evidence)


@dataclass(frozen=True)
class SignedDocuments:
    """Who signs the policy and the trust document of an environment.

    Attributes:
        signatures: How many different people must.
        signers: The people who may: identities with a signing key.
    """

    signatures: int
    signers: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """A federation to be made.

    Attributes:
        environments: Their names, in the order of the road.
        routes: Which promotions there can be: source, target, and how blobs travel.
        identities: The clients.
        documents: The environments whose documents must be signed, and by whom.
    """

    environments: tuple[str, ...]
    routes: tuple[tuple[str, str, str], ...]
    identities: tuple[Identity, ...]
    documents: Mapping[str, SignedDocuments] = field(default_factory=dict)


DEFAULT_PLAN = Plan(
    environments=("dev", "staging", "prod"),
    routes=(("dev", "staging", "pull"), ("staging", "prod", "pull")),
    identities=(
        Identity(
            "ci",
            "service",
            person="alice",
            roles={
                "dev": ("publisher", "requester", "operator"),
                "staging": ("requester",),
                "prod": ("requester",),
            },
            purposes=("bundle", "request", "cancellation"),
        ),
        Identity(
            "evaluator",
            "service",
            roles={"dev": ("evaluator",), "staging": ("evaluator",)},
            evidence=("evaluator",),
        ),
        Identity(
            "integration-tester",
            "service",
            roles={"staging": ("evaluator",), "prod": ("reader",)},
            evidence=("integration-tester",),
        ),
        Identity("monitor", "service", roles={"*": ("monitor",)}),
        Identity(
            "alice",
            "person",
            person="alice",
            roles={
                "dev": ("publisher", "requester"),
                "staging": ("requester",),
                "prod": ("requester", "approver"),
            },
            purposes=("bundle", "request", "approval", "cancellation"),
        ),
        Identity(
            "bob",
            "person",
            person="bob",
            roles={"*": ("approver", "breaker")},
            purposes=("approval", "break-glass"),
        ),
        Identity("carol", "person", person="carol", roles={"*": ("approver",)}, purposes=("approval",)),
        Identity(
            "dave",
            "person",
            person="dave",
            roles={"*": ("operator", "auditor", "breaker")},
            purposes=("cancellation", "break-glass"),
        ),
    ),
    documents={"prod": SignedDocuments(2, ("bob", "carol", "dave"))},
)

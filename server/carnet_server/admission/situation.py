"""What a decision is made on: the facts as they are held here at one moment, and what tells of a change.

Responsible for reading, in one go, everything that the policy looks at and everything that the deciding
transaction depends on. Invariant: the revision of a scope is read before the facts of that scope, so that a
change in between is noticed when the revisions are compared.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from carnet.bundle.manifest import parse_manifest
from carnet.references import ResourceName
from carnet_policies.facts import Facts, SignatureFact
from carnet_server.admission import break_glass_rules as glass
from carnet_server.admission.approval_rules import approval_as_of_today, approval_fact, approvals_of_dossier
from carnet_server.admission.carried import believed_of
from carnet_server.admission.dossier import standing_dossier
from carnet_server.admission.view import read_held
from carnet_server.aliases.queries import read_alias
from carnet_server.evidence.believed import peer_decisions, trusted_attestations
from carnet_server.log.revisions import (
    POLICY_SCOPE,
    TRUST_SCOPE,
    bundle_scope,
    model_scope,
    promotion_scope,
    read_revisions,
)
from carnet_server.models.arrival import find_registered
from carnet_server.models.domain import Arrival
from carnet_server.models.queries import read_version

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from carnet.signing.dossier import Dossier
    from carnet_policies.facts import Attestation, Party
    from carnet_server.admission.domain import HeldApproval
    from carnet_server.admission.verification import VerifiedInput
    from carnet_server.admission.view import Held
    from carnet_server.environment.state import EnvironmentState
    from carnet_server.evidence.assessment import Assessment
    from carnet_server.models.domain import Version


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything that one evaluation looks at.

    Attributes:
        revisions: The read set: the revision of every scope that was looked at.
        held: What is stored of the promotion.
        dossier: The dossier that stands; None for none.
        approvals: What was said about that dossier.
        breaking: What was signed about it to break the glass.
        present: The version, if it is here already.
        alias_revision: The revision of the alias that is to be moved; 0 where it is not set.
        alias_version: The version that it points at; 0 where it is not set.
        facts: What the policy sees.
        evidence: The digests of all evidence that the policy sees, sorted.
        broken_by: The statements that count for skipping what stands open; empty unless they are enough.
    """

    revisions: Mapping[str, int]
    held: Held
    dossier: Dossier | None
    approvals: tuple[HeldApproval, ...]
    breaking: tuple[HeldApproval, ...]
    present: Version | None
    alias_revision: int
    alias_version: int
    facts: Facts
    evidence: tuple[str, ...]
    broken_by: tuple[HeldApproval, ...] = ()

    @property
    def authors(self) -> tuple[Party, ...]:
        """Who published the version, and who asked for the promotion."""
        requester = self.facts.requester
        return (self.facts.publisher, requester) if requester else (self.facts.publisher,)

    def still_holds(self, connection: Connection) -> bool:
        """Whether nothing that was looked at has changed since; asked inside the deciding transaction."""
        return read_revisions(connection, list(self.revisions)) == dict(self.revisions)


def arrival_of(verified: VerifiedInput, signature: bytes) -> Arrival:
    """Return the version that a promotion brings, ready to be registered."""
    return Arrival.of(
        verified.manifest,
        signature,
        publisher=verified.publisher.subject,
        publisher_key_id=verified.publisher.key_id,
        source=verified.request.request.source,
        promotion=verified.request.request.promotion,
    )


def read_situation(
    connection: Connection,
    verified: VerifiedInput,
    arrival: Arrival,
    *,
    state: EnvironmentState,
    carried: Sequence[Assessment],
    now: datetime,
) -> Situation:
    """Read the facts about a promotion.

    Args:
        connection: Where to read.
        verified: What the promotion brings.
        arrival: The version that it brings.
        state: The environment.
        carried: Evidence that is looked at although it is not kept here; for dry runs.
        now: The environment's clock.

    Raises:
        AlreadyExistsError: The version's number is another bundle's here.
        DataLossError: Stored evidence is damaged.
    """
    wish, digest = verified.request.request, verified.request.bundle_digest
    namespace, model = wish.namespace, wish.model
    scopes = [
        POLICY_SCOPE,
        TRUST_SCOPE,
        bundle_scope(digest),
        promotion_scope(wish.promotion),
        model_scope(namespace, model),
    ]
    revisions = read_revisions(connection, scopes)
    baseline = _read_baseline(connection, state, namespace, model)
    if baseline is not None:
        revisions |= read_revisions(connection, [bundle_scope(baseline.bundle_digest)])
    held = read_held(connection, wish.promotion)
    dossier = standing_dossier(held.admission, policy_digest=state.policy.digest, now=now)
    standing_digest = held.admission.dossier_digest if held.admission and dossier else None
    approvals = tuple(
        approval_as_of_today(each, namespace, state.trust.current, alias=wish.alias)
        for each in approvals_of_dossier(held.approvals, standing_digest)
    )
    breaking = tuple(
        approval_as_of_today(
            each,
            namespace,
            state.trust.current,
            alias=wish.alias,
            purpose=glass.PURPOSE,
            role=glass.ROLE,
        )
        for each in held.approvals
        if each.meaning == glass.MEANING and each.dossier_digest == standing_digest
    )
    alias = read_alias(connection, ResourceName(namespace, model, alias=wish.alias)) if wish.alias else None
    facts = _read_facts(
        connection, verified, state=state, baseline=baseline, approvals=approvals, carried=carried, now=now
    )
    return Situation(
        revisions=revisions,
        held=held,
        dossier=dossier,
        approvals=approvals,
        breaking=breaking,
        present=find_registered(connection, arrival),
        alias_revision=alias.revision if alias else 0,
        alias_version=alias.version if alias else 0,
        facts=facts,
        evidence=tuple(
            sorted({each.digest for each in facts.evidence} | {each.digest for each in facts.decisions})
        ),
    )


def _read_baseline(
    connection: Connection, state: EnvironmentState, namespace: str, model: str
) -> Version | None:
    name = state.policy.document.baseline_alias
    if name is None:
        return None
    alias = read_alias(connection, ResourceName(namespace, model, alias=name))
    return read_version(connection, namespace, model, alias.version) if alias else None


def _read_facts(
    connection: Connection,
    verified: VerifiedInput,
    *,
    state: EnvironmentState,
    baseline: Version | None,
    approvals: Sequence[HeldApproval],
    carried: Sequence[Assessment],
    now: datetime,
) -> Facts:
    wish, digest = verified.request.request, verified.request.bundle_digest
    trust, own_key = state.trust.current, state.signing_key.verification_key

    def attested(bundle_digest: str) -> list[Attestation]:
        return trusted_attestations(connection, wish.namespace, bundle_digest, trust=trust, own_key=own_key)

    evidence = attested(digest)
    decisions = peer_decisions(connection, wish.namespace, digest, trust=trust, own_key=own_key)
    more_evidence, more_decisions = believed_of(carried, environment=state.name)
    known = {each.digest for each in evidence} | {each.digest for each in decisions}
    publisher = verified.publisher
    return Facts(
        source=wish.source,
        target=state.name,
        namespace=wish.namespace,
        alias=wish.alias,
        manifest=verified.manifest.to_json(),
        signature=SignatureFact(publisher.key_id, publisher.subject, publisher.person),
        publisher=publisher.party,
        requester=verified.request.requester.party,
        evidence=tuple(
            replace(each, signer_person=trust.person_of(each.signer_subject))
            for each in (*evidence, *(each for each in more_evidence if each.digest not in known))
        ),
        decisions=(*decisions, *(each for each in more_decisions if each.digest not in known)),
        approvals=tuple(approval_fact(each) for each in approvals),
        baseline_manifest=parse_manifest(baseline.manifest).to_json() if baseline else None,
        baseline_evidence=tuple(attested(baseline.bundle_digest)) if baseline else (),
        now=now,
    )

"""What a decision is made on: the facts as they are held here at one moment, and what tells of a change.

Responsible for reading, in one go, everything that the policy looks at and everything that the deciding
transaction depends on. Invariant: the revision of a scope is read before the facts of that scope, so that a
change in between is noticed when the revisions are compared.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from carnet.references import ResourceName
from carnet_policies.facts import SignatureFact
from carnet_server.admission import break_glass_rules as glass
from carnet_server.admission.approval_rules import approval_as_of_today, approval_fact, approvals_of_dossier
from carnet_server.admission.carried import believed_of
from carnet_server.admission.dossier import standing_dossier
from carnet_server.admission.overdue_reviews import read_overdue_review
from carnet_server.admission.view import read_held
from carnet_server.aliases.queries import read_alias
from carnet_server.log.revisions import (
    POLICY_SCOPE,
    TRUST_SCOPE,
    bundle_scope,
    model_scope,
    promotion_scope,
    read_revisions,
)
from carnet_server.models.arrival import find_registered
from carnet_server.models.domain import Arrival, require_files
from carnet_server.models.facts import Candidate, FactReader

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from carnet.signing.dossier import Dossier
    from carnet_policies.facts import Facts, Party
    from carnet_server.access.trust import Trust
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
        alias_revision: The revision of the alias that is to be moved; 0 where it is not set, or none is.
        alias_version: The version that it points at; 0 where it is not set, or none is to be moved.
        facts: What the policy sees.
        evidence: The digests of all evidence that the policy sees, sorted.
        overdue_review: A promotion whose review is overdue, where the glass might be broken; empty for none.
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
    overdue_review: str = ""
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
        PurgedError: It was here, and its files were purged.
        DataLossError: Stored evidence is damaged.
    """
    wish, digest = verified.request.request, verified.request.bundle_digest
    namespace, model = wish.namespace, wish.model
    scopes = [
        POLICY_SCOPE,
        TRUST_SCOPE,
        bundle_scope(digest),
        promotion_scope(wish.promotion),
    ]
    baseline_alias = state.policy.document.baseline_alias
    if baseline_alias is not None or not wish.by_rollout:
        scopes.append(model_scope(namespace, model))
    revisions = read_revisions(connection, scopes)
    present = find_registered(connection, arrival)
    if present is not None:
        require_files(present)
    trust = state.trust.current
    reader = FactReader(connection, trust, state.signing_key.verification_key)
    baseline = reader.baseline(namespace, model, baseline_alias)
    if baseline is not None:
        revisions |= read_revisions(connection, [bundle_scope(baseline.bundle_digest)])
    held = read_held(connection, wish.promotion)
    dossier = standing_dossier(held.admission, policy_digest=state.policy.digest, now=now)
    words = words_about(
        held.approvals,
        held.admission.dossier_digest if held.admission and dossier else None,
        namespace=namespace,
        alias=wish.alias,
        trust=trust,
    )
    moved = "" if wish.by_rollout else wish.alias
    alias = read_alias(connection, ResourceName(namespace, model, alias=moved)) if moved else None
    facts = reader.facts(
        _candidate_of(verified),
        baseline=baseline,
        approvals=[approval_fact(each) for each in words.approvals],
        now=now,
    )
    facts = _with_carried(facts, carried, reader)
    terms = state.policy.document.break_glass
    overdue = None
    if terms is not None and (wish.emergency or words.breaking):
        overdue = read_overdue_review(connection, terms.review_within, now=now)
    return Situation(
        revisions=revisions,
        held=held,
        dossier=dossier,
        approvals=words.approvals,
        breaking=words.breaking,
        present=present,
        alias_revision=alias.revision if alias else 0,
        alias_version=alias.version if alias else 0,
        facts=facts,
        evidence=tuple(
            sorted({each.digest for each in facts.evidence} | {each.digest for each in facts.decisions})
        ),
        overdue_review=overdue.promotion if overdue else "",
    )


def _candidate_of(verified: VerifiedInput) -> Candidate:
    """Return what a promotion brings as policies are shown it."""
    wish, publisher = verified.request.request, verified.publisher
    return Candidate(
        manifest=verified.manifest,
        bundle_digest=verified.request.bundle_digest,
        namespace=wish.namespace,
        signature=SignatureFact(publisher.key_id, publisher.subject, publisher.person),
        publisher=publisher.party,
        requester=verified.request.requester.party,
        source=wish.source,
        alias=wish.alias,
    )


@dataclass(frozen=True, slots=True)
class Words:
    """What people signed about one dossier: approvals and their like, and statements to break the glass."""

    approvals: tuple[HeldApproval, ...]
    breaking: tuple[HeldApproval, ...]


def words_about(
    said: Iterable[HeldApproval],
    dossier_digest: str | None,
    *,
    namespace: str,
    alias: str,
    trust: Trust,
) -> Words:
    """Return what counts of the words about a dossier, with the persons as they count today.

    Args:
        said: Everything that was signed about the promotion.
        dossier_digest: The dossier; None where none stands.
        namespace: The promotion's namespace.
        alias: The alias that it is to move; empty for none.
        trust: The trust document.
    """
    words = tuple(said)
    return Words(
        approvals=tuple(
            approval_as_of_today(each, namespace, trust, alias=alias)
            for each in approvals_of_dossier(words, dossier_digest)
        ),
        breaking=tuple(
            approval_as_of_today(each, namespace, trust, alias=alias, purpose=glass.PURPOSE, role=glass.ROLE)
            for each in words
            if each.meaning == glass.MEANING and each.dossier_digest == dossier_digest
        ),
    )


def _with_carried(facts: Facts, carried: Sequence[Assessment], reader: FactReader) -> Facts:
    """Return facts with evidence that is looked at although it is not kept here."""
    if not carried:
        return facts
    evidence, decisions = believed_of(carried, environment=facts.target)
    known = {each.digest for each in facts.evidence} | {each.digest for each in facts.decisions}
    return replace(
        facts,
        evidence=(
            *facts.evidence,
            *(reader.with_person(each) for each in evidence if each.digest not in known),
        ),
        decisions=(*facts.decisions, *(each for each in decisions if each.digest not in known)),
    )

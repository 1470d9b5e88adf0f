"""The facts that a policy is evaluated on, read in one place for publications, promotions and replays.

Responsible for what this environment holds about a candidate and about the version that it is compared
with: as it is now, or as it was before an entry of the log. Invariant: evidence is believed under the trust
document that is handed in, and what came with that entry or after it is not seen. Decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from carnet.bundle.manifest import parse_manifest
from carnet.references import ResourceName
from carnet_policies.facts import Attestation, Facts, PeerDecision
from carnet_server.aliases.queries import read_alias, read_last_move_before
from carnet_server.evidence.believed import peer_decisions, trusted_attestations
from carnet_server.evidence.queries import read_all_evidence
from carnet_server.models.queries import read_version

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sqlalchemy import Connection

    from carnet.bundle.manifest import Manifest
    from carnet.signing.keys import VerificationKey
    from carnet_policies.facts import ApprovalFact, Party, SignatureFact
    from carnet_server.access.trust import Trust
    from carnet_server.models.domain import Version

_Believed = TypeVar("_Believed", Attestation, PeerDecision)


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is decided on, and whose it is; all of it was verified.

    Attributes:
        manifest: Its manifest.
        bundle_digest: The manifest's digest.
        namespace: The namespace here.
        signature: The bundle's signature; None where none is believed.
        publisher: Who published it.
        requester: Who asked for its promotion; None for a publication.
        source: The environment that it comes from; empty for a publication.
        alias: The alias that is to be moved; empty for none.
    """

    manifest: Manifest
    bundle_digest: str
    namespace: str
    signature: SignatureFact | None
    publisher: Party
    requester: Party | None = None
    source: str = ""
    alias: str = ""


@dataclass(frozen=True, slots=True)
class FactReader:
    """Reads facts, as of one moment.

    Attributes:
        connection: Where to read.
        trust: The trust document under which evidence is believed.
        own_key: The key of this environment's own decisions.
        before: The entry before which something must have been here to be seen; None for now.
    """

    connection: Connection
    trust: Trust
    own_key: VerificationKey
    before: int | None = None

    def baseline(self, namespace: str, model: str, alias: str | None) -> Version | None:
        """Read the version behind a policy's baseline alias.

        Args:
            namespace: The namespace.
            model: The model.
            alias: The alias; None where the policy compares with nothing.
        """
        if alias is None:
            return None
        name = ResourceName(namespace, model, alias=alias)
        if self.before is None:
            pointer = read_alias(self.connection, name)
            number = pointer.version if pointer else 0
        else:
            move = read_last_move_before(self.connection, name, self.before)
            number = move.new_version if move else 0
        return read_version(self.connection, namespace, model, number) if number else None

    def facts(
        self,
        candidate: Candidate,
        *,
        baseline: Version | None,
        approvals: Iterable[ApprovalFact] = (),
        now: datetime,
    ) -> Facts:
        """Read what a policy sees of a candidate.

        Args:
            candidate: The candidate.
            baseline: What ``baseline`` read.
            approvals: The statements of people that are about it.
            now: The time that the policy is to see.

        Raises:
            DataLossError: Stored evidence is damaged.
        """
        namespace, digest = candidate.namespace, candidate.bundle_digest
        return Facts(
            source=candidate.source,
            target=self.trust.environment,
            namespace=namespace,
            alias=candidate.alias,
            manifest=candidate.manifest.to_json(),
            signature=candidate.signature,
            publisher=candidate.publisher,
            requester=candidate.requester,
            evidence=self._attested(namespace, digest),
            decisions=self._seen(
                namespace,
                digest,
                peer_decisions(self.connection, namespace, digest, trust=self.trust, own_key=self.own_key),
            ),
            approvals=tuple(approvals),
            baseline_manifest=parse_manifest(baseline.manifest).to_json() if baseline else None,
            baseline_evidence=self._attested(namespace, baseline.bundle_digest) if baseline else (),
            now=now,
        )

    def with_person(self, attestation: Attestation) -> Attestation:
        """Return an attestation with the person behind its signer, where only the subject is known yet."""
        person = attestation.signer_person or self.trust.person_of(attestation.signer_subject)
        return replace(attestation, signer_person=person)

    def _attested(self, namespace: str, bundle_digest: str) -> tuple[Attestation, ...]:
        found = trusted_attestations(
            self.connection, namespace, bundle_digest, trust=self.trust, own_key=self.own_key
        )
        return tuple(self.with_person(each) for each in self._seen(namespace, bundle_digest, found))

    def _seen(self, namespace: str, bundle_digest: str, found: list[_Believed]) -> tuple[_Believed, ...]:
        if self.before is None:
            return tuple(found)
        there = {
            each.digest
            for each in read_all_evidence(self.connection, namespace, bundle_digest)
            if each.log_index < self.before
        }
        return tuple(each for each in found if each.digest in there)

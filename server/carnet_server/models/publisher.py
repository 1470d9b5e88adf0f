"""Publishing: an admission without a source, under the home environment's own policy.

Responsible for the order of things: what the publisher sends is verified, the policy is evaluated and the
decision is signed outside of any transaction; inside of one, the revisions of what the decision was based on
are compared, and then the version, the decision and their entries commit together. A refusal is a decision
too, and an entry.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from carnet.errors import ConflictError
from carnet.references import ResourceName
from carnet.translog.entry import EntryType
from carnet_policies.evaluation import RuleStatus
from carnet_server.evidence.adding import ENVELOPE_MEDIA_TYPE, insert_own_decision
from carnet_server.log.transaction import EntryDraft
from carnet_server.models.arrival import find_registered, register_version
from carnet_server.models.basis import read_basis
from carnet_server.models.decision import awaiting, refusal, sign_decision
from carnet_server.models.domain import Publication, Version, require_files, version_subject
from carnet_server.models.publication import verify_publication

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from carnet.signing.dsse import Envelope
    from carnet_policies.engine import PolicyEngine
    from carnet_policies.evaluation import Evaluation
    from carnet_server.access.identity import Caller
    from carnet_server.access.trust import Trust
    from carnet_server.database.engine import Database
    from carnet_server.environment.state import EnvironmentState
    from carnet_server.log.service import LogService
    from carnet_server.log.transaction import Transaction
    from carnet_server.log.writer import Writer
    from carnet_server.models.basis import Basis
    from carnet_server.models.domain import Arrival
    from carnet_server.models.publication import VerifiedPublication

MAX_ATTEMPTS = 5


class _Moved(Exception):  # noqa: N818  a signal that never leaves this module
    """The facts changed between the evaluation and the commit."""


@dataclass(frozen=True, slots=True)
class _Decided:
    """What the policy said about a version, on which basis, and signed."""

    arrival: Arrival
    basis: Basis
    evaluation: Evaluation
    envelope: Envelope
    document: bytes

    def log(self, tx: Transaction, caller: Caller) -> int:
        """Store the decision, with its entry."""
        manifest = self.arrival.manifest
        names = (manifest.namespace, manifest.model, manifest.version)
        return tx.append(
            EntryDraft(
                EntryType.DECISION_MADE,
                caller.actor,
                version_subject(*names, self.arrival.bundle_digest),
                new=self.evaluation.outcome.value,
                envelope_digest=tx.store_document(self.document, ENVELOPE_MEDIA_TYPE),
            )
        )


class Publisher:
    """Publishes versions.

    Args:
        database: The environment's database.
        writer: Its writer.
        log: Its log.
        state: Its keys, policy and trust document.
        engine: Evaluates the policy.
    """

    def __init__(
        self,
        database: Database,
        writer: Writer,
        log: LogService,
        state: EnvironmentState,
        engine: PolicyEngine,
    ) -> None:
        self._database = database
        self._writer = writer
        self._log = log
        self._state = state
        self._engine = engine

    async def publish(
        self, caller: Caller, parent: ResourceName, data: bytes, signature: bytes, *, validate_only: bool
    ) -> Publication:
        """Publish a version; see ``ModelsService.publish``."""
        environment, trust = self._state.name, self._state.trust.current
        verified = await asyncio.to_thread(
            verify_publication,
            parent,
            data,
            signature,
            environment=environment,
            trust=trust,
            now=datetime.now(UTC),
        )
        arrival = verified.arrival
        for _ in range(MAX_ATTEMPTS):
            found = await self._database.read(lambda connection: self._read(connection, verified, trust))
            if isinstance(found, Version):
                return await self._published(found, is_new=False, validate_only=validate_only)
            evaluation = await asyncio.to_thread(self._engine.evaluate, self._state.policy, found.facts)
            if evaluation.outcome is RuleStatus.AWAITING:
                raise awaiting(arrival, evaluation, environment=environment)
            if evaluation.outcome is RuleStatus.FAILED:
                if not validate_only:
                    refused = await asyncio.to_thread(self._sign, arrival, found, evaluation)
                    await self._writer.commit(partial(refused.log, caller=caller))
                raise refusal(arrival, evaluation, environment=environment)
            if validate_only:
                version = arrival.as_version(created_at=found.facts.now, log_index=0)
                return Publication(version, already_published=False, receipt=None)
            decided = await asyncio.to_thread(self._sign, arrival, found, evaluation)
            try:
                version, is_new = await self._writer.commit(
                    partial(self._register, caller=caller, decided=decided)
                )
            except _Moved:
                continue
            return await self._published(version, is_new=is_new, validate_only=False)
        raise ConflictError(
            f"what {environment}'s decision about {arrival.manifest.subject_name} rests on changed "
            f"{MAX_ATTEMPTS} times meanwhile: try again"
        )

    async def _published(self, version: Version, *, is_new: bool, validate_only: bool) -> Publication:
        receipt = None if validate_only else await self._log.receipt_of_change(version.log_index)
        return Publication(version, already_published=not is_new, receipt=receipt)

    def _read(self, connection: Connection, verified: VerifiedPublication, trust: Trust) -> Version | Basis:
        """Read the version if it is here already, or else what the decision is to be based on."""
        held = find_registered(connection, verified.arrival)
        return (
            require_files(held) if held else read_basis(connection, verified, state=self._state, trust=trust)
        )

    def _sign(self, arrival: Arrival, basis: Basis, evaluation: Evaluation) -> _Decided:
        envelope = sign_decision(
            arrival,
            evaluation,
            environment=self._state.name,
            key=self._state.signing_key,
            evidence=[
                *(item.digest for item in basis.facts.evidence),
                *(item.digest for item in basis.facts.decisions),
            ],
            now=basis.facts.now,
        )
        return _Decided(arrival, basis, evaluation, envelope, envelope.to_bytes())

    def _register(self, tx: Transaction, caller: Caller, decided: _Decided) -> tuple[Version, bool]:
        """Compare and write; number and content are facts of the model, whose revision is compared."""
        arrival = decided.arrival
        held = find_registered(tx.connection, arrival)
        if held is not None:
            return require_files(held), False
        if decided.basis.moved(tx.connection) or not decided.evaluation.holds_at(tx.now):
            raise _Moved
        index = decided.log(tx, caller)
        version, is_new = register_version(
            tx, arrival, actor=caller.actor, decision_digest=decided.envelope.digest
        )
        insert_own_decision(
            tx,
            ResourceName(version.namespace, version.model, version.version),
            version.bundle_digest,
            decided.envelope,
            result=decided.evaluation.outcome.value,
            own_key=self._state.signing_key.verification_key,
            log_index=index,
        )
        return version, is_new

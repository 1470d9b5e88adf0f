"""Beginning a rollout: everything that must hold, and the one transaction that writes it.

What is checked is checked once to answer quickly, and once more inside the transaction, behind the log's
locked head: so an alias has one rollout at a time that has not ended, whoever asks at the same moment.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from carnet.errors import AlreadyExistsError, NotFoundError, PreconditionFailedError
from carnet.rollouts import RolloutKind, RolloutState
from carnet.translog.entry import EntryType
from carnet_policies.guardrails import guardrails_for
from carnet_policies.protection import needs_decision
from carnet_policies.schema_rollouts import RolloutTerms
from carnet_server.aliases.moves import require_live_version
from carnet_server.aliases.queries import read_alias
from carnet_server.log.transaction import EntryDraft
from carnet_server.models.notes import NOTE_MEDIA_TYPE
from carnet_server.models.queries import read_version
from carnet_server.rollouts import queries
from carnet_server.rollouts.changes import point_alias
from carnet_server.rollouts.domain import Rollout
from carnet_server.rollouts.permission import needs_promotion, permission_for
from carnet_server.rollouts.plan import (
    PLAN_MEDIA_TYPE,
    Plan,
    check_plan,
    plan_document,
)

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from carnet.references import ResourceName
    from carnet.translog.entry import Actor
    from carnet_server.aliases.domain import Alias
    from carnet_server.environment.state import EnvironmentState
    from carnet_server.log.transaction import Transaction
    from carnet_server.models.domain import Version
    from carnet_server.rollouts.permission import Permit
    from carnet_server.rollouts.start_request import StartRequest


class Start:
    """One beginning: checked where it is read, and written where it is checked again.

    Args:
        state: The environment's name and policy.
        actor: Who begins it.
        request: What is asked for.
    """

    def __init__(self, state: EnvironmentState, actor: Actor, request: StartRequest) -> None:
        self._state = state
        self._actor = actor
        self._request = request

    def prepare(self, connection: Connection, now: datetime) -> tuple[Rollout, bool]:
        """Check everything, and return the rollout as it would begin.

        Args:
            connection: Where to read.
            now: The environment's clock.

        Returns:
            The rollout, and whether the same request began it before.

        Raises:
            InvalidInputError: The plan cannot be carried out under the policy's terms.
            NotFoundError: The alias is not set, or there is no such version.
            PreconditionFailedError: The alias has a rollout already, the challenger is revoked or the
                champion itself, or the challenger's alias is in use or protected.
            GateRefusedError: The challenger needs a decision for its share, and there is none.
            AlreadyExistsError: The request's id was used for another request.
        """
        request, document = self._request, self._state.policy.document
        repeated = find_repeated(connection, request)
        if repeated is not None:
            return repeated, True
        champion, challenger = self._versions(connection)
        self._require_free(connection)
        plan = self._plan(connection, champion, challenger)
        protected = needs_decision(document, alias=request.alias.alias)
        if protected and not plan.guardrails:
            raise PreconditionFailedError(
                f"alias {request.alias.alias!r} is protected in {self._state.name}, and its policy has no "
                f"guardrail for a {request.kind} of it: add one under rollouts.guardrails",
                metadata={"subject": str(request.alias)},
            )
        permit = self._permit(connection, challenger, now)
        sets_alias = self._sets_alias(connection, challenger)
        number = queries.next_number(connection, request.alias)
        facts = self._facts(number, champion, challenger, permit)
        rollout = self._rollout(champion, challenger, plan_document(plan, facts), now)
        return replace(rollout, rollout=number, sets_alias=sets_alias), False

    def write(self, tx: Transaction) -> Rollout:
        """Begin it, with its entry and the move of the challenger's alias; see ``prepare`` for the errors."""
        rollout, repeated = self.prepare(tx.connection, tx.now)
        if repeated:
            return rollout
        note = self._request.note
        if note is not None:
            tx.store_document(note.data, NOTE_MEDIA_TYPE)
        document = tx.store_document(rollout.plan_document, PLAN_MEDIA_TYPE)
        index = tx.append(
            EntryDraft(
                EntryType.ROLLOUT_STARTED,
                self._actor,
                rollout.subject,
                old="",
                new=rollout.standing,
                envelope_digest=document,
                request_digest=self._request.digest,
            )
        )
        begun = replace(rollout, log_index=index, start_log_index=index)
        queries.insert_rollout(tx.connection, begun)
        if begun.sets_alias:
            challenger = begun.challenger_version
            point_alias(tx, self._actor, begun, begun.challenger_alias, challenger, document=document)
        return begun

    def _versions(self, connection: Connection) -> tuple[Alias, Version]:
        """Read the alias, and the version that is to be tried."""
        request = self._request
        champion = _require_alias(connection, request.alias, field="parent")
        field, number = "challenger_version", request.challenger_version
        if not number:
            field = "challenger_alias"
            number = _require_alias(connection, request.challenger_alias, field=field).version
        try:
            require_live_version(connection, request.alias.namespace, request.alias.model, number)
        except (NotFoundError, PreconditionFailedError) as error:
            error.metadata["field"] = field
            raise
        if number == champion.version:
            raise PreconditionFailedError(
                f"{field}: version {number} is the champion: {request.alias.alias!r} points at it already",
                metadata={"field": field, "subject": str(request.alias)},
            )
        challenger = read_version(connection, request.alias.namespace, request.alias.model, number)
        assert challenger is not None, "it was read just now"
        return champion, challenger

    def _require_free(self, connection: Connection) -> None:
        request = self._request
        aliases = (request.alias.alias, request.challenger_alias.alias)
        for other in queries.read_active_rollouts_of(
            connection, request.alias.namespace, request.alias.model
        ):
            if other.alias == request.alias.alias:
                problem = f"alias {other.alias!r} has a rollout that has not ended: stop {other.name} first"
                raise PreconditionFailedError(problem, metadata={"subject": str(other.name)})
            if {other.alias, other.challenger_alias} & set(aliases):
                raise PreconditionFailedError(
                    f"challenger_alias: {aliases[0]!r} or {aliases[1]!r} is used by {other.name}, which has "
                    "not ended: name another, or stop that",
                    metadata={"field": "challenger_alias", "subject": str(other.name)},
                )

    def _plan(self, connection: Connection, champion: Alias, challenger: Version) -> Plan:
        request, document = self._request, self._state.policy.document
        terms = document.rollouts or RolloutTerms()
        before = read_version(connection, champion.namespace, champion.model, champion.version)
        guardrails = guardrails_for(
            document,
            kind="shadow" if request.kind is RolloutKind.SHADOW else "split",
            namespace=request.alias.namespace,
            alias=request.alias.alias,
            labels=_labels_of(challenger),
            champion_labels=_labels_of(before) if before else None,
        )
        plan = Plan(
            steps=request.steps,
            on_success=request.on_success,
            bake_duration=request.bake_duration,
            reporting_interval=terms.reporting_interval,
            max_silence=terms.max_silence,
            max_duration=terms.max_duration,
            guardrails=guardrails,
        )
        return check_plan(request.kind, plan)

    def _permit(self, connection: Connection, challenger: Version, now: datetime) -> Permit | None:
        """Return what lets the challenger have its share, where something must; a shadow's is no traffic."""
        request = self._request
        if request.kind is RolloutKind.SHADOW:
            return None
        share = max(step.share for step in request.steps)
        permission = permission_for(
            connection,
            self._state.policy.document,
            request.alias,
            challenger.bundle_digest,
            now=now,
            share=share,
        )
        if not permission.allowed:
            raise needs_promotion(self._state.name, request.alias, challenger.version, share=share)
        return permission.permit

    def _sets_alias(self, connection: Connection, challenger: Version) -> bool:
        """Whether the challenger's alias must be moved to it first."""
        name = self._request.challenger_alias
        held = read_alias(connection, name)
        if held is not None and held.version == challenger.version:
            return False
        if needs_decision(self._state.policy.document, alias=name.alias):
            raise PreconditionFailedError(
                f"challenger_alias: {name.alias!r} is protected in {self._state.name} and does not point at "
                f"version {challenger.version}: promote that version to it first, or name another alias",
                metadata={"field": "challenger_alias", "subject": str(name)},
            )
        return True

    def _facts(
        self, number: int, champion: Alias, challenger: Version, permit: Permit | None
    ) -> dict[str, Any]:
        """Return what the plan's document says beside the plan."""
        request = self._request
        facts: dict[str, Any] = {
            "environment": self._state.name,
            "rollout": str(replace(request.alias, rollout=number)),
            "kind": str(request.kind),
            "champion": {"version": champion.version, "bundle_digest": champion.bundle_digest},
            "challenger": {"version": challenger.version, "bundle_digest": challenger.bundle_digest},
            "challenger_alias": request.challenger_alias.alias,
            "policy_digest": self._state.policy.digest,
        }
        if permit is not None and permit.promotion:
            facts["permit"] = {"promotion": permit.promotion, "decision_digest": permit.decision_digest}
        if request.note is not None:
            facts["note_digest"] = request.note.digest
        return facts

    def _rollout(self, champion: Alias, challenger: Version, document: bytes, now: datetime) -> Rollout:
        """Return the rollout as it begins, but for its number and for whose its alias is."""
        request = self._request
        share, count = request.steps[0].share, len(request.steps)
        rollout = Rollout(
            namespace=request.alias.namespace,
            model=request.alias.model,
            alias=request.alias.alias,
            rollout=1,
            kind=request.kind,
            state=RolloutState.RUNNING,
            champion_version=champion.version,
            champion_digest=champion.bundle_digest,
            challenger_version=challenger.version,
            challenger_digest=challenger.bundle_digest,
            challenger_alias=request.challenger_alias.alias,
            sets_alias=False,
            plan_document=document,
            share=share,
            phase_times=(now,),
            actor=self._actor.subject,
            note_digest=request.note.digest if request.note else None,
            message=f"step 1 of {count} began: {share:.6g}",
            reason_code="",
            policy_digest=self._state.policy.digest,
            created_at=now,
            ended_at=None,
            revision=1,
            log_index=0,
            start_log_index=0,
            request_id=request.request_id or None,
            request_digest=request.digest,
        )
        if rollout.plan.guardrails:
            return rollout
        only = "the policy has no guardrail for it: only time and silence are watched"
        return replace(rollout, message=f"{rollout.message}; {only}")


def _labels_of(version: Version) -> dict[str, str]:
    return json.loads(version.manifest).get("labels") or {}


def find_repeated(connection: Connection, request: StartRequest) -> Rollout | None:
    """Read the rollout that the same request began before; None where this is the first time.

    Raises:
        AlreadyExistsError: The id was used for something else.
    """
    if not request.request_id:
        return None
    begun = queries.read_rollout_by_request(connection, request.alias, request.request_id)
    if begun is not None and begun.request_digest != request.digest:
        raise AlreadyExistsError(
            f"request_id {request.request_id!r} was used for another request about this alias, which began "
            f"{begun.name}: give each request its own id",
            metadata={"field": "request_id", "subject": str(begun.name)},
        )
    return begun


def _require_alias(connection: Connection, name: ResourceName, *, field: str) -> Alias:
    alias = read_alias(connection, name)
    if alias is None:
        raise NotFoundError(
            f"{field}: alias {name.alias!r} of {name.namespace}/{name.model} is not set here",
            metadata={"field": field, "subject": str(name)},
        )
    return alias

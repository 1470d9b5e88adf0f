"""From the wire's messages to the client's values.

Responsible for reading names, times and enumerations; everything that comes out is what a peer states, and
nothing more. Verification is in ``carnet.client.verification``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from carnet.client.results import (
    Alias,
    AliasMove,
    Hold,
    Hygiene,
    HygieneFinding,
    KeyUse,
    Model,
    NamespaceStorage,
    PromotionEvent,
    PromotionState,
    RuleResult,
    ServedRevision,
    Serving,
    Version,
)
from carnet.errors import CarnetError, InternalError, InvalidInputError
from carnet.references import Reference, ResourceName, parse_resource_name
from carnet.registry.v1 import (
    admission_pb2,
    aliases_pb2,
    identity_pb2,
    models_pb2,
    policy_pb2,
    retention_pb2,
)
from carnet.stages import Stage
from carnet.sync.v1 import promotions_pb2
from carnet.translog.receipt import Receipt

if TYPE_CHECKING:
    from collections.abc import Iterable

    from google.protobuf.timestamp_pb2 import Timestamp

    from carnet.registry.v1 import log_pb2

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def time_of(message: Timestamp) -> datetime | None:
    """Return a moment, aware and in UTC; None for one that is not set or out of range."""
    if not message.seconds and not message.nanos:
        return None
    try:
        return _EPOCH + timedelta(seconds=message.seconds, microseconds=message.nanos // 1000)
    except OverflowError:
        return None


def name_in_answer(value: str, *, want: str, peer: str) -> ResourceName:
    """Parse a resource name that a peer sent.

    Raises:
        InternalError: The peer broke the contract.
    """
    try:
        return parse_resource_name(value, field="name", want=want)
    except CarnetError as error:
        raise InternalError(f"{peer} answered with a name that is none: {error.message}") from error


def receipt_of(message: log_pb2.Receipt) -> Receipt:
    """Return a receipt, unverified."""
    return Receipt(
        entry_bytes=message.entry,
        index=message.log_index,
        tree_size=message.tree_size,
        proof=tuple(message.proof),
        checkpoint=message.checkpoint,
    )


def alias_of(message: aliases_pb2.Alias, environment: str) -> Alias:
    """Return an alias as its registry states it."""
    name = name_in_answer(message.name, want="alias", peer=environment)
    return Alias(
        reference=Reference(environment, name.namespace, name.model, alias=name.alias),
        version=message.version,
        bundle_digest=message.bundle_digest,
        revision=message.revision,
        protected=message.protected,
        updated_at=time_of(message.update_time),
        log_index=message.log_index,
        serving=serving_of(message.serving) if message.HasField("serving") else None,
        last_drill_at=time_of(message.last_drill_time),
        marked_version=message.marked_version,
        marked_at=time_of(message.mark_time),
        marked_by=message.marked_by,
        mark_note=message.mark_note,
    )


def serving_of(message: aliases_pb2.Serving) -> Serving:
    """Return what serving hosts say that they run."""
    return Serving(
        revisions=tuple(
            ServedRevision(
                revision=each.revision,
                bundle_digest=each.bundle_digest,
                instance_count=each.instance_count,
            )
            for each in message.revisions
        ),
        instance_count=message.instance_count,
        current_count=message.current_count,
        lagging=tuple(message.lagging),
    )


def alias_move_of(message: aliases_pb2.AliasMove) -> AliasMove:
    """Return a move of an alias."""
    return AliasMove(
        revision=message.revision,
        kind=word_of(aliases_pb2.AliasMoveKind.Name, message.kind, "ALIAS_MOVE_KIND_"),
        old_version=message.old_version,
        new_version=message.new_version,
        actor=message.actor,
        reason_code=message.reason_code,
        note=message.note,
        promotion=message.promotion,
        moved_at=time_of(message.create_time),
        log_index=message.log_index,
        accepted_untested=message.accepted_untested,
    )


def model_of(message: models_pb2.Model, environment: str) -> Model:
    """Return a model as its registry states it."""
    name = name_in_answer(message.name, want="model", peer=environment)
    return Model(
        reference=Reference(environment, name.namespace, name.model),
        home=message.home,
        owner=message.owner,
        latest_version=message.latest_version,
        version_count=message.version_count,
        aliases=tuple(alias_of(each, environment) for each in message.aliases),
        created_at=time_of(message.create_time),
    )


def version_of(message: models_pb2.Version, environment: str) -> Version:
    """Return a version as its registry states it."""
    name = name_in_answer(message.name, want="version", peer=environment)
    return Version(
        reference=Reference(environment, name.namespace, name.model, version=name.version),
        home=message.home,
        bundle_digest=message.bundle_digest,
        stage=word_of(models_pb2.Stage.Name, message.stage, "STAGE_"),
        size_bytes=message.size_bytes,
        file_count=message.file_count,
        publisher=message.publisher,
        source=message.source,
        promotion=message.promotion,
        created_at=time_of(message.create_time),
        log_index=message.log_index,
        description=message.description,
        semantic_version=message.semantic_version,
        staged_at=time_of(message.stage_time),
        stage_log_index=message.stage_log_index,
        purged_at=time_of(message.purge_time),
        purge_log_index=message.purge_log_index,
    )


def hold_of(message: retention_pb2.Hold, environment: str) -> Hold:
    """Return a hold as its registry states it."""
    name = name_in_answer(message.name, want="version or model", peer=environment)
    return Hold(
        hold=message.hold,
        reference=Reference(environment, name.namespace, name.model, version=name.version),
        reason=message.reason,
        actor=message.actor,
        created_at=time_of(message.create_time),
        expires_at=time_of(message.expire_time),
        released_at=time_of(message.release_time),
        releaser=message.releaser,
        log_index=message.log_index,
    )


def hygiene_of(message: retention_pb2.GetHygieneResponse) -> Hygiene:
    """Return what a registry says that looks neglected."""
    return Hygiene(
        findings=tuple(
            HygieneFinding(
                kind=word_of(retention_pb2.HygieneKind.Name, each.kind, "HYGIENE_KIND_"),
                subject=each.subject,
                message=each.message,
                remedy=each.remedy,
                related=tuple(each.related),
                size_bytes=each.size_bytes,
            )
            for each in message.findings
        ),
        storage=tuple(
            NamespaceStorage(
                namespace=each.namespace,
                size_bytes=each.size_bytes,
                blob_count=each.blob_count,
                model_count=each.model_count,
                version_count=each.version_count,
                quota_bytes=each.quota_bytes,
            )
            for each in message.storage
        ),
        truncated=message.truncated,
    )


def stage_number(stage: str, *, field: str) -> models_pb2.Stage.ValueType:
    """Return a stage as the wire has it; empty stands for none.

    Raises:
        InvalidInputError: There is no such stage.
    """
    if stage and stage not in set(Stage):
        raise InvalidInputError(
            f"{field}: {stage[:80]!r} is no stage; there are {', '.join(Stage)}", metadata={"field": field}
        )
    return models_pb2.Stage.Value(f"STAGE_{stage.upper() or 'UNSPECIFIED'}")


def key_use_of(message: identity_pb2.KeyUse, environment: str) -> KeyUse:
    """Return something that was signed with a key, as its registry states it."""
    name = name_in_answer(message.version, want="version", peer=environment)
    return KeyUse(
        kind=word_of(identity_pb2.KeyUseKind.Name, message.kind, "KEY_USE_KIND_"),
        reference=Reference(environment, name.namespace, name.model, version=name.version),
        bundle_digest=message.bundle_digest,
        key_id=message.key_id,
        subject=message.subject,
        promotion=message.promotion,
        created_at=time_of(message.create_time),
        log_index=message.log_index,
        since_compromise=message.since_compromise,
        live=message.live,
        aliases=tuple(message.aliases),
    )


def rules_of(messages: Iterable[policy_pb2.RuleResult]) -> tuple[RuleResult, ...]:
    """Return the rules' results, in the policy's order."""
    return tuple(
        RuleResult(
            rule=each.rule,
            status=word_of(policy_pb2.RuleStatus.Name, each.status, "RULE_STATUS_").upper(),
            message=each.message,
            remedy=each.remedy,
            values=dict(each.values),
            awaits_people=each.awaits_people,
            awaits_clock=each.awaits_clock,
            opens_at=time_of(each.opens_at),
        )
        for each in messages
    )


def admission_state_of(state: int) -> str:
    """Return where a promotion stands at its target: awaiting, ready, refused, admitted or cancelled."""
    return word_of(admission_pb2.AdmissionState.Name, state, "ADMISSION_STATE_")


def promotion_state_of(state: int, *, peer: str) -> PromotionState:
    """Return where a promotion stands.

    Raises:
        InternalError: The peer named a state that this client does not know.
    """
    word = word_of(promotions_pb2.PromotionState.Name, state, "PROMOTION_STATE_").upper()
    try:
        return PromotionState(word)
    except ValueError as error:
        raise InternalError(f"{peer} named the state {word!r}, which this client does not know") from error


def promotion_event_of(message: promotions_pb2.PromotionEvent, *, peer: str) -> PromotionEvent:
    """Return one step of a promotion."""
    return PromotionEvent(
        sequence=message.sequence,
        state=promotion_state_of(message.state, peer=peer),
        message=message.message,
        happened_at=time_of(message.create_time),
    )


def word_of(name_of: Any, value: int, prefix: str) -> str:
    """Return an enumeration's value as a word in lower case; ``unknown_7`` for one from a later contract."""
    try:
        name: str = name_of(value)
    except ValueError:
        return f"unknown_{value}"
    return name.removeprefix(prefix).lower()

"""Aliases and their moves as messages."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from carnet.registry.v1 import aliases_pb2
from carnet_server.aliases.domain import MoveKind
from carnet_server.aliases.stale_rules import StaleReason

if TYPE_CHECKING:
    from collections.abc import Collection

    from carnet_server.aliases.domain import Alias, AliasMove, RollbackCheck
    from carnet_server.aliases.marks import Mark, Marked
    from carnet_server.aliases.service import AliasState
    from carnet_server.aliases.serving import Serving
    from carnet_server.aliases.stale_rules import StaleAlias

_MOVES_REMEMBERED = 256
_KINDS = {
    MoveKind.SET: aliases_pb2.ALIAS_MOVE_KIND_SET,
    MoveKind.ADMITTED: aliases_pb2.ALIAS_MOVE_KIND_ADMITTED,
    MoveKind.ROLLED_BACK: aliases_pb2.ALIAS_MOVE_KIND_ROLLED_BACK,
    MoveKind.REMOVED: aliases_pb2.ALIAS_MOVE_KIND_REMOVED,
    MoveKind.ROLLOUT: aliases_pb2.ALIAS_MOVE_KIND_ROLLOUT,
    MoveKind.DRILLED: aliases_pb2.ALIAS_MOVE_KIND_DRILLED,
}

_STALE_REASONS = {
    StaleReason.UNMOVED: aliases_pb2.STALE_REASON_UNMOVED,
    StaleReason.UNRESOLVED: aliases_pb2.STALE_REASON_UNRESOLVED,
    StaleReason.REVOKED: aliases_pb2.STALE_REASON_REVOKED,
}


def alias_to_proto(alias: Alias, *, protected: Collection[str]) -> aliases_pb2.Alias:
    """Return an alias as the message that carries it.

    Args:
        alias: The alias.
        protected: The aliases that the policy protects.
    """
    message = aliases_pb2.Alias(
        name=alias.name,
        version=alias.version,
        bundle_digest=alias.bundle_digest,
        revision=alias.revision,
        protected=alias.alias in protected,
        log_index=alias.log_index,
    )
    if alias.updated_at is not None:
        message.update_time.FromDatetime(alias.updated_at)
    return message


@lru_cache(maxsize=_MOVES_REMEMBERED)
def watched_to_proto(alias: Alias, *, protected: bool) -> aliases_pb2.WatchAliasResponse:
    """Return what every watcher of an alias is told of a move: one message for all, never to be changed.

    Args:
        alias: The alias after the move.
        protected: Whether the policy protects it.
    """
    return aliases_pb2.WatchAliasResponse(
        alias=alias_to_proto(alias, protected=(alias.alias,) if protected else ())
    )


def move_to_proto(move: AliasMove) -> aliases_pb2.AliasMove:
    """Return a move as the message that carries it."""
    message = aliases_pb2.AliasMove(
        revision=move.revision,
        kind=_KINDS[move.kind],
        old_version=move.old_version,
        new_version=move.new_version,
        actor=move.actor,
        reason_code=move.reason_code,
        note=move.note,
        promotion=move.promotion,
        log_index=move.log_index,
        accepted_untested=move.accepted_untested,
    )
    message.create_time.FromDatetime(move.created_at)
    return message


def state_to_proto(state: AliasState, *, protected: Collection[str]) -> aliases_pb2.Alias:
    """Return an alias as pointer and as fact; the arguments are those of ``alias_to_proto``."""
    message = alias_to_proto(state.alias, protected=protected)
    if state.serving is not None:
        message.serving.CopyFrom(_serving_to_proto(state.serving))
    if state.drilled_at is not None:
        message.last_drill_time.FromDatetime(state.drilled_at)
    if state.mark is not None:
        _put_mark(message, state.mark)
    return message


def marked_to_proto(marked: Marked, *, protected: Collection[str]) -> aliases_pb2.Alias:
    """Return an alias with its mark; the arguments are those of ``alias_to_proto``."""
    message = alias_to_proto(marked.alias, protected=protected)
    if marked.mark.marked_version:
        _put_mark(message, marked.mark)
    return message


def check_to_proto(check: RollbackCheck) -> aliases_pb2.RollbackCheck:
    """Return what was checked before a rollback as the message that carries it."""
    message = aliases_pb2.RollbackCheck(
        blob_count=check.blob_count,
        hashed_count=check.hashed_count,
        smoke_test=check.smoke_test,
        passed_over=[
            aliases_pb2.PassedOver(version=version, reason=reason) for version, reason in check.passed_over
        ],
    )
    if check.oldest_at is not None:
        message.oldest_check_time.FromDatetime(check.oldest_at)
    return message


def stale_to_proto(stale: StaleAlias, *, protected: Collection[str]) -> aliases_pb2.StaleAlias:
    """Return a stale alias as the message that carries it; the arguments are those of ``alias_to_proto``."""
    message = aliases_pb2.StaleAlias(
        alias=alias_to_proto(stale.standing.alias, protected=protected),
        reasons=[_STALE_REASONS[reason] for reason in stale.reasons],
        resolve_count=stale.standing.resolve_count,
    )
    if stale.standing.resolved_at is not None:
        message.last_resolve_time.FromDatetime(stale.standing.resolved_at)
    return message


def _serving_to_proto(serving: Serving) -> aliases_pb2.Serving:
    return aliases_pb2.Serving(
        revisions=[
            aliases_pb2.ServedRevision(
                revision=each.revision, bundle_digest=each.bundle_digest, instance_count=each.instance_count
            )
            for each in serving.revisions
        ],
        instance_count=serving.instance_count,
        current_count=serving.current_count,
        lagging=serving.lagging,
    )


def _put_mark(message: aliases_pb2.Alias, mark: Mark) -> None:
    message.marked_version = mark.marked_version
    message.mark_time.FromDatetime(mark.created_at)
    message.marked_by = mark.actor
    message.mark_note = mark.note

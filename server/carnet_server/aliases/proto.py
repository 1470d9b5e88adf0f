"""Aliases and their moves as messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.registry.v1 import aliases_pb2
from carnet_server.aliases.domain import MoveKind

if TYPE_CHECKING:
    from collections.abc import Collection

    from carnet_server.aliases.domain import Alias, AliasMove

_KINDS = {
    MoveKind.SET: aliases_pb2.ALIAS_MOVE_KIND_SET,
    MoveKind.ADMITTED: aliases_pb2.ALIAS_MOVE_KIND_ADMITTED,
    MoveKind.ROLLED_BACK: aliases_pb2.ALIAS_MOVE_KIND_ROLLED_BACK,
    MoveKind.REMOVED: aliases_pb2.ALIAS_MOVE_KIND_REMOVED,
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
    )
    message.create_time.FromDatetime(move.created_at)
    return message

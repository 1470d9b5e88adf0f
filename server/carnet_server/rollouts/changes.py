"""Writing a change of a rollout: its row, its entry with the document that it rests on, and its alias moves.

Runs inside the transaction of whoever makes it. The entry comes first, and the moves follow it directly, each
with the changes of stages that it makes. Says nothing of whether the change is due (``transitions``).
"""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from carnet.canonical import canonical_json
from carnet.errors import ConflictError
from carnet.rollouts import CHANGE_SCHEMA
from carnet.translog.entry import Actor, EntryType, format_time
from carnet_server.aliases.domain import Move, MoveKind
from carnet_server.aliases.moves import move_alias
from carnet_server.aliases.queries import read_alias
from carnet_server.log.transaction import EntryDraft
from carnet_server.models.notes import NOTE_MEDIA_TYPE
from carnet_server.rollouts import figure_queries, queries
from carnet_server.rollouts.permission import use_permit
from carnet_server.rollouts.transitions import AliasMovement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from carnet_policies.guardrails import GuardrailVerdict, Samples
    from carnet_server.log.transaction import Transaction
    from carnet_server.models.notes import Note
    from carnet_server.rollouts.domain import Rollout
    from carnet_server.rollouts.transitions import Change, Facts

CHANGE_MEDIA_TYPE = "application/vnd.carnet.rollout-change+json"
WINDOWS_TOLD = 20
_LARGEST_INTEGER = 2**53 - 1

logger = logging.getLogger(__name__)


def write_change(
    tx: Transaction,
    actor: Actor,
    rollout: Rollout,
    change: Change,
    facts: Facts,
    *,
    note: Note | None = None,
    note_text: str = "",
) -> Rollout:
    """Write a change with its entry and the moves of aliases that it makes.

    Args:
        tx: The transaction.
        actor: Who makes it.
        rollout: The rollout as it was read in this transaction.
        change: The change.
        facts: What it rests on.
        note: The document of a person's note; None for none.
        note_text: The note's text, which the row's message tells.

    Returns:
        The rollout after it.

    Raises:
        ConflictError: The rollout changed meanwhile.
    """
    if change.permit is not None:
        use_permit(tx, change.permit)
    changed = replace(
        rollout,
        state=change.state,
        share=change.share,
        phase_times=(*rollout.phase_times, tx.now) if change.new_phase else rollout.phase_times,
        message=f"{change.message}: {note_text}" if note_text else change.message,
        reason_code=change.reason_code,
        ended_at=tx.now if change.state.ended else None,
        revision=rollout.revision + 1,
    )
    note_digest = tx.store_document(note.data, NOTE_MEDIA_TYPE) if note else None
    document = tx.store_document(
        _document(tx, rollout, changed, change, verdicts=facts.verdicts, note_digest=note_digest),
        CHANGE_MEDIA_TYPE,
    )
    index = tx.append(
        EntryDraft(
            EntryType.ROLLOUT_CHANGED,
            actor,
            rollout.subject,
            old=rollout.standing,
            new=changed.standing,
            envelope_digest=document,
        )
    )
    changed = replace(changed, log_index=index)
    if not queries.write_change(tx.connection, changed):
        raise ConflictError(
            f"{rollout.name} changed meanwhile: read it again and decide anew",
            metadata={"subject": str(rollout.name)},
        )
    _move_aliases(tx, actor, changed, change, document)
    logger.info("%s: %s to %s: %s", rollout.name, rollout.standing, changed.standing, change.message)
    return changed


def point_alias(
    tx: Transaction, actor: Actor, rollout: Rollout, alias: str, version: int, *, document: str
) -> None:
    """Point a rollout's own alias at a version, or take it away.

    Args:
        tx: The transaction, with the rollout's entry as the last one.
        actor: Who does it.
        rollout: The rollout.
        alias: The alias.
        version: The version; 0 to take the alias away.
        document: What the move rests on.
    """
    move_alias(tx, _move(rollout, actor, alias, version, kind=MoveKind.ROLLOUT, document=document))


def _move_aliases(tx: Transaction, actor: Actor, rollout: Rollout, change: Change, document: str) -> None:
    if change.movement is AliasMovement.TO_CHALLENGER:
        move = _move(
            rollout,
            actor,
            rollout.alias,
            rollout.challenger_version,
            kind=MoveKind.ROLLOUT,
            document=document,
        )
        permit = change.permit
        if permit is not None and permit.promotion:
            move = replace(move, promotion=permit.promotion, envelope_digest=permit.decision_digest)
        move_alias(tx, move)
    elif change.movement is AliasMovement.TO_CHAMPION:
        champion = rollout.champion_version
        move = _move(rollout, actor, rollout.alias, champion, kind=MoveKind.ROLLED_BACK, document=document)
        move_alias(tx, replace(move, reason_code=change.reason_code))
    if rollout.state.ended and rollout.sets_alias:
        challenger_alias = replace(rollout.alias_name, alias=rollout.challenger_alias)
        held = read_alias(tx.connection, challenger_alias)
        if held is not None and held.version == rollout.challenger_version:
            point_alias(tx, actor, rollout, rollout.challenger_alias, 0, document=document)


def _move(rollout: Rollout, actor: Actor, alias: str, version: int, *, kind: MoveKind, document: str) -> Move:
    return Move(
        namespace=rollout.namespace,
        model=rollout.model,
        alias=alias,
        version=version,
        kind=kind,
        actor=actor,
        envelope_digest=document,
        # An alias's rollouts have numbers of their own; a move of another alias is known by its document.
        rollout=rollout.rollout if alias == rollout.alias else 0,
    )


def _document(
    tx: Transaction,
    before: Rollout,
    after: Rollout,
    change: Change,
    *,
    verdicts: Sequence[GuardrailVerdict],
    note_digest: str | None,
) -> bytes:
    """Return what a change rests on: what the guardrails say, and what was measured lately."""
    interval = before.plan.reporting_interval
    watched = sorted({each.metric for each in before.plan.guardrails})
    since = tx.now - WINDOWS_TOLD * interval
    windows = figure_queries.read_windows(tx.connection, before.name, watched, since=since)
    permit = change.permit
    told: dict[str, Any] = {
        "schema": CHANGE_SCHEMA,
        "rollout": str(before.name),
        "old": before.standing,
        "new": after.standing,
        "phase": before.phase,
        "decided_at": format_time(tx.now),
        "reason_code": change.reason_code,
        "message": change.message,
        "movement": str(change.movement),
        "verdicts": [_verdict(each) for each in verdicts],
        "windows": [
            {"begins_at": format_time(at), "version": version, "metric": metric, **_samples(samples)}
            for at, version, metric, samples in windows
        ],
    }
    if permit is not None and permit.promotion:
        told["permit"] = {"promotion": permit.promotion, "decision_digest": permit.decision_digest}
    if note_digest is not None:
        told["note_digest"] = note_digest
    return canonical_json(told)


def _verdict(verdict: GuardrailVerdict) -> dict[str, Any]:
    return {
        "rule": verdict.rule,
        "metric": verdict.metric,
        "status": str(verdict.status),
        "message": verdict.message,
        "challenger": _samples(verdict.challenger),
        "champion": _samples(verdict.champion),
        "limit": None if verdict.limit is None else _number(verdict.limit),
        "evidence": _number(verdict.evidence),
        "false_alarm_rate": _number(verdict.false_alarm_rate),
    }


def _samples(samples: Samples) -> dict[str, Any]:
    return {
        "count": _number(samples.count),
        "total": _number(samples.total),
        "total_of_squares": _number(samples.total_of_squares),
    }


def _number(value: float) -> float | None:
    """Return a figure as canonical JSON can have it; None for one that it cannot."""
    if isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
        return float(value)
    return value if math.isfinite(value) else None

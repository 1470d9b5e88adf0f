"""What is asked of and written to the promotion tables.

Responsible for every statement on them, built once; rows never leave this module. Invariants: a promotion is
changed only by whoever holds its newest ``epoch``, in one compare-and-set ``UPDATE``; a change and its event
are one transaction. The statements mean the same on SQLite and PostgreSQL. Does not decide what to change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, func, insert, literal, or_, select, tuple_, update

from carnet.serving.columns import EPOCH
from carnet_sync.promotions.domain import ACTIVE_STATES, Event, Promotion, State
from carnet_sync.promotions.tables import CANCELLATIONS, EVENTS, PROMOTIONS

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection, Row

    from carnet_sync.promotions.outcome import Outcome

_P = PROMOTIONS.c
_ACTIVE = _P.state.in_(sorted(ACTIVE_STATES))
_NOTHING = literal(b"", _P.request.type)
# What listing and watching need: not the bytes that only the steps read.
_LIGHT = [
    _NOTHING.label(column.name)
    if column.name in {"request", "manifest", "signature", "source_receipt"}
    else column
    for column in PROMOTIONS.columns
]
_LISTED = [_NOTHING.label("admission") if column is _P.admission else column for column in _LIGHT]

_GET = select(PROMOTIONS).where(_P.id == bindparam("key"))
_GET_LIGHT = select(*_LIGHT).where(_P.id == bindparam("key"))
_COUNT_BY_STATE = select(_P.state, func.count()).group_by(_P.state)
_NEWEST_FIRST = select(*_LISTED).order_by(_P.created_at.desc(), _P.id.desc()).limit(bindparam("most"))
_DUE = (
    select(_P.id)
    .where(_ACTIVE, _P.wake_at <= bindparam("now"), _P.lease_owner == "")
    .order_by(_P.wake_at, _P.id)
    .limit(bindparam("most"))
)
_TAKE_LEASE = (
    update(PROMOTIONS)
    .where(_P.id == bindparam("key"), _ACTIVE, _P.wake_at <= bindparam("now"))
    .where(_P.lease_expires_at < bindparam("now"))
    .values(lease_owner=bindparam("owner"), lease_expires_at=bindparam("expires"), epoch=_P.epoch + 1)
)
_HELD = (
    _P.id == bindparam("key"),
    _P.epoch == bindparam("held_epoch"),
    _P.lease_owner == bindparam("held_by"),
)
_RENEW_LEASE = update(PROMOTIONS).where(*_HELD).values(lease_expires_at=bindparam("expires"))
_DROP_LEASE = (
    update(PROMOTIONS).where(*_HELD).values(lease_owner="", lease_expires_at=EPOCH, wake_at=bindparam("due"))
)
_FREE_EXPIRED = (
    update(PROMOTIONS)
    .where(_ACTIVE, _P.lease_owner != "", _P.lease_expires_at < bindparam("now"))
    .values(lease_owner="", lease_expires_at=EPOCH, wake_at=bindparam("now"))
)
_WAKE_ALL = update(PROMOTIONS).where(_ACTIVE).values(wake_at=bindparam("now"))
_EVENTS = (
    select(EVENTS)
    .where(EVENTS.c.promotion == bindparam("key"), EVENTS.c.sequence > bindparam("after"))
    .order_by(EVENTS.c.sequence)
)
_ADD_EVENT = insert(EVENTS)
_ADD_PROMOTION = insert(PROMOTIONS)
_ADD_CANCELLATION = insert(CANCELLATIONS)


def count_by_state(connection: Connection) -> dict[State, int]:
    """Count the promotions in each state that any is in."""
    return {State(state): count for state, count in connection.execute(_COUNT_BY_STATE)}


def _promotion(row: Row[Any]) -> Promotion:
    return Promotion(**{**row._mapping, "state": State(row.state)})  # noqa: SLF001  SQLAlchemy's public name


def get(connection: Connection, promotion_id: str) -> Promotion | None:
    """Return a promotion with all its bytes, or None where it is unknown."""
    row = connection.execute(_GET, {"key": promotion_id}).one_or_none()
    return None if row is None else _promotion(row)


def glance(connection: Connection, promotion_id: str, after: int) -> tuple[Promotion, list[Event]] | None:
    """Return a promotion without the bytes that only the steps read, and its events behind a number."""
    row = connection.execute(_GET_LIGHT, {"key": promotion_id}).one_or_none()
    if row is None:
        return None
    rows = connection.execute(_EVENTS, {"key": promotion_id, "after": after})
    events = [Event(**{**each._mapping, "state": State(each.state)}) for each in rows]  # noqa: SLF001
    # An event that was committed between the two reads waits for the next glance, with its promotion.
    promotion = _promotion(row)
    return promotion, [each for each in events if each.sequence <= promotion.sequence]


def newest(
    connection: Connection, *, before: tuple[datetime, str] | None, active_only: bool, limit: int
) -> list[Promotion]:
    """Return promotions, the newest first, without the target's answers.

    Args:
        connection: Where to ask.
        before: Time of creation and id of the last one that is not wanted; None for the beginning.
        active_only: Whether those that have ended are left out.
        limit: How many at most.
    """
    statement = _NEWEST_FIRST
    if before is not None:
        created_at, promotion_id = before
        position = tuple_(literal(created_at, _P.created_at.type), literal(promotion_id, _P.id.type))
        statement = statement.where(tuple_(_P.created_at, _P.id) < position)
    if active_only:
        statement = statement.where(_ACTIVE)
    return [_promotion(row) for row in connection.execute(statement, {"most": limit})]


def add(connection: Connection, promotion: Promotion) -> None:
    """Add a promotion, with its message as its first event."""
    values = {name: getattr(promotion, name) for name in PROMOTIONS.columns.keys()}  # noqa: SIM118
    connection.execute(_ADD_PROMOTION, {**values, "state": str(promotion.state)})
    _add_event(
        connection,
        Event(promotion.id, promotion.sequence, promotion.state, promotion.message, promotion.created_at),
    )


def due(connection: Connection, now: datetime, limit: int) -> list[str]:
    """Return the ids of the promotions that a worker is to look at, the longest due first."""
    return list(connection.execute(_DUE, {"now": now, "most": limit}).scalars())


def take_lease(
    connection: Connection, promotion_id: str, *, owner: str, now: datetime, expires: datetime
) -> Promotion | None:
    """Take the lease of a promotion that is due and that nobody holds, by one compare-and-set.

    Returns:
        The promotion under its new epoch; None where another was faster, or nothing is to be done.
    """
    taken = connection.execute(
        _TAKE_LEASE, {"key": promotion_id, "owner": owner, "now": now, "expires": expires}
    )
    return get(connection, promotion_id) if taken.rowcount == 1 else None


def renew_lease(connection: Connection, promotion: Promotion, expires: datetime) -> bool:
    """Extend a lease; False where it is lost."""
    return connection.execute(_RENEW_LEASE, {**_held(promotion), "expires": expires}).rowcount == 1


def drop_lease(connection: Connection, promotion: Promotion, due_at: datetime) -> bool:
    """Give a lease back with the promotion as it is; False where it was lost."""
    return connection.execute(_DROP_LEASE, {**_held(promotion), "due": due_at}).rowcount == 1


def free_expired(connection: Connection, now: datetime) -> int:
    """Free the promotions whose worker went away, make them due, and return how many there were."""
    return int(connection.execute(_FREE_EXPIRED, {"now": now}).rowcount)


def wake_all(connection: Connection, now: datetime) -> None:
    """Make every promotion that has not ended due."""
    connection.execute(_WAKE_ALL, {"now": now})


def wake(
    connection: Connection,
    now: datetime,
    *,
    promotion: str = "",
    bundle_digest: str = "",
    waiting_for: str = "",
) -> list[str]:
    """Make promotions due that may have something new to find.

    Args:
        connection: Where to write.
        now: The time.
        promotion: One by its id.
        bundle_digest: Those of a bundle.
        waiting_for: Those that wait for a target environment's answer.

    Returns:
        The ids of the promotions that were meant and have not ended.
    """
    meant: list[ColumnElement[bool]] = []
    if promotion:
        meant.append(_P.id == promotion)
    if bundle_digest:
        meant.append(_P.bundle_digest == bundle_digest)
    if waiting_for:
        meant.append((_P.target == waiting_for) & (_P.state == str(State.AWAITING)))
    if not meant:
        return []
    woken = list(connection.execute(select(_P.id).where(_ACTIVE, or_(*meant))).scalars())
    if woken:
        connection.execute(update(PROMOTIONS).where(_P.id.in_(woken), _ACTIVE).values(wake_at=now))
    return woken


def report_progress(connection: Connection, promotion: Promotion, transferred: int, total: int) -> bool:
    """Store how many bytes are over; False where the lease is lost."""
    statement = update(PROMOTIONS).where(*_HELD).values(transferred_bytes=transferred, total_bytes=total)
    return connection.execute(statement, _held(promotion)).rowcount == 1


def settle(
    connection: Connection, promotion: Promotion, outcome: Outcome, *, now: datetime, due_at: datetime
) -> Promotion | None:
    """Store what a step came to, with an event if it tells anything new.

    Args:
        connection: Where to write.
        promotion: The promotion as the step found it, under the worker's lease.
        outcome: What the step came to.
        now: The time.
        due_at: When it is to be looked at next.

    Returns:
        The promotion after it; None where the lease is lost, and nothing is stored then.
    """
    progressed = outcome.state is not promotion.state
    told = progressed or outcome.message != promotion.message
    released = outcome.wait_seconds is not None or not outcome.state.active
    values: dict[str, Any] = {
        **outcome.learned,
        "state": str(outcome.state),
        "message": outcome.message,
        "error_reason": outcome.error_reason,
        "attempts": 0 if progressed else promotion.attempts + 1,
        "returns": promotion.returns + int(outcome.returned),
        "retrying_since": outcome.retrying_since,
        "wake_at": due_at,
        "sequence": promotion.sequence + int(told),
    }
    if told or outcome.learned:
        values["updated_at"] = now
    if released:
        values |= {"lease_owner": "", "lease_expires_at": EPOCH}
    stored = connection.execute(update(PROMOTIONS).where(*_HELD).values(**values), _held(promotion))
    if stored.rowcount != 1:
        return None
    if told:
        _add_event(connection, Event(promotion.id, values["sequence"], outcome.state, outcome.message, now))
    return get(connection, promotion.id)


def overrule(
    connection: Connection, promotion: Promotion, state: State, message: str, *, now: datetime
) -> Promotion | None:
    """Move a promotion at a person's word, and end whatever lease there is.

    Returns:
        The promotion after it; None where it moved meanwhile, and nothing is stored then.
    """
    statement = (
        update(PROMOTIONS)
        .where(_P.id == promotion.id, _P.epoch == promotion.epoch, _P.sequence == promotion.sequence)
        .values(
            state=str(state),
            message=message,
            error_reason="",
            attempts=0,
            returns=0,
            retrying_since=None,
            wake_at=now,
            lease_owner="",
            lease_expires_at=EPOCH,
            epoch=promotion.epoch + 1,
            sequence=promotion.sequence + 1,
            updated_at=now,
        )
    )
    if connection.execute(statement).rowcount != 1:
        return None
    _add_event(connection, Event(promotion.id, promotion.sequence + 1, state, message, now))
    return get(connection, promotion.id)


def add_cancellation(
    connection: Connection, promotion_id: str, *, caller: str, envelope: bytes, now: datetime
) -> None:
    """Keep the signed word that ended a promotion."""
    connection.execute(
        _ADD_CANCELLATION,
        {"promotion": promotion_id, "caller": caller, "envelope": envelope, "created_at": now},
    )


def cancellation(connection: Connection, promotion_id: str) -> bytes | None:
    """Return the signed word that ended a promotion, if one did."""
    statement = select(CANCELLATIONS.c.envelope).where(CANCELLATIONS.c.promotion == promotion_id)
    return connection.execute(statement).scalar_one_or_none()


def _held(promotion: Promotion) -> dict[str, Any]:
    return {"key": promotion.id, "held_epoch": promotion.epoch, "held_by": promotion.lease_owner}


def _add_event(connection: Connection, event: Event) -> None:
    connection.execute(
        _ADD_EVENT,
        {
            "promotion": event.promotion,
            "sequence": event.sequence,
            "state": str(event.state),
            "message": event.message,
            "created_at": event.created_at,
        },
    )

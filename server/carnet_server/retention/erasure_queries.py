"""What an erasure reads and writes: a document's entries, what needs it, and what repeats its text.

Responsible for finding *every* entry that names a document, without an index that each append would pay for:
a document is stored with the first entry that names it, so only what came since is looked through. And for
the columns that repeat what a document says, which are emptied with it.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, func, select, update
from sqlmodel import SQLModel

from carnet.translog.entry import parse_entry
from carnet.translog.erasure import NOTING
from carnet_server.admission import queries as admissions
from carnet_server.admission.break_glass_rules import REVIEWS, was_broken
from carnet_server.admission.states import AdmissionState
from carnet_server.admission.tables import AliasPermitRow, ApprovalRow
from carnet_server.aliases.tables import AliasMarkRow, AliasMoveRow
from carnet_server.log.queries import READ_DOCUMENT, READ_ENTRIES
from carnet_server.models.notes import ERASED, read_note
from carnet_server.retention.erasure_rules import Needs, Use
from carnet_server.retention.hold_queries import read_in_force
from carnet_server.retention.tables import HoldRow
from carnet_server.rollouts.queries import read_active_rollouts_of
from carnet_server.rollouts.tables import RolloutRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from carnet.translog.entry import Entry

_AT_ONCE = 1000
# Clocks go back a little between entries; a day is more than any log that verifies can show.
_MARGIN = timedelta(days=1)
_ROLLOUT = b'"rollout.'
_APPROVALS, _PERMITS, _ROLLOUTS, *_NOTED = (
    SQLModel.metadata.tables[str(row.__tablename__)]
    for row in (ApprovalRow, AliasPermitRow, RolloutRow, AliasMoveRow, AliasMarkRow, HoldRow)
)
_EMPTY_APPROVAL = (
    update(_APPROVALS).where(_APPROVALS.c.digest == bindparam("wanted")).values(reason=ERASED, envelope=b"")
)
# The digest of a request has the text in it, and no salt: whoever guesses a short text could tell by it.
_FORGET_REQUESTS = tuple(
    update(table).where(table.c.note_digest == bindparam("wanted")).values(request_digest=None)
    for table in (_ROLLOUTS, *_NOTED)
)
_EMPTY_MESSAGE = (
    update(_ROLLOUTS)
    .where(
        *(_ROLLOUTS.c[name] == bindparam(f"of_{name}") for name in ("namespace", "model", "alias", "rollout"))
    )
    .values(message=func.replace(_ROLLOUTS.c.message, bindparam("text"), ERASED))
)
_READ_OPEN_PERMIT = select(_PERMITS.c.expires_at).where(
    _PERMITS.c.promotion == bindparam("wanted"),
    _PERMITS.c.used_at.is_(None),
    _PERMITS.c.expires_at > bindparam("now", type_=_PERMITS.c.expires_at.type),
)


def read_start(connection: Connection, stored_at: datetime, size: int) -> int:
    """Find where in the log to begin to look for the entries of a document.

    Args:
        connection: Where to read.
        stored_at: When the document was stored first.
        size: How many entries the log has.

    Returns:
        An index before which no entry names it.
    """
    first, end = 0, size
    while first < end:
        middle = (first + end) // 2
        (row,) = connection.execute(READ_ENTRIES, {"first": middle, "end": middle + 1})
        if parse_entry(row.entry).time < stored_at - _MARGIN:
            first = middle + 1
        else:
            end = middle
    return first


def read_uses(connection: Connection, digest: str, stored_at: datetime, first: int) -> tuple[list[Use], int]:
    """Read the entries that a document belongs to, from a page of the log.

    Args:
        connection: Where to read.
        digest: The document.
        stored_at: When it was stored first.
        first: The index to begin at.

    Returns:
        The entries, and the index to go on at: ``first`` itself at the end of the log.
    """
    mark = digest.encode()
    uses: list[Use] = []
    following = first
    for index, data, _ in connection.execute(READ_ENTRIES, {"first": first, "end": first + _AT_ONCE}):
        following = index + 1
        if mark in data:
            entry = parse_entry(data)
            if digest in entry.documents:
                uses.append(Use(index, entry))
        elif _ROLLOUT in data:
            entry = parse_entry(data)
            if entry.time == stored_at and _names_note(connection, entry, digest):
                uses.append(Use(index, entry, as_note=True))
    return uses, following


def _names_note(connection: Connection, entry: Entry, digest: str) -> bool:
    """Whether a rollout's entry rests on a document that names a note."""
    if entry.type not in NOTING or entry.envelope_digest is None:
        return False
    document = connection.execute(READ_DOCUMENT, {"wanted": entry.envelope_digest}).scalar()
    return document is not None and json.loads(document).get("note_digest") == digest


def read_needs(connection: Connection, uses: Sequence[Use], now: datetime) -> Needs:
    """Read what needs a document.

    Args:
        connection: Where to read, in the transaction that erases.
        uses: Every entry that it belongs to.
        now: The time of the transaction.
    """
    statements = [use.entry for use in uses if use.is_statement]
    promotions = sorted(
        {str(each.subject["promotion"]) for each in statements if "promotion" in each.subject}
    )
    return Needs(
        holds=tuple(_held(connection, (use.entry for use in uses), now)),
        promotions=tuple(each for promotion in promotions for each in _running(connection, promotion)),
        reviews=tuple(each for promotion in promotions for each in _unreviewed(connection, promotion)),
        rollouts=tuple(each for promotion in promotions for each in _rolling_out(connection, promotion, now)),
    )


def _held(connection: Connection, entries: Iterable[Entry], now: datetime) -> Iterable[str]:
    for subject in (entry.subject for entry in entries):
        if "model" not in subject:
            continue
        namespace, model = str(subject["namespace"]), str(subject["model"])
        version = subject.get("version")
        for number, hold in read_in_force(connection, namespace, model, now=now):
            # What is about a model as a whole is about each of its versions.
            if not number or version in {None, number}:
                yield f"hold {hold} is on {namespace}/{model}{f'@{number}' if number else ''}"


def _running(connection: Connection, promotion: str) -> Iterable[str]:
    admission = admissions.read_admission(connection, promotion)
    if admission is not None and not admission.state.ended:
        yield f"promotion {promotion} has not ended"


def _unreviewed(connection: Connection, promotion: str) -> Iterable[str]:
    admission = admissions.read_admission(connection, promotion)
    if admission is None or admission.state is not AdmissionState.ADMITTED or not was_broken(admission):
        return
    said = admissions.read_approvals(connection, promotion)
    if not any(each.meaning in REVIEWS.values() for each in said):
        yield f"the glass was broken for promotion {promotion}, and nobody has reviewed that"


def _rolling_out(connection: Connection, promotion: str, now: datetime) -> Iterable[str]:
    admission = admissions.read_admission(connection, promotion)
    if admission is None or not admission.by_rollout:
        return
    permit = connection.execute(_READ_OPEN_PERMIT, {"wanted": promotion, "now": now}).first()
    if permit is not None:
        yield f"promotion {promotion} permits a rollout until {permit.expires_at:%Y-%m-%d %H:%M:%S} UTC"
    for rollout in read_active_rollouts_of(connection, admission.namespace, admission.model):
        if rollout.alias == admission.alias and rollout.challenger_digest == admission.bundle_digest:
            yield f"{rollout.name} has not ended"


def empty_copies(connection: Connection, digest: str, uses: Sequence[Use], document: bytes) -> None:
    """Empty the columns that repeat what a document says.

    Args:
        connection: Where to write, in the transaction that erases.
        digest: The document.
        uses: Every entry that it belongs to.
        document: Its bytes.
    """
    connection.execute(_EMPTY_APPROVAL, {"wanted": digest})
    for statement in _FORGET_REQUESTS:
        connection.execute(statement, {"wanted": digest})
    for use in uses:
        text = read_note(document) if use.as_note else ""
        if text:
            subject = use.entry.subject
            named = {f"of_{name}": subject[name] for name in ("namespace", "model", "alias", "rollout")}
            connection.execute(_EMPTY_MESSAGE, {**named, "text": text})

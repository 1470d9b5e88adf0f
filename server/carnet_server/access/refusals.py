"""Refused calls, as entries of the log: counted as they come, written once a minute.

Responsible for which errors are refusals, for counting them by subject, method and reason, and for one entry
``access.refused`` for each of these. A caller that the trust document knows is named; one that it does not
know, or who was not recognised, is only counted, in a number that the process's log tells.

Invariants: at most ``KINDS_MAX`` kinds of calls are told apart between two writings, whatever is called how
often, and what goes beyond is counted in one entry of the environment itself; what could not be written is
kept for the next time; nothing is written twice. What a killed process had not written is lost. Several
processes of one environment write each their own. The text of an error goes into no entry.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from carnet.errors import (
    AlreadyExistsError,
    CarnetError,
    IntegrityError,
    InvalidInputError,
    LogTamperedError,
    MessageTooLargeError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionFailedError,
    ReferenceInvalidError,
    StaleEpochError,
    UnauthenticatedError,
)
from carnet.translog.entry import TEXT_MAX_LENGTH, Actor, EntryType
from carnet.translog.refused_calls import ANY_OTHER, NAMESPACES_MAX, RefusedCalls
from carnet_server.access.permissions import PERMISSIONS
from carnet_server.log.transaction import EntryDraft

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from carnet_server.access.trust import Trust
    from carnet_server.log.transaction import Transaction
    from carnet_server.log.writer import Writer

WRITE_EVERY_SECONDS = 60.0
KINDS_MAX = 1000
REFUSED_CALLS_MEDIA_TYPE = "application/vnd.carnet.refused-calls+json"
_WRITTEN_AT_ONCE = 100
_ADMIT = "/carnet.registry.v1.AdmissionService/Admit"

_REFUSED_ANYWHERE = (PermissionDeniedError, UnauthenticatedError)
_REFUSED_AT_A_GATE = (
    IntegrityError,
    InvalidInputError,
    PreconditionFailedError,
    StaleEpochError,
    AlreadyExistsError,
)
_NO_REFUSALS = (LogTamperedError, MessageTooLargeError, ReferenceInvalidError)
"""Troubles of the environment itself, and slips in the form of a call."""

GATES = frozenset(
    method
    for method, permission in PERMISSIONS.items()
    if permission.acts or "AdmissionService/" in method or method.endswith("/IssueCertificate")
)
"""The calls that try to change something; those about a promotion name no place that the table could find."""
_READS_BY_CAPABILITY = frozenset(
    method for method in PERMISSIONS if method.endswith(("ReadBlob", "ReadBlobs"))
)

logger = logging.getLogger(__name__)


def is_refusal(method: str, error: CarnetError) -> bool:
    """Whether a call that ended in an error tried to pass where it may not.

    A caller without the right is refused anywhere. At a gate, so is who brings what is forged, malformed,
    stale or used before, and who skips a step. Whatever is merely not there, changed meanwhile or cannot be
    reached is no refusal, and neither is a slip that a client mends, such as in a page token.

    Args:
        method: The method's full name.
        error: What the call ended in.
    """
    if isinstance(error, _REFUSED_ANYWHERE):
        return True
    if isinstance(error, _NO_REFUSALS):
        return False
    if method in _READS_BY_CAPABILITY:
        return isinstance(error, IntegrityError)
    # To admit what was never evaluated is to skip a step.
    skips = method == _ADMIT and isinstance(error, NotFoundError)
    return method in GATES and (skips or isinstance(error, _REFUSED_AT_A_GATE))


def is_known(subject: str, trust: Trust) -> bool:
    """Whether a trust document knows a subject: by a role, a key, a person, as a peer, or as revoked.

    Args:
        subject: The subject.
        trust: The document; for whoever shows a token, as it is for that token.
    """
    return (
        bool(trust.roles(subject, None))
        or trust.person_of(subject) is not None
        or trust.revocation_of(subject) is not None
        or trust.peer_by_subject(subject) is not None
        or any(key.subject == subject for key in trust.ring(datetime.now(UTC)).keys.values())
    )


class _Kind(NamedTuple):
    """What refused calls have in common."""

    actor: Actor
    method: str
    reason: str


@dataclass(slots=True)
class _Tally:
    """How many there were, and when and where."""

    first_at: datetime
    last_at: datetime
    count: int = 1
    namespaces: set[str] = field(default_factory=set)

    def add(self, other: _Tally) -> None:
        self.first_at = min(self.first_at, other.first_at)
        self.last_at = max(self.last_at, other.last_at)
        self.count += other.count
        room = NAMESPACES_MAX - len(self.namespaces)
        self.namespaces.update(sorted(other.namespaces - self.namespaces)[:room])


class RefusalLog:
    """Counts refused calls, and writes them to the environment's log; used on one event loop.

    Args:
        environment: The environment's name.
        issuer: The name of its log, which vouches for what it says itself.
        writer: Its writer.
        clock: Tells the time.
    """

    def __init__(
        self,
        environment: str,
        issuer: str,
        writer: Writer,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        itself = Actor(f"urn:carnet:environment:{environment}", issuer, "local")
        self._beyond = _Kind(itself, ANY_OTHER, ANY_OTHER)
        self._writer = writer
        self._clock = clock
        self._tallies: dict[_Kind, _Tally] = {}
        self._strangers = 0
        self._writing = asyncio.Lock()
        self._flushing: asyncio.Task[None] | None = None

    def count_stranger(self) -> None:
        """Count a refused call of somebody who is not known here."""
        self._strangers += 1

    def count(self, actor: tuple[str, str, str], method: str, reason: str, namespace: str = "") -> None:
        """Count a refused call of somebody who is known here.

        Args:
            actor: The caller's subject, who vouches for it, and how it was recognised.
            method: The method's full name, ``/package.Service/Method``.
            reason: The error's reason.
            namespace: What the call was about; empty where that is not known.
        """
        now = self._clock()
        tally = _Tally(now, now, namespaces={namespace} if namespace else set())
        if len(actor[0]) > TEXT_MAX_LENGTH:  # no entry can name it
            self._add(self._beyond, tally)
        else:
            self._add(_Kind(Actor(*actor), method.removeprefix("/"), reason), tally)

    def _add(self, kind: _Kind, tally: _Tally) -> None:
        known = self._tallies.get(kind)
        if known is not None:
            known.add(tally)
        elif kind == self._beyond or len(self._tallies) < KINDS_MAX:
            self._tallies[kind] = tally
        else:
            tally.namespaces.clear()
            self._add(self._beyond, tally)

    async def flush(self) -> None:
        """Write what was counted; what cannot be written now is kept. Raises nothing."""
        # A task of its own, since whoever waits may be cancelled when the commit is made already.
        self._flushing = asyncio.get_running_loop().create_task(self._flush())
        await asyncio.shield(self._flushing)

    async def _flush(self) -> None:
        async with self._writing:
            if self._strangers:
                logger.warning("%d calls of callers that are not known here were refused", self._strangers)
                self._strangers = 0
            taken, self._tallies = self._tallies, {}
            kinds = list(taken.items())
            for start in range(0, len(kinds), _WRITTEN_AT_ONCE):
                await self._write(kinds[start : start + _WRITTEN_AT_ONCE])

    async def _write(self, some: Sequence[tuple[_Kind, _Tally]]) -> None:
        try:
            await self._writer.commit(lambda tx: _append(tx, some))
        except Exception as error:
            unexpected = not isinstance(error, CarnetError)
            logger.warning("refused calls are not in the log yet: %s", error, exc_info=unexpected)
            for kind, tally in some:
                self._add(kind, tally)


def _append(tx: Transaction, some: Sequence[tuple[_Kind, _Tally]]) -> None:
    for kind, tally in some:
        said = RefusedCalls(
            method=kind.method,
            reason=kind.reason,
            count=tally.count,
            first_at=tally.first_at,
            last_at=tally.last_at,
            namespaces=tuple(sorted(tally.namespaces)),
        )
        tx.append(
            EntryDraft(
                EntryType.ACCESS_REFUSED,
                kind.actor,
                said.subject,
                new=said.summary,
                envelope_digest=tx.store_document(said.to_bytes(), REFUSED_CALLS_MEDIA_TYPE),
            )
        )

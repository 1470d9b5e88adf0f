"""Finding the version that an alias may be moved back to, and making sure of it before the move.

A candidate will do if it is not revoked or purged, all its blobs are in the store and were hashed lately, or
are now, and its latest smoke test did not fail. Where the policy requires a smoke test, one that holds none
will do only if the caller accepts that; elsewhere it will do, and the answer says so. The best one that will
do is taken; where a version was named and will not do, it is refused, and one that will is named.

Nothing here runs in a transaction: the store is read on threads, and the move itself looks again at what can
change under it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from carnet.errors import DataLossError, PreconditionFailedError, PurgedError
from carnet_server.aliases.domain import RollbackCheck
from carnet_server.aliases.smoke_test import FAILED, latest_smoke_test
from carnet_server.models.domain import purged_facts
from carnet_server.models.queries import read_blobs, read_listed_version

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta

    from sqlalchemy import Connection

    from carnet.references import ResourceName
    from carnet_server.aliases.blob_checks import BlobCheck, BlobChecks
    from carnet_server.blobs.domain import Blob
    from carnet_server.database.engine import Database
    from carnet_server.environment.state import EnvironmentState

NAMED_AT_MOST = 10


@dataclass(frozen=True, slots=True)
class KnownGood:
    """A version that will do, what was checked of it, and whether it lacks a smoke test that is required."""

    version: int
    check: RollbackCheck
    untested: bool


@dataclass(frozen=True, slots=True)
class _Candidate:
    version: int
    revoked: bool
    purged: dict[str, str]
    blobs: Sequence[Blob]
    smoke_test: str


@dataclass(frozen=True, slots=True)
class Judged:
    """What a look at a candidate found.

    Attributes:
        version: The version.
        smoke_test: The result of its latest smoke test; empty where none is held.
        fault: Why it will not do, for people; empty where it will.
        untested: Whether it lacks a smoke test that is required.
        blobs: What was found of its blobs; None where nobody looked.
        purged: What is known of its purge, as errors tell it; nothing where its files are kept.
    """

    version: int
    smoke_test: str
    fault: str
    untested: bool
    blobs: BlobCheck | None = None
    purged: Mapping[str, str] = field(default_factory=dict)

    @property
    def damaged(self) -> str:
        """The digest of the first damaged blob; empty for none."""
        return self.blobs.damaged[0].digest if self.blobs and self.blobs.damaged else ""


class KnownGoodSearch:
    """Looks for the version to move back to.

    Args:
        database: The environment's database.
        state: Its policy, and its trust document, by which smoke tests count.
        checks: Tells whether stored blobs are whole.
    """

    def __init__(self, database: Database, state: EnvironmentState, checks: BlobChecks) -> None:
        self._database = database
        self._state = state
        self._checks = checks

    async def choose(
        self, name: ResourceName, candidates: Sequence[int], *, wanted: int, accept_untested: bool = False
    ) -> KnownGood:
        """Return the version to move back to.

        Args:
            name: The alias.
            candidates: The versions that history leads back to, the best first.
            wanted: The version that was named; 0 for the best that will do.
            accept_untested: Whether one will do without the smoke test that the policy requires.

        Raises:
            PreconditionFailedError: There is no version to go back to, or none that will do; the message says
                what is wrong with each and, for a version that was named, which one will do.
            PurgedError: The same, and the files of the one that was named, or of the best, were purged.
            DataLossError: The same, and the one that was named, or the best, has a damaged blob
                (``metadata["digest"]``).
            UnavailableError: The store or the database failed.
        """
        faulty: list[Judged] = []
        for number in [wanted] if wanted else candidates:
            judged = await self._judge(name, number, accept_untested=accept_untested)
            if not judged.fault:
                assert judged.blobs is not None, "what has no fault was looked at"
                return KnownGood(number, _check_of(judged, judged.blobs, faulty), judged.untested)
            faulty.append(judged)
        alternative = await self._alternative(name, candidates, wanted) if wanted else 0
        raise _refusal(name, wanted, faulty, alternative)

    async def look(self, name: ResourceName, number: int, *, fresh_for: timedelta) -> Judged:
        """Look at a candidate ahead of time; its blobs are hashed, unless it is revoked or purged.

        Args:
            name: The alias.
            number: The candidate.
            fresh_for: How long ago a blob may have been hashed.

        Raises:
            UnavailableError: The store or the database failed.
        """
        candidate = await self._read(name, number)
        untested = self._lacks_test(candidate)
        fault = _fault_of(candidate, untested=untested)
        if candidate.revoked or candidate.purged:
            return Judged(number, candidate.smoke_test, fault, untested, purged=candidate.purged)
        blobs = await self._checks.check(candidate.blobs, fresh_for=fresh_for)
        return Judged(number, candidate.smoke_test, fault or blobs.fault, untested, blobs)

    async def _alternative(self, name: ResourceName, candidates: Sequence[int], wanted: int) -> int:
        """Return the best candidate that will do instead; 0 for none."""
        for number in candidates[:NAMED_AT_MOST]:
            if number != wanted and not (await self._judge(name, number, accept_untested=False)).fault:
                return number
        return 0

    async def _judge(self, name: ResourceName, number: int, *, accept_untested: bool) -> Judged:
        candidate = await self._read(name, number)
        untested = self._lacks_test(candidate)
        fault = _fault_of(candidate, untested=untested and not accept_untested)
        if fault:
            return Judged(number, candidate.smoke_test, fault, untested, purged=candidate.purged)
        blobs = await self._checks.check(candidate.blobs)
        return Judged(number, candidate.smoke_test, blobs.fault, untested, blobs)

    async def _read(self, name: ResourceName, number: int) -> _Candidate:
        return await self._database.read(
            lambda connection: _read_candidate(connection, name, number, self._state)
        )

    def _lacks_test(self, candidate: _Candidate) -> bool:
        return self._state.policy.document.rollback.smoke_test == "required" and not candidate.smoke_test


def _fault_of(candidate: _Candidate, *, untested: bool) -> str:
    """Say why a candidate will not do, before anybody looks at its blobs; empty where nothing is known."""
    if candidate.revoked:
        return "is revoked"
    if candidate.purged:
        return f"was purged at {candidate.purged['purgeTime']}: its files are gone"
    if candidate.smoke_test == FAILED:
        return "failed its latest smoke test, so that it may not load"
    return "holds no smoke test by a signer who is trusted here" if untested else ""


def _read_candidate(
    connection: Connection, name: ResourceName, number: int, state: EnvironmentState
) -> _Candidate:
    version = read_listed_version(connection, name.namespace, name.model, number)
    assert version is not None, "an alias pointed at a version that is not here"
    return _Candidate(
        number,
        version.revoked,
        purged_facts(version) if version.purged else {},
        read_blobs(connection, name.namespace, name.model, number),
        latest_smoke_test(connection, name.namespace, version.bundle_digest, state),
    )


def _check_of(judged: Judged, blobs: BlobCheck, faulty: Sequence[Judged]) -> RollbackCheck:
    return RollbackCheck(
        blob_count=blobs.blob_count,
        hashed_count=blobs.hashed_count,
        oldest_at=blobs.oldest_at,
        smoke_test=judged.smoke_test,
        passed_over=tuple((each.version, each.fault) for each in faulty),
    )


def _refusal(
    name: ResourceName, wanted: int, faulty: Sequence[Judged], alternative: int
) -> PreconditionFailedError | DataLossError:
    faults = [f"version {each.version} {each.fault}" for each in faulty[:NAMED_AT_MOST]]
    if wanted:
        problem = f"cannot be rolled back to version {wanted}: {faults[0]}"
    elif faults:
        problem = f"has no version to roll back to: {', '.join(faults)}"
    else:
        problem = "has nothing to roll back to: it never pointed at another version before the present one"
    if alternative:
        problem += f"; version {alternative} will do"
    if any(each.untested for each in faulty):
        problem += "; in an emergency a rollback accepts that with --without-smoke-test"
    message = f"alias {name.alias!r} of {name.namespace}/{name.model} {problem}"
    metadata = {"subject": str(name)} | ({"alternative": str(alternative)} if alternative else {})
    if faulty and faulty[0].purged:
        return PurgedError(message, metadata={**faulty[0].purged, **metadata})
    if faulty and faulty[0].damaged:
        return DataLossError(message, metadata=metadata | {"digest": faulty[0].damaged})
    return PreconditionFailedError(message, metadata=metadata)

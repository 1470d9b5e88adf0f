"""What an alias and its moves are, and the pure rules of moving one.

Responsible for compare-and-swap and for where a rollback leads. An alias's revision counts its moves for
good: one that was removed and is set again goes on where it stood.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from carnet.canonical import canonical_json, sha256_hex
from carnet.errors import ConflictError, InvalidInputError
from carnet.references import ResourceName

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from carnet.translog.entry import Actor
    from carnet.translog.receipt import Receipt
    from carnet_server.models.notes import Note

REQUEST_ID_MAX_LENGTH = 64
_REASON_CODE = re.compile(r"[a-z][a-z0-9-]{1,63}")


class MoveKind(StrEnum):
    """Why an alias moved."""

    SET = "set"
    ADMITTED = "admitted"
    ROLLED_BACK = "rolled_back"
    REMOVED = "removed"
    DRILLED = "drilled"
    ROLLOUT = "rollout"


@dataclass(frozen=True, slots=True)
class Alias:
    """A named, moving pointer to a version; ``version`` 0 where it was removed or never set."""

    namespace: str
    model: str
    alias: str
    version: int
    bundle_digest: str
    revision: int
    updated_at: datetime | None
    log_index: int

    @property
    def name(self) -> str:
        """The resource name."""
        return str(ResourceName(self.namespace, self.model, alias=self.alias))


@dataclass(frozen=True, slots=True)
class AliasMove:
    """One move, as it is stored.

    Attributes:
        namespace: Where.
        model: Of which model.
        alias: Which alias.
        revision: Its revision after the move.
        kind: Why it moved.
        old_version: The version before; 0 for none.
        new_version: The version after; 0 for none.
        bundle_digest: The digest of the version after; empty for none.
        actor: The subject that moved it.
        reason_code: The reason code that was given.
        note_digest: The document with the note; None where none was given.
        promotion: The promotion that moved it, where one did.
        request_id: The caller's id of the request; None where none was given.
        request_digest: What was asked for, to know a repeated request by.
        created_at: When.
        log_index: The entry.
        note: The note, where it was read too.
        accepted_untested: Whether the version after was accepted without the smoke test that the policy
            required then; where the note was read too.
    """

    namespace: str
    model: str
    alias: str
    revision: int
    kind: MoveKind
    old_version: int
    new_version: int
    bundle_digest: str
    actor: str
    reason_code: str
    note_digest: str | None
    promotion: str
    request_id: str | None
    request_digest: str | None
    created_at: datetime
    log_index: int
    note: str = ""
    accepted_untested: bool = False

    @property
    def after(self) -> Alias:
        """The alias as it was after the move."""
        return Alias(
            self.namespace,
            self.model,
            self.alias,
            self.new_version,
            self.bundle_digest,
            self.revision,
            self.created_at,
            self.log_index,
        )


@dataclass(frozen=True, slots=True)
class Move:
    """A move that is asked for.

    Attributes:
        namespace: Where.
        model: Of which model.
        alias: Which alias.
        version: Where it shall point; 0 to remove it.
        kind: Why.
        actor: Who asks.
        expected_revision: The revision that was seen, 0 for an alias that must not exist; None for any.
        reason_code: A code for reports.
        note: Why, for people.
        promotion: The promotion that it is part of, where it is.
        rollout: The number of the alias's own rollout that it is part of; 0 where it is part of none.
        envelope_digest: The document that it rests on, where that is not the note.
        request_id: The caller's id of the request; empty for none.
        request_digest: What was asked for, where there is an id.
    """

    namespace: str
    model: str
    alias: str
    version: int
    kind: MoveKind
    actor: Actor
    expected_revision: int | None = None
    reason_code: str = ""
    note: Note | None = None
    promotion: str = ""
    rollout: int = 0
    envelope_digest: str | None = None
    request_id: str = ""
    request_digest: str | None = None

    @property
    def name(self) -> ResourceName:
        """The alias's name."""
        return ResourceName(self.namespace, self.model, alias=self.alias)


@dataclass(frozen=True, slots=True)
class RollbackCheck:
    """What was checked of a version before an alias was moved back to it.

    Attributes:
        blob_count: How many blobs it has, all of which are whole.
        hashed_count: How many of them were hashed for this.
        oldest_at: When the one whose check is the oldest was hashed; None where there are no blobs.
        smoke_test: The result of its latest smoke test; empty where none is held.
        passed_over: The better candidates that would not do, each with why.
    """

    blob_count: int
    hashed_count: int
    oldest_at: datetime | None
    smoke_test: str
    passed_over: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Moved:
    """What became of a move.

    Attributes:
        alias: The alias after it.
        old_version: The version before.
        receipt: The receipt of its entry.
        check: What was checked of a version that was rolled back to; None for other moves, and where a
            repeated request is answered.
    """

    alias: Alias
    old_version: int
    receipt: Receipt
    check: RollbackCheck | None = None


def request_digest(operation: str, **asked: str | int | None) -> str:
    """Return a digest of what was asked for, by which a repeated request is known.

    Args:
        operation: The call.
        asked: Its arguments.
    """
    return sha256_hex(canonical_json({"operation": operation, **asked}))


def check_request_id(value: str) -> str:
    """Return a request's id if it is none, or one of ``REQUEST_ID_MAX_LENGTH`` printable characters at most.

    Raises:
        InvalidInputError: It is longer, or has a character that cannot be printed.
    """
    if len(value) > REQUEST_ID_MAX_LENGTH:
        raise InvalidInputError(
            f"request_id: {len(value)} characters; {REQUEST_ID_MAX_LENGTH} at most",
            metadata={"field": "request_id"},
        )
    if not value.isprintable():
        raise InvalidInputError(
            "request_id: it has a character that cannot be printed", metadata={"field": "request_id"}
        )
    return value


def check_reason_code(value: str) -> str:
    """Return a reason code if it is one.

    Raises:
        InvalidInputError: It is not 2 to 64 lowercase letters, digits and ``-``, starting with a letter.
    """
    if not _REASON_CODE.fullmatch(value):
        raise InvalidInputError(
            f"reason_code: {value[:80]!r} is not a reason code: write 2 to 64 lowercase letters, digits and "
            "'-', starting with a letter, such as metric-degradation",
            metadata={"field": "reason_code"},
        )
    return value


def check_expected_revision(value: int | None) -> int | None:
    """Return an expected revision if it can be one.

    Raises:
        InvalidInputError: It is negative.
    """
    if value is not None and value < 0:
        raise InvalidInputError(
            f"expected_revision: {value} is negative; 0 stands for an alias that must not exist",
            metadata={"field": "expected_revision"},
        )
    return value


def check_revision(
    name: ResourceName, expected: int | None, present: Alias | None, last_revision: int
) -> None:
    """Compare an alias with what a caller saw, before it is moved.

    Args:
        name: The alias's name.
        expected: The revision that the caller saw; None for any.
        present: The alias; None where there is none.
        last_revision: The revision of its last move; 0 where there never was one. Of an alias that was
            removed, this and 0 are both right.

    Raises:
        ConflictError: It was moved since; ``metadata`` tells the present ``revision`` and ``version``.
    """
    right = (present.revision,) if present else (0, last_revision)
    if expected is None or expected in right:
        return
    now = (
        f"at revision {present.revision} and points at version {present.version}"
        if present
        else "not set now"
    )
    raise ConflictError(
        f"alias {name.alias!r} of {name.namespace}/{name.model} is {now}; revision {expected} was expected: "
        "read it again and decide anew",
        metadata={
            "revision": str(present.revision if present else 0),
            "version": str(present.version if present else 0),
        },
    )


def rollback_candidates(moves: Sequence[AliasMove], present: int) -> list[int]:
    """Return the versions that a rollback may lead to, the best first.

    History is walked as a stack: a rollback takes away what it rolled back, so that a second one leads
    further back and never to the version that the first one left. Drills leave no trace in it.

    Args:
        moves: All moves of the alias, the oldest first.
        present: The version that it points at now; 0 for none.
    """
    stack: list[int] = []
    for move in moves:
        if move.kind is MoveKind.DRILLED:
            continue
        version = move.new_version
        if move.kind is MoveKind.ROLLED_BACK and version in stack:
            while stack[-1] != version:
                stack.pop()
        elif version and stack[-1:] != [version]:
            stack.append(version)
    return list(dict.fromkeys(version for version in reversed(stack) if version != present))

"""The pure rules of moving an alias."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from carnet.errors import ConflictError, InvalidInputError
from carnet.references import ResourceName
from carnet_server.aliases.domain import (
    Alias,
    AliasMove,
    MoveKind,
    check_expected_revision,
    check_reason_code,
    check_request_id,
    check_revision,
    request_digest,
    rollback_candidates,
)

NAME = ResourceName("risk", "fraud", alias="champion")
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def history(*steps):
    """Moves from steps: a version that was set, ``-version`` that was rolled back to, 0 for a removal."""
    moves, present = [], 0
    for revision, step in enumerate(steps, 1):
        kind = MoveKind.ROLLED_BACK if step < 0 else MoveKind.SET if step else MoveKind.REMOVED
        digest = "d" if step else ""
        move = AliasMove(
            *("risk", "fraud", "champion", revision, kind, present, abs(step), digest, "dave"),
            *("", None, "", None, None, NOW, revision),
        )
        moves.append(move)
        present = abs(step)
    return moves, present


@pytest.mark.parametrize(
    ("steps", "candidates"),
    [
        ((), []),
        ((1,), []),
        ((1, 2), [1]),
        ((1, 2, 3), [2, 1]),
        ((1, 2, 3, -2), [1]),
        ((1, 2, 3, -2, -1), []),
        ((1, 2, 3, -1), []),
        ((1, 2, -1, 3), [1]),
        ((1, 2, -1, -2), [1]),
        ((1, 2, -1, -2, -1), []),
        ((1, 2, 1), [2]),
        ((1, 1, 1), []),
        ((1, 2, 2), [1]),
        ((1, 2, 0), [2, 1]),
        ((1, 0, 2), [1]),
        ((1, 2, 3, 1, 3), [1, 2]),
    ],
)
def test_a_rollback_leads_back_along_what_was_live(steps, candidates):
    moves, present = history(*steps)
    assert rollback_candidates(moves, present) == candidates


@pytest.mark.parametrize(
    ("expected", "present", "last", "right"),
    [
        (None, None, 0, True),
        (None, 3, 3, True),
        (0, None, 0, True),
        (1, None, 0, False),
        (3, 3, 3, True),
        (0, 3, 3, False),
        (2, 3, 3, False),
        (4, 3, 3, False),
        (0, None, 4, True),
        (4, None, 4, True),
        (3, None, 4, False),
    ],
)
def test_an_alias_is_compared_with_what_the_caller_saw(expected, present, last, right):
    alias = present and Alias("risk", "fraud", "champion", 7, "d", present, NOW, 1)
    if right:
        check_revision(NAME, expected, alias, last)
        return
    with pytest.raises(ConflictError, match=f"revision {expected} was expected") as raised:
        check_revision(NAME, expected, alias, last)
    assert raised.value.metadata == {
        "revision": str(present or 0),
        "version": "7" if present else "0",
    }


@pytest.mark.parametrize("code", ["ok", "metric-degradation", "a1", "a" + "b" * 63, "a-"])
def test_reason_codes_that_are_taken(code):
    assert check_reason_code(code) == code


@pytest.mark.parametrize("code", ["", "a", "1a", "-a", "A1", "a b", "a_b", "a" + "b" * 64, "ok\n", "é1"])
def test_reason_codes_that_are_refused(code):
    with pytest.raises(InvalidInputError, match="reason_code") as raised:
        check_reason_code(code)
    assert raised.value.metadata == {"field": "reason_code"}


def test_request_ids_and_revisions_are_bounded():
    assert check_request_id("x" * 64) == "x" * 64
    with pytest.raises(InvalidInputError, match="65 characters"):
        check_request_id("x" * 65)
    assert [check_expected_revision(value) for value in (None, 0, 9)] == [None, 0, 9]
    with pytest.raises(InvalidInputError, match="negative"):
        check_expected_revision(-1)


def test_requests_are_told_apart_by_every_argument():
    digests = {
        request_digest("set", version=1, expected_revision=None, note=""),
        request_digest("set", version=2, expected_revision=None, note=""),
        request_digest("set", version=1, expected_revision=0, note=""),
        request_digest("set", version=1, expected_revision=None, note="why"),
        request_digest("delete", version=1, expected_revision=None, note=""),
    }
    assert len(digests) == 5

"""Which attempt is gone on with, and from where."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from carnet_server.blobs.domain import Blob
from carnet_server.blobs.objects.attempts import AttemptState, choose_attempt, group_attempts
from carnet_server.blobs.objects.bucket import StoredObject
from carnet_server.blobs.objects.names import (
    PART_BYTES,
    Attempt,
    PartName,
    digest_of,
    index_path,
    parse_attempt,
    single_path,
)

NOW = datetime(2026, 1, 2, tzinfo=UTC)
DIGEST = "ab" * 32
BLOB = Blob(DIGEST, 3 * PART_BYTES + 5)


def part(number: int, size_bytes: int = PART_BYTES, digest: str = "cd" * 32) -> tuple[PartName, int]:
    return PartName(number, digest), size_bytes


def state(
    token: str, *parts: tuple[PartName, int], age: timedelta = timedelta(hours=1), spoiled: bool = False
):
    return AttemptState(Attempt("risk", DIGEST, token * 8), dict(parts), NOW - age, spoiled)


def chosen(*states) -> tuple[str, int]:
    attempt, run = choose_attempt(states, "risk", BLOB, NOW)
    assert (attempt.namespace, attempt.digest) == ("risk", DIGEST)
    return attempt.token, len(run)


@pytest.mark.parametrize(
    ("parts", "length"),
    [
        ([], 0),
        ([part(0)], 1),
        ([part(1)], 0),
        ([part(0), part(2)], 1),
        ([part(0), part(1), part(2)], 3),
        ([part(0), part(1), part(2), part(3, 5)], 4),
        ([part(0), part(1), part(2), part(3, 6)], 3),
        ([part(0), part(1, PART_BYTES - 1)], 1),
        ([part(0), part(1, 0), part(1, PART_BYTES, "ef" * 32)], 2),
        ([part(0), part(1), part(2), part(3, 5), part(4)], 4),
    ],
)
def test_a_run_is_of_whole_parts_without_a_gap(parts, length):
    assert len(state("01", *parts).run(BLOB)) == length


def test_the_longest_sound_young_attempt_is_gone_on_with():
    short = state("01", part(0))
    long = state("02", part(0), part(1))
    spoiled = state("03", part(0), part(1), part(2), spoiled=True)
    old = state("04", part(0), part(1), part(2), age=timedelta(hours=13))
    assert chosen(short, long, spoiled, old) == ("02" * 8, 2)
    assert chosen(old, spoiled, short) == ("01" * 8, 1)


def test_otherwise_one_is_begun_that_nobody_else_makes():
    tokens = {
        chosen(*states)[0]
        for states in ([], [state("01", part(1))], [state("02", part(0), spoiled=True)]) * 2
    }
    assert len(tokens) == 6
    assert not tokens & {"01" * 8, "02" * 8}


def test_a_listing_in_any_order_is_put_together_and_foreign_objects_are_let_alone():
    attempt = Attempt("risk", DIGEST, "01" * 8)
    objects = [
        StoredObject(attempt.part_path(1, "ee" * 32), 7, NOW),
        StoredObject(attempt.spoiled_path, 0, NOW - timedelta(hours=1)),
        StoredObject(f"parts/risk/{DIGEST}/readme", 1, NOW),
        StoredObject(f"parts/risk/{DIGEST}/{'01' * 8}/more/1", 1, NOW),
        StoredObject(attempt.part_path(0, "dd" * 32), 8, NOW - timedelta(hours=2)),
        StoredObject("parts/risk/nodigest/0101010101010101/000000-" + "dd" * 32, 8, NOW),
    ]
    expected = AttemptState(
        attempt, {PartName(0, "dd" * 32): 8, PartName(1, "ee" * 32): 7}, NOW, spoiled=True
    )
    assert group_attempts(objects) == {attempt: expected}
    assert group_attempts(reversed(objects)) == {attempt: expected}


def test_a_stranger_in_an_attempt_is_of_it_and_no_part():
    attempt = Attempt("risk", DIGEST, "01" * 8)
    assert parse_attempt(f"{attempt.prefix}/1-{'dd' * 32}") == (attempt, None)


def test_paths_say_which_blob_they_are_of():
    assert digest_of(single_path(DIGEST)) == DIGEST
    assert digest_of(index_path(DIGEST)) == DIGEST
    for foreign in (
        "",
        "x",
        f"blobs/sha256/{DIGEST}",
        f"blobs/sha256/ab/{'ab' * 30}",
        f"blobs/sha512/ab/{'ab' * 31}",
        f"{single_path(DIGEST)}/x",
    ):
        assert digest_of(foreign) is None

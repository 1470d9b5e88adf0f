"""What was erased is in no file of a SQLite database any more, whatever pages it went through before."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import make_url

from carnet_server.database.engine import Database
from carnet_server.log.service import LogService
from tests.support.registry import OPERATOR
from tests.support.rollouts import CHAMPION, RolloutRegistry

NOTES = 60
TERMS = {"erase": {"notes_after": "1d"}}


def text_of(number):
    """A note's text: short ones lie in a page with others, long ones have pages of their own."""
    return f"note {number:03} about Jane Doe {'of branch 12 ' * (number * 7 % 150)}."


@pytest.fixture
async def registry(tmp_path):
    registry = RolloutRegistry(tmp_path, policy_fields={"retention": TERMS})
    await registry.start()
    await registry.fill()
    yield registry
    registry.stop()


def files_of(registry):
    path = Path(make_url(registry.database.url).database)
    return {each.name: each.read_bytes() for each in path.parent.iterdir() if each.name.startswith(path.name)}


def found_in(registry, text):
    return [name for name, data in files_of(registry).items() if text.encode() in data]


async def noted(registry):
    """Move an alias back and forth with notes, and return the notes' digests."""
    for number in range(NOTES):
        await registry.aliases.set_alias(
            registry.caller(OPERATOR),
            CHAMPION,
            1 + number % 3,
            expected_revision=None,
            note=text_of(number),
            request_id="",
        )
    moves, _ = await registry.aliases.list_moves(CHAMPION, page_size=1000, page_token="")
    return {move.note: move.note_digest for move in moves if move.note}


async def erase(registry, digest):
    await registry.erasing.erase(registry.caller(OPERATOR), digest, reason_code="person-request", note="")


async def test_the_text_is_in_no_file_afterwards(registry):
    digests = await noted(registry)
    assert len(digests) == NOTES
    assert all(found_in(registry, f"note {number:03} about") for number in range(NOTES))
    registry.clock.now += timedelta(days=2)
    for number in range(0, NOTES, 2):
        await erase(registry, digests[text_of(number)])
        assert found_in(registry, f"note {number:03} about") == []
    gone = [number for number in range(NOTES) if not found_in(registry, f"note {number:03} about")]
    assert gone == list(range(0, NOTES, 2))


async def test_a_reader_in_the_way_is_waited_for_no_longer_than_it_takes(registry, monkeypatch):
    """Erased is erased, though a reader of an older state keeps the bytes in the write-ahead log a while."""
    monkeypatch.setattr("carnet.serving.engine.BUSY_TIMEOUT_MS", 50)
    short = Database(registry.database.url)
    digests = await noted(registry)
    registry.clock.now += timedelta(days=2)
    with short.reader_engine.begin() as reader:
        reader.exec_driver_sql("SELECT count(*) FROM documents").scalar()
        service = registry.erasing
        service._database = short
        await erase(registry, digests[text_of(1)])
        assert await LogService(registry.database).document(digests[text_of(1)]) is None
        assert found_in(registry, "note 001 about")
    assert short.flush_deleted()
    assert not found_in(registry, "note 001 about")
    short.close()

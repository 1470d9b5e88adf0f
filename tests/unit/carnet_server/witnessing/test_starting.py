"""What a registry asks its witnesses before it serves."""

from __future__ import annotations

import asyncio

import pytest

from carnet.errors import LogTamperedError
from carnet.translog.checkpoint import Checkpoint, sign_checkpoint
from carnet.translog.keys import LogKey
from carnet_server.witnessing import starting
from carnet_server.witnessing.starting import require_whole_history


@pytest.fixture
def start(registry, witnesses):
    async def start():
        verifier = registry.state.log_key.verifier
        await require_whole_history(registry.database, registry.log, verifier, witnesses)

    return start


async def test_a_log_that_continues_what_is_held_is_served(registry, witnesses, start):
    witnesses["one"].held = registry.log.checkpoint
    await registry.add_version(1)
    await start()


@pytest.mark.parametrize(
    ("more", "kind"), [(1, "restored-backup"), (0, "equivocation"), (-1, "equivocation")]
)
async def test_a_log_that_does_not_is_not_served(registry, witnesses, start, forked, more, kind):
    await registry.add_version(1)
    witnesses["two"].held = forked(registry.log.size + more)
    witnesses["one"].away = True
    with pytest.raises(LogTamperedError, match=f"^{kind}, shown by the witness two"):
        await start()


async def test_witnesses_that_are_away_or_silent_keep_nothing_from_starting(
    registry, witnesses, start, monkeypatch
):
    monkeypatch.setattr(starting, "START_SECONDS", 0.01)

    async def never(origin):
        await asyncio.Event().wait()

    witnesses["one"].away = True
    witnesses["two"].newest = never
    await start()


async def test_a_larger_checkpoint_counts_only_by_the_logs_own_key(registry, witnesses, start):
    stranger = LogKey.generate(registry.state.log_key.name)
    other = LogKey.generate("example.com/another")
    larger = registry.log.size + 5
    witnesses["one"].held = sign_checkpoint(Checkpoint(stranger.name, larger, b"\1" * 32), stranger)
    witnesses["two"].held = sign_checkpoint(Checkpoint(other.name, larger, b"\1" * 32), other)
    witnesses["three"].held = "nonsense"
    await start()

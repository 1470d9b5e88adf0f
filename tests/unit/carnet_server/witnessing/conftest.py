"""Witnesses in memory, which keep to the rule unless a test has them do otherwise."""

from __future__ import annotations

import pytest

from carnet.errors import UnavailableError
from carnet.translog.checkpoint import Checkpoint, parse_checkpoint, sign_checkpoint
from carnet.translog.cosignature import cosign_checkpoint
from carnet.translog.keys import KeyType, LogKey
from carnet.translog.note import parse_note
from carnet.translog.witness_request import consider

NAMES = ("one", "two", "three")


class MemoryWitness:
    """A witness that keeps to the rule, in this process."""

    def __init__(self, name, verifier):
        self.key = LogKey.generate(f"witness.test/{name}", key_type=KeyType.COSIGNATURE_V1)
        self.verifier = verifier
        self.held = ""
        self.away = False
        self.asked = 0

    async def add_checkpoint(self, request, *, anchor):
        self.asked += 1
        if self.away:
            raise UnavailableError("nobody is there")
        held = parse_checkpoint(self.held, self.verifier) if self.held else None
        consider(held, request.old_size, request.proof, parse_checkpoint(request.checkpoint, self.verifier))
        self.held = cosign_checkpoint(request.checkpoint, self.verifier, self.key, timestamp=1_772_000_000)
        return [str(parse_note(self.held).signatures[-1])]

    async def newest(self, origin):
        if self.away:
            raise UnavailableError("nobody is there")
        return self.held

    async def close(self):
        pass


@pytest.fixture
def witnesses(registry):
    return {name: MemoryWitness(name, registry.state.log_key.verifier) for name in NAMES}


@pytest.fixture
def forked(registry):
    """Makes a checkpoint by the log's own key over another history."""
    key = registry.state.log_key
    return lambda size: sign_checkpoint(Checkpoint(key.name, size, b"\1" * 32), key)

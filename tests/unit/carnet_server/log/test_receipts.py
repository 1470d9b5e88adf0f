"""Receipts for rows that were read before their checkpoint was signed."""

from __future__ import annotations

import asyncio

import pytest

from carnet.errors import UnavailableError
from carnet.translog.receipt import verify_receipt
from carnet_server.log import service


async def test_an_entry_that_is_not_signed_yet_is_waited_for(registry):
    index = registry.log.size + 1
    waiting = asyncio.ensure_future(registry.log.signed_receipt(index))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await registry.add_version(1)
    async with asyncio.timeout(10):
        receipt = await waiting
    assert receipt.index == index
    assert verify_receipt(receipt, registry.state.log_key.verifier).type == "version.published"
    assert not registry.log._subscriptions


async def test_waiting_ends_when_nothing_is_signed_or_the_registry_stops(registry, monkeypatch):
    waiting = asyncio.ensure_future(registry.log.signed_receipt(registry.log.size))
    await asyncio.sleep(0)
    registry.log.close()
    with pytest.raises(UnavailableError, match="not signed yet"):
        await waiting
    monkeypatch.setattr(service, "SIGNED_WITHIN_SECONDS", 0.01)
    with pytest.raises(UnavailableError, match="not signed yet"):
        await registry.log.signed_receipt(registry.log.size)

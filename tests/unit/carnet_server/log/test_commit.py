"""Receipts out of what one commit added: they verify, whatever was there before and however much came."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from carnet.translog.checkpoint import Checkpoint, sign_checkpoint
from carnet.translog.entry import Actor, Entry, EntryType
from carnet.translog.keys import LogKey
from carnet.translog.receipt import verify_receipt
from carnet.translog.tree import Frontier, leaf_hash
from carnet_server.log.commit import Commit

KEY = LogKey.generate("carnet.test/dev")


def entry(number):
    return Entry(
        event_id=str(number),
        type=EntryType.ALIAS_MOVED,
        environment="dev",
        time=datetime(2026, 3, 1, tzinfo=UTC),
        actor=Actor("spiffe://carnet.test/person/alice", "", "mtls"),
        subject={"namespace": "risk", "model": "fraud", "alias": "latest"},
    )


def commit(before, added):
    """What a commit of so many entries behind so many others is."""
    frontier = Frontier()
    for number in range(before):
        frontier.append(leaf_hash(entry(number).to_bytes()))
    nodes = {(level, at): value for level, at, value in frontier.nodes()}
    entries = tuple(entry(number) for number in range(before, before + added))
    for at, each in enumerate(entries, before):
        nodes[0, at] = leaf_hash(each.to_bytes())
        nodes |= {(level, place): value for level, place, value in frontier.append(nodes[0, at])}
    head = sign_checkpoint(Checkpoint(KEY.name, frontier.size, frontier.root()), KEY)
    return Commit(before, entries, head, frontier.size, nodes)


@pytest.mark.parametrize("before", [0, 1, 2, 3, 5, 7, 8, 11, 31, 32, 33, 100])
@pytest.mark.parametrize("added", [1, 2, 3, 4, 7, 8, 9, 33, 64])
def test_every_entry_of_it_is_proved_by_what_it_has(before, added):
    made = commit(before, added)
    assert not made.has(before - 1)
    assert not made.has(before + added)
    for index in range(before, before + added):
        assert made.has(index)
        receipt = made.receipt(index)
        assert receipt.index == index
        assert verify_receipt(receipt, KEY.verifier) == made.entries[index - before]

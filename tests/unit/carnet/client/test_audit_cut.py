"""Where copies of several logs end, so that they fit together."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from carnet import errors
from carnet.client import audit_cut
from carnet.client.audit_cut import cut_of
from carnet.registry.v1 import log_pb2
from carnet.translog.checkpoint import Checkpoint, sign_checkpoint
from carnet.translog.entry import Actor, Entry, EntryType
from carnet.translog.keys import LogKey
from carnet.translog.tree import leaf_hash, root_of

BEGINNING = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Registry:
    """A registry that answers for a log which grows each time it is asked for its checkpoint."""

    def __init__(self, name):
        self.key = LogKey.generate(f"example.com/{name}")
        self.name, self.entries, self.witnessed, self.asked = name, [], "", 0
        self.before_checkpoint = lambda: None
        self.log = self

    def add(self, kind=EntryType.ALIAS_REMOVED, **changes):
        actor = Actor("spiffe://example.com/ci", "", "mtls")
        values = {"event_id": f"{len(self.entries)}", "environment": self.name, "time": BEGINNING}
        self.entries.append(Entry(type=kind, actor=actor, subject={}, **values, **changes).to_bytes())

    def anchor(self, other):
        told = f"{other.key.name} {len(other.entries)}"
        self.add(EntryType.ANCHOR_RECORDED, old=f"{other.key.name} 0", new=told)

    async def call(self, method, request):
        return method(request)

    def GetCheckpoint(self, request):  # noqa: N802  the contract's name
        self.before_checkpoint()
        self.asked += 1
        head = Checkpoint(self.key.name, len(self.entries), root_of(map(leaf_hash, self.entries)))
        return log_pb2.GetCheckpointResponse(
            checkpoint=sign_checkpoint(head, self.key), witnessed_checkpoint=self.witnessed
        )

    def ListEntries(self, request):  # noqa: N802  the contract's name
        found = [log_pb2.LogEntry(index=index, entry=entry) for index, entry in enumerate(self.entries)]
        return log_pb2.ListEntriesResponse(
            entries=found[request.start_index : request.start_index + request.page_size]
        )


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(audit_cut, "_PAUSE_SECONDS", 0)
    monkeypatch.setattr(audit_cut, "FIRST_WITNESSED_SECONDS", 0.2)


@pytest.fixture
def registries():
    made = {name: Registry(name) for name in ("dev", "prod")}
    for each in made.values():
        each.add()
    return made


async def test_an_anchor_of_a_later_size_than_was_chosen_makes_it_choose_again(registries):
    dev, prod = registries.values()

    def happen():
        if prod.asked == 0:  # dev was asked already: what it adds now and prod anchors is too late for it
            dev.add()
            prod.anchor(dev)

    prod.before_checkpoint = happen
    cuts = await cut_of(registries, witnessed=frozenset())
    assert {name: cut.size for name, cut in cuts.items()} == {"dev": 2, "prod": 2}
    assert (dev.asked, prod.asked) == (2, 2)


async def test_a_log_that_never_comes_to_rest_is_copied_as_it_is(registries):
    dev, prod = registries.values()

    def happen():
        dev.add()
        prod.anchor(dev)

    prod.before_checkpoint = happen
    cuts = await cut_of(registries, witnessed=frozenset())
    assert cuts["prod"].size == prod.asked + 1


async def test_entries_that_are_none_do_not_keep_a_log_from_being_copied(registries):
    registries["dev"].entries.append(b"no entry")
    registries["prod"].add(EntryType.ANCHOR_RECORDED, old="x", new="x y")
    cuts = await cut_of(registries, witnessed=frozenset())
    assert [cut.size for cut in cuts.values()] == [2, 2]


async def test_only_a_log_that_nobody_has_witnessed_yet_is_waited_for(registries):
    dev = registries["dev"]

    def happen():
        if dev.asked == 2:
            dev.witnessed = "witnessed"

    dev.before_checkpoint = happen
    cuts = await cut_of(registries, witnessed=frozenset({"dev"}))
    assert cuts["dev"].witnessed == "witnessed"
    assert dev.asked == 3
    dev.add()
    await cut_of(registries, witnessed=frozenset({"dev"}))
    assert dev.asked == 4


async def test_a_log_that_nobody_witnesses_is_copied_in_the_end(registries):
    cuts = await cut_of(registries, witnessed=frozenset({"prod"}))
    assert cuts["prod"].witnessed == ""


async def test_an_answer_that_is_no_checkpoint_is_refused(registries):
    registries["dev"].GetCheckpoint = lambda request: log_pb2.GetCheckpointResponse(checkpoint="nonsense")
    with pytest.raises(errors.ProofInvalidError):
        await cut_of(registries, witnessed=frozenset())

"""Having checkpoints cosigned, by witnesses that keep to the rule and by some that do not."""

from __future__ import annotations

import pytest

from carnet.errors import CarnetError, ConflictError, NotFoundError
from carnet.references import ResourceName
from carnet.registry.v1 import aliases_pb2, log_pb2, models_pb2
from carnet.translog.checkpoint import Checkpoint, sign_checkpoint
from carnet.translog.finality import Finality, finality_of
from carnet.translog.keys import KeyType, LogKey
from carnet.translog.receipt import verify_receipt
from carnet.translog.witness_policy import parse_witness_policy
from carnet_server.aliases.servicer import AliasServicer
from carnet_server.log.proto import receipt_to_proto
from carnet_server.log.servicer import LogServicer
from carnet_server.models.servicer import ModelServicer
from carnet_server.witnessing.asking import Asking
from tests.support.registry import OPERATOR

STRANGER = LogKey.generate("witness.test/new", key_type=KeyType.COSIGNATURE_V1)
UNMET = f"witness new {STRANGER.verifier.vkey}\nquorum new\n"


@pytest.fixture
def policy(witnesses):
    lines = [f"witness {name} {each.key.verifier.vkey}" for name, each in witnesses.items()]
    text = "\n".join([*lines, f"group most 2 {' '.join(witnesses)}", "quorum most"])
    return parse_witness_policy(text.encode(), name="witnesses.policy")


@pytest.fixture
def make_asking(registry, witnesses, policy):
    def make(**options):
        made = Asking(
            registry.state,
            registry.database,
            registry.writer,
            registry.log,
            **({"policy": policy, "links": witnesses} | options),
        )
        registry.log.witnessed = lambda: made.final_checkpoint
        registry.log.cosigned = made.cosigned
        registry.log.demands_witnesses = policy.demands_witnesses
        return made

    return make


@pytest.fixture
def asking(make_asking):
    return make_asking()


async def test_receipts_show_by_themselves_what_a_quorum_has_witnessed(registry, asking, policy):
    verifier = registry.state.log_key.verifier
    first = registry.log.size
    await registry.add_version(1)
    committed = await registry.log.receipt(first)
    assert committed.finality is Finality.COMMITTED
    assert finality_of(committed.checkpoint, policy) is Finality.COMMITTED
    await asking.tick()
    final = await registry.log.receipt(first)
    assert final.finality is Finality.FINAL
    assert finality_of(final.checkpoint, policy) is Finality.FINAL
    assert receipt_to_proto(final).finality == log_pb2.FINALITY_FINAL
    assert verify_receipt(final, verifier).environment == "dev"
    second = registry.log.size
    await registry.add_version(2)
    newer = await registry.log.receipt(second)
    assert (newer.finality, newer.tree_size) == (Finality.COMMITTED, registry.log.size)
    assert (await registry.log.receipt(first)).finality is Finality.FINAL
    with pytest.raises(NotFoundError, match="no quorum of witnesses"):
        await registry.log.receipt(second, witnessed=True)
    with pytest.raises(NotFoundError, match="has no entry"):
        await registry.log.receipt(registry.log.size, witnessed=True)


async def test_answers_about_versions_and_aliases_say_whether_they_are_final(registry, asking):
    models = ModelServicer(registry.models, registry.state, registry.log)
    aliases = AliasServicer(registry.aliases, registry.state, registry.log)
    model, alias = "namespaces/risk/models/fraud", "namespaces/risk/models/fraud/aliases/live"
    await registry.add_version(1)
    await asking.tick()
    await registry.aliases.set_alias(
        registry.caller(OPERATOR),
        ResourceName("risk", "fraud", alias="live"),
        1,
        expected_revision=None,
        note="",
        request_id="1" * 32,
    )
    version = await models.GetVersion(models_pb2.GetVersionRequest(name=f"{model}/versions/1"), None)
    assert version.version.finality == log_pb2.FINALITY_FINAL
    for expected in (log_pb2.FINALITY_COMMITTED, log_pb2.FINALITY_FINAL):
        one = await aliases.GetAlias(aliases_pb2.GetAliasRequest(name=alias), None)
        (listed,) = (await aliases.ListAliases(aliases_pb2.ListAliasesRequest(parent=model), None)).aliases
        (move,) = (await aliases.ListAliasMoves(aliases_pb2.ListAliasMovesRequest(parent=alias), None)).moves
        assert {one.alias.finality, listed.finality, move.finality} == {expected}
        resolved = await models.ResolveVersion(models_pb2.ResolveVersionRequest(name=alias), None)
        assert (resolved.alias.finality, resolved.receipt.finality) == (expected, expected)
        assert resolved.version.finality == log_pb2.FINALITY_FINAL
        await asking.tick()


async def test_fewer_than_a_quorum_make_nothing_final_and_their_cosignatures_are_shown(
    registry, asking, witnesses, policy
):
    for name in ("two", "three"):
        witnesses[name].away = True
    await asking.tick()
    assert (await registry.log.receipt(0)).finality is Finality.COMMITTED
    answer = await LogServicer(registry.log).GetCheckpoint(log_pb2.GetCheckpointRequest(), None)
    assert answer.witnessed_checkpoint == ""
    assert set(policy.cosigners(answer.checkpoint)) == {"one"}
    assert asking.standing["two"].problem
    assert not asking.alarms
    await registry.add_version(1)
    answer = await LogServicer(registry.log).GetCheckpoint(log_pb2.GetCheckpointRequest(), None)
    assert not policy.cosigners(answer.checkpoint)


async def test_cosignatures_are_taken_up_after_a_start(registry, asking, make_asking, policy):
    await asking.tick()
    again = make_asking()
    await again.load()
    assert again.final_size == registry.log.size
    assert set(policy.cosigners(again.cosigned(registry.log.checkpoint))) == {"one", "two", "three"}


async def test_what_another_policy_called_final_is_not_after_a_start(
    registry, asking, make_asking, witnesses
):
    await asking.tick()
    assert asking.final_size
    for text in (f"witness one {witnesses['one'].key.verifier.vkey}\nquorum none\n", UNMET):
        again = make_asking(policy=parse_witness_policy(text.encode(), name="witnesses.policy"))
        await again.load()
        assert (again.final_size, again.final_checkpoint) == (0, "")


async def test_where_nobody_is_asked_nothing_is_said_of_finality(registry):
    receipt = await registry.log.receipt(0)
    assert receipt.finality is Finality.UNSPECIFIED
    assert receipt_to_proto(receipt).finality == log_pb2.FINALITY_UNSPECIFIED


async def test_a_new_log_is_in_a_hurry_until_something_of_it_is_final(registry, make_asking, witnesses):
    asking = make_asking(every_seconds=100_000.0)
    witnesses["two"].away = witnesses["three"].away = True
    await asking.look()
    assert not asking.final_size
    for standing in asking.standing.values():
        standing._next = 0.0
    witnesses["two"].away = witnesses["three"].away = False
    await asking.look()
    assert asking.final_size == registry.log.size
    await registry.add_version(1)
    asked = witnesses["one"].asked
    await asking.look()
    assert witnesses["one"].asked == asked
    assert asking.final_size < registry.log.size


async def test_a_history_that_was_changed_in_place_is_alarmed_at_the_next_exchange(
    registry, asking, witnesses, forked
):
    """The database says the size that the witness holds, and the witness holds another history of it."""
    await asking.tick()
    witnesses["one"].held = forked(asking.standing["one"].size)
    await registry.add_version(1)
    await asking.tick()
    (alarm,) = asking.alarms
    assert alarm.kind == "equivocation"
    assert alarm.message.startswith("one: ")
    assert alarm.held == witnesses["one"].held
    with pytest.raises(CarnetError, match="nothing is added to this log"):
        await registry.add_version(2)
    assert (await registry.log.receipt(0)).entry_bytes  # reading goes on


async def test_a_log_that_was_cut_is_alarmed_at_the_next_exchange(registry, asking, witnesses, forked):
    witnesses["one"].held = forked(registry.log.size + 5)
    await asking.tick()
    assert [each.kind for each in asking.alarms] == ["restored-backup"]


@pytest.mark.parametrize("by_another", [True, False])
async def test_a_witness_that_merely_says_so_alarms_nobody(registry, asking, witnesses, by_another):
    size = registry.log.size + 5
    stranger = LogKey.generate(registry.state.log_key.name)

    async def conflict(request, *, anchor):
        raise ConflictError("it holds more", metadata={"size": str(size)})

    async def newest(origin):
        return sign_checkpoint(Checkpoint(stranger.name, size, b"\1" * 32), stranger) if by_another else ""

    witnesses["one"].add_checkpoint, witnesses["one"].newest = conflict, newest
    await asking.tick()
    assert not asking.alarms
    assert asking.standing["one"].problem
    assert asking.final_size == registry.log.size  # the two others are a quorum
    await registry.add_version(1)

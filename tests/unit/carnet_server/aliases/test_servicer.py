"""AliasService: messages in, messages out."""

from __future__ import annotations

import pytest

from carnet.errors import ConflictError, ReferenceInvalidError
from carnet.registry.v1 import aliases_pb2 as pb
from carnet.translog.receipt import verify_receipt
from carnet_server.access.scope import enter_scope
from carnet_server.aliases.servicer import AliasServicer
from carnet_server.log.proto import receipt_from_proto
from tests.support.registry import OPERATOR

CHAMPION = "namespaces/risk/models/fraud/aliases/champion"


@pytest.fixture
async def servicer(registry):
    for number in (1, 2):
        await registry.add_version(number)
    return AliasServicer(registry.aliases, registry.state, registry.log)


async def test_set_get_list_roll_back_and_delete(registry, servicer):
    enter_scope(registry.caller(OPERATOR))
    made = await servicer.SetAlias(
        pb.SetAliasRequest(name=CHAMPION, version=1, expected_revision=0, note="first"), None
    )
    assert (made.alias.name, made.alias.version, made.alias.revision) == (CHAMPION, 1, 1)
    assert not made.alias.protected
    verify_receipt(receipt_from_proto(made.receipt), registry.state.log_key.verifier)
    await servicer.SetAlias(pb.SetAliasRequest(name=CHAMPION, version=2), None)
    back = await servicer.RollbackAlias(
        pb.RollbackAliasRequest(name=CHAMPION, reason_code="bad-metrics", note="why"), None
    )
    assert (back.alias.version, back.rolled_back_version) == (1, 2)
    got = await servicer.GetAlias(pb.GetAliasRequest(name=CHAMPION), None)
    listed = await servicer.ListAliases(pb.ListAliasesRequest(parent="namespaces/risk/models/fraud"), None)
    assert list(listed.aliases) == [got.alias] == [back.alias]
    await servicer.DeleteAlias(pb.DeleteAliasRequest(name=CHAMPION, expected_revision=3), None)
    moves = (await servicer.ListAliasMoves(pb.ListAliasMovesRequest(parent=CHAMPION), None)).moves
    assert [move.kind for move in moves] == [
        pb.ALIAS_MOVE_KIND_REMOVED,
        pb.ALIAS_MOVE_KIND_ROLLED_BACK,
        pb.ALIAS_MOVE_KIND_SET,
        pb.ALIAS_MOVE_KIND_SET,
    ]
    assert (moves[1].reason_code, moves[1].note, moves[3].note) == ("bad-metrics", "why", "first")
    assert moves[0].create_time.seconds > 0


async def test_an_absent_revision_is_any_and_zero_is_none(registry, servicer):
    enter_scope(registry.caller(OPERATOR))
    request = pb.SetAliasRequest(name=CHAMPION, version=1)
    await servicer.SetAlias(request, None)
    await servicer.SetAlias(request, None)
    request.expected_revision = 0
    with pytest.raises(Exception, match="revision 0 was expected"):
        await servicer.SetAlias(request, None)


async def test_protection_is_shown(registry, servicer):
    enter_scope(registry.caller(OPERATOR))
    await servicer.SetAlias(pb.SetAliasRequest(name=CHAMPION, version=1), None)
    registry.set_policy(protected_aliases=["champion"])
    servicer = AliasServicer(registry.aliases, registry.state, registry.log)
    assert (await servicer.GetAlias(pb.GetAliasRequest(name=CHAMPION), None)).alias.protected


async def test_marks_are_made_told_and_taken_away(registry, servicer):
    enter_scope(registry.caller(OPERATOR))
    for version in (1, 2):
        await servicer.SetAlias(pb.SetAliasRequest(name=CHAMPION, version=version), None)
    made = await servicer.MarkChampion(
        pb.MarkChampionRequest(name=CHAMPION, version=1, expected_marked_version=0, note="quiet"), None
    )
    assert (made.alias.version, made.alias.marked_version, made.old_marked_version) == (2, 1, 0)
    assert (made.alias.marked_by, made.alias.mark_note) == (OPERATOR, "quiet")
    verify_receipt(receipt_from_proto(made.receipt), registry.state.log_key.verifier)
    got = await servicer.GetAlias(pb.GetAliasRequest(name=CHAMPION), None)
    listed = await servicer.ListAliases(pb.ListAliasesRequest(parent="namespaces/risk/models/fraud"), None)
    assert list(listed.aliases) == [got.alias] == [made.alias]
    assert got.alias.mark_time.seconds > 0
    with pytest.raises(ConflictError):
        await servicer.UnmarkChampion(
            pb.UnmarkChampionRequest(name=CHAMPION, expected_marked_version=0), None
        )
    back = await servicer.RollbackAlias(
        pb.RollbackAliasRequest(name=CHAMPION, reason_code="bad", to_mark=True), None
    )
    assert back.alias.version == 1
    cleared = await servicer.UnmarkChampion(pb.UnmarkChampionRequest(name=CHAMPION), None)
    assert (cleared.alias.marked_version, cleared.old_marked_version) == (0, 1)
    assert not cleared.alias.HasField("mark_time")
    verify_receipt(receipt_from_proto(cleared.receipt), registry.state.log_key.verifier)


async def test_watching_streams_states(registry, servicer):
    enter_scope(registry.caller(OPERATOR))
    stream = servicer.WatchAlias(pb.WatchAliasRequest(name=CHAMPION), None)
    first = await anext(stream)
    assert (first.alias.name, first.alias.version) == (CHAMPION, 0)
    await servicer.SetAlias(pb.SetAliasRequest(name=CHAMPION, version=2), None)
    assert (await anext(stream)).alias.version == 2
    await stream.aclose()
    assert not registry.log._subscriptions


@pytest.mark.parametrize("name", ["", "champion", "namespaces/risk/models/fraud", CHAMPION + "/x"])
async def test_other_names_are_refused(registry, servicer, name):
    enter_scope(registry.caller(OPERATOR))
    for call in (
        servicer.GetAlias(pb.GetAliasRequest(name=name), None),
        servicer.SetAlias(pb.SetAliasRequest(name=name, version=1), None),
        servicer.DeleteAlias(pb.DeleteAliasRequest(name=name), None),
        servicer.RollbackAlias(pb.RollbackAliasRequest(name=name), None),
        servicer.MarkChampion(pb.MarkChampionRequest(name=name, version=1), None),
        servicer.UnmarkChampion(pb.UnmarkChampionRequest(name=name), None),
        servicer.ListAliasMoves(pb.ListAliasMovesRequest(parent=name), None),
    ):
        with pytest.raises(ReferenceInvalidError):
            await call

"""Bad input to the alias service gets a typed error, and nothing is written."""

from __future__ import annotations

import asyncio

import pytest

from carnet.errors import InvalidInputError, OffsetOutOfRangeError, UnavailableError
from carnet.references import ResourceName
from carnet_server.aliases.watch import MOVES_KEPT
from tests.support.registry import FRAUD, OPERATOR

CHAMPION = ResourceName("risk", "fraud", alias="champion")


@pytest.mark.parametrize(
    "given",
    [
        {"version": 0},
        {"version": -1},
        {"version": 2**31},
        {"expected_revision": -1},
        {"note": "x" * 2001},
        {"request_id": "x" * 65},
    ],
)
async def test_setting_refuses_malformed_arguments(registry, given):
    await registry.add_version(1)
    asked = {"version": 1, "expected_revision": None, "note": "", "request_id": ""} | given
    with pytest.raises(InvalidInputError):
        await registry.aliases.set_alias(registry.caller(OPERATOR), CHAMPION, asked.pop("version"), **asked)
    assert await registry.count("alias_moves") == 0


@pytest.mark.parametrize(
    "given",
    [
        {"reason_code": ""},
        {"reason_code": "X"},
        {"version": -1},
        {"note": "x" * 2001},
        {"request_id": "x" * 65},
    ],
)
async def test_rolling_back_refuses_malformed_arguments(registry, given):
    asked = {"version": 0, "reason_code": "bad-metrics", "note": "", "request_id": ""} | given
    with pytest.raises(InvalidInputError):
        await registry.aliases.roll_back(registry.caller(OPERATOR), CHAMPION, **asked)


@pytest.mark.parametrize("after", [-1, 1, 2**62])
async def test_a_revision_that_was_never_there_cannot_be_watched_from(registry, after):
    with pytest.raises(OffsetOutOfRangeError, match="after_revision"):
        await anext(registry.watch(CHAMPION, after))


async def test_watchers_end_when_the_registry_stops(registry):
    states = registry.watch(CHAMPION, 0)
    await anext(states)
    registry.log.close()
    with pytest.raises(UnavailableError, match="stopping"):
        await anext(states)


async def test_a_watcher_that_fell_too_far_behind_starts_again(registry):
    for number in (1, 2):
        await registry.add_version(number)
    behind, present = registry.watch(CHAMPION, 0), registry.watch(CHAMPION, 0)
    for states in (behind, present):
        await anext(states)
    for revision in range(MOVES_KEPT + 1):
        await registry.aliases.set_alias(
            registry.caller(OPERATOR),
            CHAMPION,
            1 + revision % 2,
            expected_revision=revision,
            note="",
            request_id="",
        )
        assert (await anext(present)).revision == revision + 1
    with pytest.raises(UnavailableError, match="behind"):
        await anext(behind)
    again = registry.watch(CHAMPION, 1)
    assert (await anext(again)).revision == MOVES_KEPT + 1
    for states in (present, again):
        await states.aclose()


async def test_nothing_is_kept_of_an_alias_that_nobody_watches_any_more(registry):
    watching = [registry.watch(CHAMPION, 0) for _ in range(3)]
    for states in watching:
        await anext(states)
    telling = asyncio.create_task(anext(watching.pop()))
    await asyncio.sleep(0.01)
    telling.cancel()
    await asyncio.gather(telling, return_exceptions=True)
    for states in watching:
        await states.aclose()
    assert not registry.log._subscriptions


async def test_aliases_are_listed_in_pages_by_name(registry):
    await registry.add_version(1)
    for alias in ("shadow", "champion", "challenger"):
        await registry.aliases.set_alias(
            registry.caller(OPERATOR),
            ResourceName("risk", "fraud", alias=alias),
            1,
            expected_revision=0,
            note="",
            request_id="",
        )
    first, token = await registry.aliases.list_page(FRAUD, page_size=2, page_token="")
    rest, end = await registry.aliases.list_page(FRAUD, page_size=2, page_token=token)
    assert [alias.alias for alias in first + rest] == ["challenger", "champion", "shadow"]
    assert end == ""


async def test_a_token_of_another_query_and_a_negative_size_are_refused(registry):
    await registry.add_version(1)
    for asked in ({"page_token": "bm9uc2Vuc2U="}, {"page_token": "é"}, {"page_size": -1}):
        with pytest.raises(InvalidInputError):
            await registry.aliases.list_page(FRAUD, **({"page_size": 0, "page_token": ""} | asked))
        with pytest.raises(InvalidInputError):
            await registry.aliases.list_moves(CHAMPION, **({"page_size": 0, "page_token": ""} | asked))

"""From when until when hosts said that they run a version: what the log has of their reports.

Service objects over real storage, no transport; in the end the table is compared with the log.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from carnet.translog.entry import EntryType
from carnet_server.aliases import running
from carnet_server.aliases.serving import REFRESHED_AFTER, REPORT_TTL
from tests.support.house import CHAMPION, a_house
from tests.support.registry import OPERATOR, READER

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def house(tmp_path, storage):
    async with a_house(tmp_path, storage) as house:
        yield house


async def told(house):
    """What the log has: version, old and new of each entry."""
    entries = await house.told(EntryType.SERVING_OBSERVED)
    for entry in entries:
        assert entry.subject["bundle_digest"] == house.digests[entry.subject["version"]]
        assert entry.subject["alias"] == "champion"
    return [(entry.subject["version"], entry.old or "", entry.new or "") for entry in entries]


async def test_a_version_begins_with_its_first_host_and_ends_with_its_last(house):
    await house.say(house.digests[2], 2)
    await house.say(house.digests[2], 2, instance="host-b")
    await house.say(house.digests[2], 2, by=OPERATOR)
    assert await told(house) == [(2, "", "running")]
    house.clock.ahead = MINUTE
    await house.say(house.digests[3], 3)
    await house.say(house.digests[3], 3, instance="host-b")
    assert await told(house) == [(2, "", "running"), (3, "", "running")]
    await house.say(house.digests[3], 3, by=OPERATOR)
    assert await told(house) == [(2, "", "running"), (3, "", "running"), (2, "running", "")]
    first, _, last = await house.told(EntryType.SERVING_OBSERVED)
    assert (first.actor.subject, last.actor.subject) == (READER, OPERATOR)


async def test_a_host_that_went_silent_does_not_keep_a_version_running(house):
    await house.say(house.digests[2], 2, instance="silent")
    house.clock.ahead = MINUTE
    await house.say(house.digests[2], 2)
    house.clock.ahead = REPORT_TTL + REFRESHED_AFTER
    await house.say(house.digests[3], 3)
    assert await told(house) == [(2, "", "running"), (3, "", "running"), (2, "running", "")]


async def test_what_nobody_says_any_more_ends_with_the_next_look(house):
    await house.say(house.digests[3], 3)
    await house.aliases.running.look()
    assert await told(house) == [(3, "", "running")]
    house.clock.ahead = REPORT_TTL + timedelta(seconds=1)
    for _ in range(2):
        await house.aliases.running.look()
    assert await told(house) == [(3, "", "running"), (3, "running", "")]
    assert (await house.told(EntryType.SERVING_OBSERVED))[-1].actor == house.state.actor
    await house.say(house.digests[3], 3)
    assert (await told(house))[2:] == [(3, "", "running")]


async def test_hosts_that_go_to_and_fro_do_not_fill_the_log(house):
    for _ in range(10):
        for version in (2, 3):
            await house.say(house.digests[version], version)
    assert await told(house) == [(2, "", "running"), (3, "", "running")]


async def test_a_version_lasts_a_minute_whoever_looks_meanwhile(house):
    house.clock.ahead = REPORT_TTL
    for version in (2, 3):
        await house.say(house.digests[version], version)
    await house.aliases.running.look()
    assert await told(house) == [(2, "", "running"), (3, "", "running")]
    house.clock.ahead += MINUTE
    await house.aliases.running.look()
    assert await told(house) == [(2, "", "running"), (3, "", "running"), (2, "running", "")]


async def test_hosts_have_time_to_report_after_a_restart(house):
    await house.say(house.digests[3], 3)
    ahead = house.clock.ahead = timedelta(hours=1)
    house.wire()
    house.clock.ahead = ahead
    house.aliases.running._started_at = house.clock()
    await house.aliases.running.look()
    assert await told(house) == [(3, "", "running")]
    house.clock.ahead += REPORT_TTL
    await house.aliases.running.look()
    assert await told(house) == [(3, "", "running"), (3, "running", "")]


async def test_what_was_never_here_is_a_drift_and_no_version(house):
    await house.say("9" * 64, 3)
    assert await told(house) == []
    assert len(await house.drifts()) == 1


async def test_of_many_versions_only_those_begin_that_the_alias_is_about(house, monkeypatch):
    monkeypatch.setattr(running, "TOLD_MAX", 1)
    await house.say(house.digests[3], 3, instance="host-c")
    await house.say(house.digests[1], 1, instance="host-a")
    await house.say(house.digests[2], 2, instance="host-b")
    assert await told(house) == [(3, "", "running"), (2, "", "running")]
    assert len(await house.drifts()) == 1


async def test_each_alias_has_what_its_own_hosts_run(house):
    shadow = CHAMPION.__class__("risk", "fraud", alias="shadow")
    await house.set(1, shadow)
    await house.say(house.digests[1], 1, name=shadow)
    await house.say(house.digests[3], 3)
    entries = await house.told(EntryType.SERVING_OBSERVED)
    assert [(each.subject["alias"], each.subject["version"]) for each in entries] == [
        ("shadow", 1),
        ("champion", 3),
    ]

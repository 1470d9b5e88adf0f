"""A registry whose aliases are followed by hosts, and observed by a clock of ours."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta

from carnet.references import ResourceName
from carnet.translog.entry import EntryType, parse_entry
from carnet_server.aliases.service import AliasesService
from tests.support.registry import OPERATOR, READER, Registry

CHAMPION = ResourceName("risk", "fraud", alias="champion")


class Clock:
    """The real time, moved ahead where a test says so."""

    ahead = timedelta()

    def __call__(self):
        return datetime.now(UTC) + self.ahead


class House(Registry):
    """A registry whose aliases are observed by a clock of ours."""

    def wire(self):
        super().wire()
        self.clock = Clock()
        self.aliases.close()
        self.aliases = AliasesService(
            self.database, self.writer, self.log, self.state, self.store, clock=self.clock
        )

    async def set(self, version, name=CHAMPION):
        await self.aliases.set_alias(
            self.caller(OPERATOR), name, version, expected_revision=None, note="", request_id=""
        )

    async def say(self, digest, revision, *, by=READER, instance="host-a", name=CHAMPION):
        return await self.aliases.report_serving(
            self.caller(by), name, instance=instance, bundle_digest=digest, revision=revision
        )

    async def drill(self, name=CHAMPION, **fields):
        asked = {"note": "", "confirmed": False, "request_id": ""} | fields
        return await self.aliases.drill(self.caller(OPERATOR), name, **asked)

    async def stale(self, days, *, by=OPERATOR, namespace="", page_size=0, page_token=""):
        return await self.aliases.list_stale(
            self.caller(by), namespace, days=days, page_size=page_size, page_token=page_token
        )

    async def serving(self, name=CHAMPION):
        return (await self.aliases.get_state(name)).serving

    async def told(self, kind):
        """The entries of one type."""
        rows = await self.log.entries(0, 1000)
        entries = [parse_entry(data) for _, data, _ in rows]
        return [each for each in entries if each.type is kind]

    async def drifts(self):
        return await self.told(EntryType.SERVING_DRIFTED)


@contextlib.asynccontextmanager
async def a_house(folder, storage):
    """A registry with three versions, each of which was the champion, the third last."""
    house = House(folder, storage=storage)
    await house.start()
    house.digests, house.files = {}, {}
    for number in (1, 2, 3):
        manifest = await house.add_version(number)
        house.digests[number], house.files[number] = manifest.digest, manifest.files[0]
        await house.set(number)
    yield house
    house.stop()

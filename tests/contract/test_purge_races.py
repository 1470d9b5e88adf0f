"""Purges, publications, uploads and collections, in any order: what is named is there, and nothing comes back."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update
from sqlmodel import SQLModel

from carnet.errors import BlobsMissingError, CarnetError, ConflictError, PurgedError
from carnet.references import ResourceName
from carnet.stages import Stage
from carnet_server.blobs.domain import Blob
from carnet_server.blobs.service import BlobsService
from carnet_server.models.queries import VERSIONS, names_blob
from carnet_server.retention.queries import may_read_blob
from tests.support.fuzzing import examples
from tests.support.registry import FRAUD, OPERATOR, Registry, make_policy, make_version

PURGE = {"keep_last": 0, "archived_for": "1d", "min_age": "1d", "grace": "2d"}
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
MANIFEST, CONTENTS = make_version(1)
((DIGEST, DATA),) = CONTENTS.items()
BLOB = Blob(DIGEST, len(DATA))


@pytest.fixture
async def registry(tmp_path, storage):
    registry = Registry(tmp_path, storage=storage, policy=make_policy(retention={"purge": PURGE}))
    await registry.start()
    yield registry
    registry.stop()


@pytest.fixture
def blobs(registry):
    service = BlobsService(
        registry.store,
        registry.database,
        registry.writer,
        readable=may_read_blob,
        is_named=names_blob,
        capability_check=lambda *_: None,
    )
    yield service
    service.close()


async def publish(registry, blobs):
    """Publish the one content under the next number, as a client does: what is missing is sent first."""
    proposal = await registry.models.propose_version(FRAUD, MANIFEST.content_digest)
    if await blobs.find_missing("risk", [BLOB]):
        await blobs.write_small("risk", [(DIGEST, DATA)])
    await registry.publish(MANIFEST.with_version(proposal.version))
    return proposal.version


async def publish_without_sending(registry, _blobs):
    """Publish as a client does that found the blob there a while ago."""
    proposal = await registry.models.propose_version(FRAUD, MANIFEST.content_digest)
    await registry.publish(MANIFEST.with_version(proposal.version))


async def archive_all(registry, _blobs):
    for version in await versions(registry):
        if version.stage is Stage.REGISTERED:
            name = ResourceName("risk", "fraud", version.version)
            await registry.models.set_stage(registry.caller(OPERATOR), name, Stage.ARCHIVED, "old")

    def write(tx):
        tx.connection.execute(update(VERSIONS).values(created_at=LONG_AGO, staged_at=LONG_AGO))

    await registry.writer.commit(write)


async def purge(registry, _blobs):
    return await registry.purge.run(
        registry.caller(OPERATOR),
        ResourceName("risk"),
        keep_last=None,
        excluded=(),
        reason="old",
        validate_only=False,
        page_size=0,
        page_token="",
    )


async def collect_in_grace(_registry, blobs):
    await blobs.collect(datetime.now(UTC) + timedelta(days=1.5))


async def collect_later(_registry, blobs):
    await blobs.collect(datetime.now(UTC) + timedelta(days=9))


async def versions(registry):
    if not await registry.count("models"):
        return []
    found, _ = await registry.models.list_versions(FRAUD, page_size=1000, page_token="")
    return found


STEPS = (publish, publish_without_sending, archive_all, purge, collect_in_grace, collect_later)


async def check(registry, blobs, seen):
    """What holds whatever happened: whole versions are whole, and what was purged stays purged."""
    files = SQLModel.metadata.tables["version_files"]
    named = await registry.database.read(
        lambda connection: set(connection.execute(select(files.c.version)).scalars())
    )
    found = await versions(registry)
    assert {version.version for version in found if not version.purged} == named
    if named:
        assert await blobs.find_missing("risk", [BLOB]) == []
        assert registry.store.read_small(BLOB) == DATA
    for version in found:
        before = seen.setdefault(version.version, version)
        assert before.bundle_digest == version.bundle_digest
        assert not before.purged or version.purged
        seen[version.version] = version


@settings(
    max_examples=examples(12),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(orders=st.lists(st.lists(st.sampled_from(STEPS), min_size=2, max_size=4), min_size=1, max_size=4))
def test_whatever_meets_what_is_named_is_whole_and_what_is_purged_stays_so(orders, tmp_path_factory):
    """Each inner list of steps is begun at once, so that their changes meet in the writer's batches."""

    async def story() -> None:
        registry = Registry(tmp_path_factory.mktemp("dev"), policy=make_policy(retention={"purge": PURGE}))
        await registry.start()
        blobs = BlobsService(
            registry.store,
            registry.database,
            registry.writer,
            readable=may_read_blob,
            is_named=names_blob,
            capability_check=lambda *_: None,
            abandoned_after=timedelta(days=30),  # collections are days ahead, and what is being sent is not
        )
        seen = {}
        try:
            for together in orders:
                outcomes = await asyncio.gather(
                    *(step(registry, blobs) for step in together), return_exceptions=True
                )
                for outcome in outcomes:
                    # Another was quicker, or the blob went: the client begins again. Nothing else may happen.
                    if isinstance(outcome, BaseException):
                        assert isinstance(outcome, CarnetError), outcome
                        assert isinstance(outcome, ConflictError | BlobsMissingError | PurgedError), outcome
                await check(registry, blobs, seen)
        finally:
            blobs.close()
            registry.stop()

    asyncio.run(story())


class Meddling:
    """A writer that lets something else happen right before its first change."""

    def __init__(self, writer, before):
        self._writer = writer
        self._before = before

    async def commit(self, change):
        before, self._before = self._before, None
        if before is not None:
            await before()
        return await self._writer.commit(change)


@pytest.mark.parametrize("late", [False, True])
async def test_a_publication_that_names_what_a_purge_lets_go_is_whole_or_refused(registry, blobs, late):
    """The client found the blob there, and between that and its commit the last version was purged."""
    await publish(registry, blobs)
    await archive_all(registry, blobs)

    async def meanwhile() -> None:
        await purge(registry, blobs)
        await (collect_later if late else collect_in_grace)(registry, blobs)

    registry.models._publisher._writer = Meddling(registry.writer, meanwhile)
    again = registry.publish(MANIFEST.with_version(2))
    if late:
        with pytest.raises(BlobsMissingError):
            await again
        assert [version.version for version in await versions(registry)] == [1]
        await blobs.write_small("risk", [(DIGEST, DATA)])
        again = registry.publish(MANIFEST.with_version(2))
    await again
    await check(registry, blobs, {})
    assert [version.purged for version in await versions(registry)] == [False, True]


async def test_a_purge_that_comes_after_a_publication_leaves_its_blob_alone(registry, blobs, monkeypatch):
    await publish(registry, blobs)
    await archive_all(registry, blobs)

    async def meanwhile() -> None:
        await registry.publish(MANIFEST.with_version(2))

    monkeypatch.setattr(registry.purge, "_writer", Meddling(registry.writer, meanwhile))
    ((one, *_), _) = await purge(registry, blobs)
    assert (one.purged, one.freed_bytes) == (True, 0)
    possessions = SQLModel.metadata.tables["blob_possessions"]
    kept = await registry.database.read(
        lambda connection: connection.execute(select(possessions.c.keep_until)).scalars().all()
    )
    assert kept == [None]
    await collect_later(registry, blobs)
    await check(registry, blobs, {})


async def test_an_upload_that_runs_while_its_blob_is_purged_and_collected_ends_whole(registry, blobs):
    await publish(registry, blobs)
    await archive_all(registry, blobs)
    await purge(registry, blobs)

    async with blobs.open_upload("risk", BLOB) as complete_already:
        assert complete_already.complete
        await collect_later(registry, blobs)
        await complete_already.finish()
    assert await blobs.find_missing("risk", [BLOB]) == [BLOB]
    async with blobs.open_upload("risk", BLOB) as stream:
        await stream.append(0, DATA)
        await collect_later(registry, blobs)
        await stream.finish()
    assert await publish(registry, blobs) == 2
    await check(registry, blobs, {})


async def test_a_collection_looks_at_the_grace_once_more_when_it_forgets(registry, blobs):
    """A version comes and is purged between the collector's look and its change."""
    await blobs.write_small("risk", [(DIGEST, DATA)])
    before = datetime.now(UTC) + timedelta(days=1.5)

    async def meanwhile() -> None:
        await publish(registry, blobs)
        await archive_all(registry, blobs)
        await purge(registry, blobs)

    blobs._collector._writer = Meddling(registry.writer, meanwhile)
    assert (await blobs.collect(before)).possessions == 0
    assert await blobs.find_missing("risk", [BLOB]) == []

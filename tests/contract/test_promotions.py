"""The promotion service's contract, over real TLS, by each way that blobs travel.

The registries are simulated; the service is the whole application with its database, stopped and
started again where a test says so; over SQLite and over PostgreSQL.
"""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from carnet.errors import DeadlineExceededError, IllegalTransitionError, UnavailableError
from carnet.registry.v1 import admission_pb2
from carnet.sync.v1 import promotions_pb2
from carnet.translog.entry import EntryType
from carnet_sync.app import SyncApp
from carnet_sync.config import load_config
from tests.support.simulator import AWAITING, READY, REFUSED, SimulatedFederation, eventually
from tests.support.storage import DATABASES, Databases

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from carnet.client.connection import SyncConnection

State = promotions_pb2.PromotionState
ALL_THE_WAY = [
    State.PROMOTION_STATE_PENDING,
    State.PROMOTION_STATE_CHECKING,
    State.PROMOTION_STATE_TRANSFERRING,
    State.PROMOTION_STATE_ADMITTING,
    State.PROMOTION_STATE_SUCCEEDED,
]


class Service:
    """A promotion service that can be stopped, killed and started again over its database."""

    def __init__(self, federation: SimulatedFederation, folder: Path, transfer: str, database: str) -> None:
        self.federation = federation
        self.app: SyncApp | None = None
        path = folder / "sync.yaml"
        document = federation.configuration(folder, transfer=transfer, database=database)
        path.write_text(json.dumps(document), encoding="utf-8")
        self._path = path

    async def start(self) -> SyncConnection:
        self.app = await SyncApp.start(load_config(self._path))
        self.app._worker._lease = timedelta(seconds=0.6)  # a dead worker's is waited out
        return self.federation.connect(self.app.address)

    async def stop(self) -> None:
        if self.app is not None:
            await self.app.stop(grace_seconds=0)
            self.app = None

    async def kill(self) -> None:
        """End it without a chance to store or give back anything."""
        assert self.app is not None
        app, self.app = self.app, None
        worker = app._worker
        worker._give_back = _nothing  # type: ignore[method-assign,assignment]
        await app.stop(grace_seconds=0)


async def _nothing(_: object) -> None:
    """Dead workers give nothing back."""


@pytest.fixture
async def federation() -> AsyncIterator[SimulatedFederation]:
    async with SimulatedFederation() as found:
        yield found


@pytest.fixture(params=DATABASES)
def database(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    databases = Databases(request.param, tmp_path)
    yield databases.make("sync")
    databases.drop()


BOTH_WAYS = pytest.mark.parametrize("service", ["pull", "relay"], indirect=True)


@pytest.fixture
async def service(
    federation: SimulatedFederation, database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Service]:
    found = Service(federation, tmp_path, getattr(request, "param", "pull"), database)
    yield found
    await found.stop()


async def create(
    connection: SyncConnection, request: bytes, *, validate_only: bool = False
) -> promotions_pb2.Promotion:
    message = promotions_pb2.CreatePromotionRequest(request=request, validate_only=validate_only)
    answer = await connection.call(connection.promotions.CreatePromotion, message)
    promotion: promotions_pb2.Promotion = answer.promotion
    return promotion


async def get(connection: SyncConnection, name: str) -> promotions_pb2.GetPromotionResponse:
    answer: promotions_pb2.GetPromotionResponse = await connection.call(
        connection.promotions.GetPromotion, promotions_pb2.GetPromotionRequest(name=name)
    )
    return answer


async def watch(
    connection: SyncConnection, name: str, *, after: int = 0, seconds: float = 20
) -> list[promotions_pb2.WatchPromotionResponse]:
    request = promotions_pb2.WatchPromotionRequest(name=name, after_sequence=after)
    stream = connection.stream(connection.promotions.WatchPromotion, request, deadline_seconds=seconds)
    return [each async for each in stream]


async def _drain(stream: AsyncIterator[promotions_pb2.WatchPromotionResponse]) -> None:
    async for told in stream:
        assert not told.HasField("event")


@BOTH_WAYS
async def test_a_version_is_carried_from_request_to_record(
    service: Service, federation: SimulatedFederation
) -> None:
    federation.dev.evidence[federation.bundle_digest].append(federation.envelope_about())
    async with await service.start() as connection:
        promotion = await create(connection, federation.request())
        told = await watch(connection, promotion.name)
        found = await get(connection, promotion.name)
    assert [each.event.state for each in told if each.HasField("event")] == ALL_THE_WAY
    assert [event.sequence for event in found.events] == [1, 2, 3, 4, 5]
    ended = found.promotion
    assert ended.state == State.PROMOTION_STATE_SUCCEEDED
    assert ended.version == federation.version_name
    assert ended.admission.state == admission_pb2.ADMISSION_STATE_ADMITTED
    assert ended.admission.decision
    assert ended.requester == "spiffe://carnet.internal/service/ci"
    assert ended.transferred_bytes == ended.total_bytes == sum(map(len, federation.files))
    promotion_id = promotion.name.removeprefix("promotions/")
    assert federation.staging.versions[federation.version_name][0] == federation.manifest
    assert federation.staging.blobs == federation.dev.blobs
    assert federation.dev.recorded == [promotion_id]


async def test_a_dry_run_answers_and_leaves_no_trace(
    service: Service, federation: SimulatedFederation
) -> None:
    federation.staging.script.answers = [int(REFUSED)]
    async with await service.start() as connection:
        rehearsed = await create(connection, federation.request(), validate_only=True)
        answer = await connection.call(
            connection.promotions.ListPromotions, promotions_pb2.ListPromotionsRequest()
        )
    assert rehearsed.state == State.PROMOTION_STATE_REJECTED
    assert [each.rule for each in rehearsed.admission.evaluation.results] == ["evaluation"]
    assert not answer.promotions
    assert not federation.staging.admissions


@pytest.mark.parametrize(
    ("environment", "method"),
    [
        ("dev", "GetVersion"),
        ("dev", "CreateRelease"),
        ("staging", "EvaluateAdmission"),
        ("staging", "FindMissingBlobs"),
        ("staging", "PullBlobs"),
        ("staging", "Admit"),
        ("dev", "RecordAdmission"),
    ],
)
async def test_a_service_that_dies_in_the_middle_of_a_step_goes_on_when_it_is_back(
    service: Service, federation: SimulatedFederation, environment: str, method: str
) -> None:
    registry = getattr(federation, environment)
    registry.script.held[method] = asyncio.Event()
    async with await service.start() as connection:
        promotion = await create(connection, federation.request())
        await eventually(lambda: method in registry.calls)
        await service.kill()
    registry.script.held.pop(method).set()
    async with await service.start() as connection:
        told = await watch(connection, promotion.name, after=1)
    assert [each.event.state for each in told if each.HasField("event")] == ALL_THE_WAY[1:]
    promotion_id = promotion.name.removeprefix("promotions/")
    assert federation.staging.admitted == {promotion_id: 1}
    assert federation.dev.recorded == [promotion_id]


@pytest.mark.parametrize("service", ["relay"], indirect=True)
@pytest.mark.parametrize("method", ["BatchWriteBlobs", "WriteBlob"])
async def test_a_relay_that_dies_goes_on_when_it_is_back(
    service: Service, federation: SimulatedFederation, method: str
) -> None:
    federation.staging.script.held[method] = asyncio.Event()
    async with await service.start() as connection:
        promotion = await create(connection, federation.request())
        await eventually(lambda: method in federation.staging.calls)
        await service.kill()
    federation.staging.script.held.pop(method).set()
    async with await service.start() as connection:
        ended = (await watch(connection, promotion.name))[-1].promotion
    assert ended.state == State.PROMOTION_STATE_SUCCEEDED
    assert federation.staging.blobs == federation.dev.blobs


async def test_a_watch_goes_on_after_the_last_event_over_a_restart(
    service: Service, federation: SimulatedFederation
) -> None:
    federation.staging.script.answers = [int(AWAITING)]
    async with await service.start() as connection:
        promotion = await create(connection, federation.request())
        with pytest.raises(DeadlineExceededError):
            await watch(connection, promotion.name, seconds=1)
        request = promotions_pb2.WatchPromotionRequest(name=promotion.name)
        stream = connection.stream(connection.promotions.WatchPromotion, request)
        seen = [(await anext(stream)).event.sequence for _ in range(3)]
        await service.stop()
        with pytest.raises(UnavailableError):
            await _drain(stream)
    federation.staging.script.answers = [int(READY)]
    async with await service.start() as connection:
        rest = await watch(connection, promotion.name, after=seen[-1])
    assert seen == [1, 2, 3]
    assert [each.event.sequence for each in rest if each.HasField("event")] == [4, 5, 6]


async def test_what_is_awaited_is_noticed_at_once(service: Service, federation: SimulatedFederation) -> None:
    federation.staging.script.answers = [int(AWAITING)]
    async with await service.start() as connection:
        promotion = await create(connection, federation.request())
        await eventually(lambda: federation.staging.calls.count("EvaluateAdmission") >= 3)
        await eventually(lambda: "WatchEntries" in federation.staging.calls)
        federation.staging.script.answers = [int(READY)]
        started = asyncio.get_running_loop().time()
        promotion_id = promotion.name.removeprefix("promotions/")
        await federation.staging.log(EntryType.APPROVAL_RECORDED, promotion=promotion_id)
        await eventually(lambda: federation.dev.recorded == [promotion_id])
        assert asyncio.get_running_loop().time() - started < 1.0


async def test_a_peer_that_is_away_is_waited_for(service: Service, federation: SimulatedFederation) -> None:
    await federation.staging.stop()
    async with await service.start() as connection:
        promotion = await create(connection, federation.request())
        while not (told := (await get(connection, promotion.name)).promotion.message).startswith("waiting"):
            await asyncio.sleep(0.05)
        assert "for staging, which cannot be reached" in told
        await federation.staging.start()
        ended = (await watch(connection, promotion.name))[-1].promotion
    assert ended.state == State.PROMOTION_STATE_SUCCEEDED


async def test_what_is_cancelled_stays_cancelled_over_a_restart(
    service: Service, federation: SimulatedFederation
) -> None:
    federation.staging.script.answers = [int(AWAITING), int(READY)]
    async with await service.start() as connection:
        promotion = await create(connection, federation.request())
        envelope = federation.cancellation(promotion.name.removeprefix("promotions/"))
        request = promotions_pb2.CancelPromotionRequest(name=promotion.name, envelope=envelope)
        cancelled = await connection.call(connection.promotions.CancelPromotion, request)
        assert cancelled.promotion.state == State.PROMOTION_STATE_CANCELLED
    await service.stop()
    async with await service.start() as connection:
        await asyncio.sleep(1.2)
        assert (await get(connection, promotion.name)).promotion == cancelled.promotion
        with pytest.raises(IllegalTransitionError):
            await connection.call(
                connection.promotions.RetryPromotion,
                promotions_pb2.RetryPromotionRequest(name=promotion.name),
            )
    assert not federation.staging.admitted


@pytest.fixture
async def second(
    service: Service, federation: SimulatedFederation, database: str, tmp_path: Path
) -> AsyncIterator[Service]:
    """Another promotion service over the same database."""
    found = Service(federation, tmp_path, "pull", database)
    yield found
    await found.stop()


async def test_two_services_over_one_database_share_the_work(
    service: Service, second: Service, federation: SimulatedFederation
) -> None:
    async with await service.start() as one:
        async with await second.start() as other:
            made = [
                await create(connection, federation.request(version=1, alias=""))
                for connection in (one, other) * 3
            ]
            for promotion in made:
                ended = (await watch(one, promotion.name))[-1].promotion
                assert ended.state in {State.PROMOTION_STATE_SUCCEEDED, State.PROMOTION_STATE_FAILED}
        await second.stop()
    assert max(federation.staging.admitted.values()) == 1
    assert len(federation.staging.versions) == 1


@pytest.mark.parametrize("method", ["EvaluateAdmission", "Admit"])
async def test_the_work_of_a_service_that_was_killed_is_taken_over_by_another(
    service: Service, second: Service, federation: SimulatedFederation, method: str
) -> None:
    federation.staging.script.held[method] = asyncio.Event()
    async with await service.start() as one, await second.start() as other:
        promotion = await create(one, federation.request())
        await eventually(lambda: method in federation.staging.calls)
        await service.kill()
        federation.staging.script.held.pop(method).set()
        told = await watch(other, promotion.name)
    assert [each.event.state for each in told if each.HasField("event")] == ALL_THE_WAY
    promotion_id = promotion.name.removeprefix("promotions/")
    assert federation.staging.admitted == {promotion_id: 1}
    assert federation.dev.recorded == [promotion_id]


async def test_one_service_cancels_what_another_is_working_on(
    service: Service, second: Service, federation: SimulatedFederation
) -> None:
    federation.staging.script.held["EvaluateAdmission"] = asyncio.Event()
    async with await service.start() as one, await second.start() as other:
        promotion = await create(one, federation.request())
        await eventually(lambda: "EvaluateAdmission" in federation.staging.calls)
        envelope = federation.cancellation(promotion.name.removeprefix("promotions/"))
        request = promotions_pb2.CancelPromotionRequest(name=promotion.name, envelope=envelope)
        cancelling = asyncio.create_task(other.call(other.promotions.CancelPromotion, request))
        await asyncio.sleep(0.2)
        federation.staging.script.held.pop("EvaluateAdmission").set()
        await cancelling
        ended = (await watch(one, promotion.name))[-1].promotion
        assert ended.state == State.PROMOTION_STATE_CANCELLED
        assert (await get(other, promotion.name)).promotion == ended
    assert not federation.staging.admitted

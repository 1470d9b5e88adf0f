from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from carnet.client.channel import open_channel, typed_errors
from carnet.errors import (
    AlreadyExistsError,
    CarnetError,
    InvalidInputError,
    PermissionDeniedError,
    PreconditionFailedError,
    ReferenceInvalidError,
    UnauthenticatedError,
    UnavailableError,
)
from carnet.registry.v1 import witness_pb2
from carnet.sync.v1 import compliance_pb2, environments_pb2, promotions_pb2
from carnet_sync.__main__ import main
from carnet_sync.access import PERMISSIONS
from carnet_sync.app import SERVICES, SyncApp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from carnet_sync.config import SyncConfig
    from tests.support.simulator import SimulatedFederation

CREATE, READ, LIST, WATCH, CANCEL, RETRY, ENVIRONMENTS = (
    "create",
    "get",
    "list",
    "watch",
    "cancel",
    "retry",
    "environments",
)
NAME = "promotions/" + "a" * 32


@pytest.fixture
async def app(make_config: Callable[..., SyncConfig]) -> AsyncIterator[SyncApp]:
    found = await SyncApp.start(make_config())
    yield found
    await found.stop(grace_seconds=0)


async def attempt(connection: Any, call: str, federation: SimulatedFederation) -> None:
    stub = connection.promotions
    match call:
        case "create":
            await connection.call(
                stub.CreatePromotion, promotions_pb2.CreatePromotionRequest(request=federation.request())
            )
        case "get":
            await connection.call(stub.GetPromotion, promotions_pb2.GetPromotionRequest(name=NAME))
        case "list":
            await connection.call(stub.ListPromotions, promotions_pb2.ListPromotionsRequest())
        case "watch":
            async for _ in connection.stream(
                stub.WatchPromotion, promotions_pb2.WatchPromotionRequest(name=NAME)
            ):
                pass
        case "cancel":
            request = promotions_pb2.CancelPromotionRequest(
                name=NAME, envelope=federation.cancellation("a" * 32)
            )
            await connection.call(stub.CancelPromotion, request)
        case "retry":
            await connection.call(stub.RetryPromotion, promotions_pb2.RetryPromotionRequest(name=NAME))
        case "environments":
            await connection.call(
                connection.environments.ListEnvironments, environments_pb2.ListEnvironmentsRequest()
            )


@pytest.mark.parametrize(
    ("path", "may"),
    [
        ("service/ci", {CREATE, READ, LIST, WATCH, CANCEL, RETRY, ENVIRONMENTS}),
        ("person/dave", {READ, LIST, WATCH, CANCEL, RETRY, ENVIRONMENTS}),
        ("person/rita", {READ, LIST, WATCH, ENVIRONMENTS}),
        ("person/mallory", set()),
    ],
)
async def test_everybody_may_what_the_table_says_and_nothing_else(
    app: SyncApp, federation: SimulatedFederation, path: str, may: set[str]
) -> None:
    async with federation.connect(app.address, path) as connection:
        for call in (CREATE, READ, LIST, WATCH, CANCEL, RETRY, ENVIRONMENTS):
            refusal: CarnetError | None = None
            try:
                await attempt(connection, call, federation)
            except CarnetError as error:
                refusal = error
            assert isinstance(refusal, PermissionDeniedError) == (call not in may), call
            assert call in may or path in str(refusal)


def test_the_table_names_every_method_of_the_contract() -> None:
    methods = {
        f"/{service.full_name}/{method.name}"
        for module in (compliance_pb2, promotions_pb2, environments_pb2, witness_pb2)
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    assert set(PERMISSIONS) == methods


async def test_a_certificate_without_a_spiffe_id_is_nobody(
    app: SyncApp, federation: SimulatedFederation
) -> None:
    async with federation.connect(app.address, None) as connection:
        with pytest.raises(UnauthenticatedError, match="exactly one SPIFFE id"):
            await attempt(connection, LIST, federation)


async def test_without_a_client_certificate_nothing_is_answered(
    app: SyncApp, federation: SimulatedFederation
) -> None:
    credentials = grpc.ssl_channel_credentials(federation.authority.pem)
    options = [("grpc.ssl_target_name_override", "sync.carnet.internal")]
    async with grpc.aio.secure_channel(app.address, credentials, options=options) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        with pytest.raises(UnavailableError), typed_errors("the promotion service"):
            await stub.Check(health_pb2.HealthCheckRequest(), timeout=3)


@pytest.mark.parametrize(
    "name", ["", "promotions/", "promotions/1", "a" * 32, NAME + "/events", NAME.upper()]
)
async def test_a_malformed_name_is_refused(app: SyncApp, federation: SimulatedFederation, name: str) -> None:
    async with federation.connect(app.address) as connection:
        with pytest.raises(ReferenceInvalidError, match="promotions/0123"):
            await connection.call(
                connection.promotions.GetPromotion, promotions_pb2.GetPromotionRequest(name=name)
            )


async def test_errors_arrive_typed(app: SyncApp, federation: SimulatedFederation) -> None:
    async with federation.connect(app.address) as connection:

        async def create(request: bytes) -> None:
            await connection.call(
                connection.promotions.CreatePromotion, promotions_pb2.CreatePromotionRequest(request=request)
            )

        await create(federation.request("a" * 32))
        with pytest.raises(AlreadyExistsError):
            await create(federation.request("a" * 32))
        with pytest.raises(PreconditionFailedError, match="dev → staging"):
            await create(federation.request(target="prod"))
        with pytest.raises(InvalidInputError, match="page_token"):
            await connection.call(
                connection.promotions.ListPromotions, promotions_pb2.ListPromotionsRequest(page_token="x")
            )


async def test_a_defect_is_answered_with_a_fixed_text(
    app: SyncApp, federation: SimulatedFederation, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    async def defective(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("secret figure")

    monkeypatch.setattr("carnet_sync.promotions.service.PromotionsService.list", defective)
    async with federation.connect(app.address) as connection:
        with pytest.raises(CarnetError, match="internal error") as caught:
            await attempt(connection, LIST, federation)
    assert caught.value.reason == "INTERNAL"
    assert "secret" not in caught.value.message
    assert "secret figure" in caplog.text


async def test_environments_are_listed_with_whether_they_answer(
    app: SyncApp, federation: SimulatedFederation
) -> None:
    await federation.staging.stop()
    async with federation.connect(app.address) as connection:
        answer = await connection.call(
            connection.environments.ListEnvironments, environments_pb2.ListEnvironmentsRequest()
        )
    dev, staging = answer.environments
    assert (dev.name, dev.reachable, list(dev.targets), dev.problem) == ("dev", True, ["staging"], "")
    assert len(dev.policy_digest) == 64
    assert (staging.name, staging.reachable, list(staging.targets)) == ("staging", False, [])
    assert "cannot be reached" in staging.problem


async def test_an_environment_at_anothers_address_is_noticed(
    make_config: Callable[..., SyncConfig], federation: SimulatedFederation
) -> None:
    config = make_config()
    federation.dev.environment = "prod"
    app = await SyncApp.start(config)
    async with federation.connect(app.address) as connection:
        answer = await connection.call(
            connection.environments.ListEnvironments, environments_pb2.ListEnvironmentsRequest()
        )
    await app.stop(grace_seconds=0)
    assert "calls itself 'prod'" in answer.environments[0].problem


async def test_health_and_reflection_are_on(app: SyncApp, federation: SimulatedFederation) -> None:
    identity = federation.authority.identity("person/mallory")
    async with open_channel(app.address, server_name="sync.carnet.internal", identity=identity) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for service in ("", *SERVICES):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=service))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
        call = reflection.ServerReflectionInfo(
            iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        )
        listed = [each.name async for response in call for each in response.list_services_response.service]
        assert set(SERVICES) < set(listed)


async def test_a_taken_address_is_said(app: SyncApp, make_config: Callable[..., SyncConfig]) -> None:
    with pytest.raises(PreconditionFailedError, match="cannot be listened at"):
        await SyncApp.start(make_config(listen=app.address, database="sqlite:///other.db"))


async def test_whoever_calls_while_it_stops_is_told_to_come_back(
    make_config: Callable[..., SyncConfig], federation: SimulatedFederation
) -> None:
    app = await SyncApp.start(make_config())
    async with federation.connect(app.address) as connection:
        await attempt(connection, LIST, federation)
        stopping = asyncio.create_task(app.stop())
        await asyncio.sleep(0.05)
        with pytest.raises(UnavailableError, match="stopping"):
            await connection.call(
                connection.promotions.ListPromotions, promotions_pb2.ListPromotionsRequest(), idempotent=False
            )
        await stopping


# --- the process ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_process_says_where_it_listens_and_stops_when_told(
    make_config: Callable[..., SyncConfig], federation: SimulatedFederation, tmp_path: Path, number: int
) -> None:
    make_config()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "carnet_sync",
        "--config",
        str(tmp_path / "sync" / "sync.yaml"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    address = ""
    while not address:
        line = (await asyncio.wait_for(process.stderr.readline(), 30)).decode()
        assert line, "it ended before it listened"
        address = line.removeprefix("listening on ").strip() if line.startswith("listening on ") else ""
    async with federation.connect(address) as connection:
        await attempt(connection, CREATE, federation)
    process.send_signal(number)
    stdout, _ = await asyncio.wait_for(process.communicate(), 15)
    assert process.returncode == 0
    assert stdout == b""


def test_a_malformed_configuration_is_a_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "sync.yaml"
    assert main(["--config", str(path)]) == 2
    path.write_text("schema: carnet.sync/v1\nlisten: here\n", encoding="utf-8")
    assert main(["--config", str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "sync.yaml:2:1: listen" in captured.err

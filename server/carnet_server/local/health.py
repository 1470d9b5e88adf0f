"""Whether the processes of a federation answer: services by the gRPC health service, stores in their way."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from carnet.client.channel import TlsIdentity, open_channel
from carnet.client.federation import Federation
from carnet.errors import NotFoundError, UnavailableError
from carnet_server.local.stores import POSTGRES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from carnet_server.local.processes import Process

START_TIMEOUT_SECONDS = 60.0
_ANSWER_SECONDS = 5  # a process on a machine that is busy with other things may take some


@dataclass(frozen=True)
class Health:
    """How one process fares.

    Attributes:
        name: The process's name.
        endpoint: Where it listens.
        pid: Its process id; None where it does not run.
        serving: Whether it answers that it serves.
    """

    name: str
    endpoint: str
    pid: int | None
    serving: bool

    @property
    def state(self) -> str:
        """``serving``, ``not answering`` or ``stopped``."""
        if self.serving:
            return "serving"
        return "stopped" if self.pid is None else "not answering"


def _address(federation: Federation, name: str) -> tuple[str, str]:
    """Where a service listens, and the name that its certificate has."""
    address = federation.sync if name == "sync" else federation.environments.get(name)
    if address is None:
        raise NotFoundError(f"federation.yaml names no address of {name!r}")
    return address.endpoint, address.server_name


def _store_answers(process: Process) -> bool:
    from carnet_server.local.backends import object_storage, postgres  # noqa: PLC0415  only where there are any
    from carnet_server.local.backends.configuration import load_backend  # noqa: PLC0415

    store = postgres if process.name == POSTGRES else object_storage
    return process.pid() is not None and store.answers(load_backend(process.config), _ANSWER_SECONDS)


def _endpoint(federation: Federation, process: Process) -> str:
    if not process.is_store:
        return _address(federation, process.name)[0]
    from carnet_server.local.backends.configuration import load_backend  # noqa: PLC0415  only where there are any

    return load_backend(process.config).endpoint


async def _serves(federation: Federation, process: Process) -> bool:
    if process.is_store:
        return await asyncio.to_thread(_store_answers, process)
    endpoint, server_name = _address(federation, process.name)
    me = federation.identity()
    tls = TlsIdentity.load(me.certificate, me.private_key, federation.ca)
    async with open_channel(endpoint, server_name=server_name, identity=tls) as channel:
        try:
            answer = await health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), timeout=_ANSWER_SECONDS
            )
        except grpc.aio.AioRpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def _look(processes: Sequence[Process]) -> list[Health]:
    federation = Federation.load(processes[0].folder)
    serving = await asyncio.gather(*(_serves(federation, process) for process in processes))
    return [
        Health(process.name, _endpoint(federation, process), process.pid(), answered)
        for process, answered in zip(processes, serving, strict=True)
    ]


def look(processes: Sequence[Process]) -> list[Health]:
    """Ask every process how it fares.

    Args:
        processes: The processes of one federation.
    """
    return asyncio.run(_look(processes))


async def _wait(processes: Sequence[Process], timeout_seconds: float) -> None:
    federation = Federation.load(processes[0].folder)
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout_seconds
    for process in processes:
        while not await _serves(federation, process):
            if process.pid() is None:
                raise UnavailableError(
                    f"{process.name} ended while it started; see {process.log_file}:\n{process.log_tail()}"
                )
            if loop.time() > end:
                raise UnavailableError(
                    f"{process.name} does not serve after {timeout_seconds:.0f} s; see {process.log_file}"
                )
            await asyncio.sleep(0.05)


def wait_until_serving(processes: Sequence[Process], timeout_seconds: float = START_TIMEOUT_SECONDS) -> None:
    """Wait until every process serves.

    Args:
        processes: The processes of one federation.
        timeout_seconds: How long at most.

    Raises:
        UnavailableError: One ended, or did not serve in time.
    """
    asyncio.run(_wait(processes, timeout_seconds))


def start_all(processes: Sequence[Process], timeout_seconds: float = START_TIMEOUT_SECONDS) -> None:
    """Start what does not run of some processes, stores before those that need them, until all serve.

    Args:
        processes: The processes of one federation.
        timeout_seconds: How long to wait for the stores, and for the others, at most.

    Raises:
        UnavailableError: One cannot be started, ended, or did not serve in time.
    """
    for stores in (True, False):
        group = [process for process in processes if process.is_store is stores]
        for process in group:
            process.start()
        if group:
            wait_until_serving(group, timeout_seconds)

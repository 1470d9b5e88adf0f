"""Whether the processes of a federation answer, by the gRPC health service."""

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

if TYPE_CHECKING:
    from collections.abc import Sequence

    from carnet_server.local.processes import Process

START_TIMEOUT_SECONDS = 60.0
_ANSWER_SECONDS = 2.0


@dataclass(frozen=True)
class Health:
    """How one process fares.

    Attributes:
        name: ``sync``, or the environment's name.
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
    address = federation.sync if name == "sync" else federation.environments.get(name)
    if address is None:
        raise NotFoundError(f"federation.yaml names no address of {name!r}")
    return address.endpoint, address.server_name


async def _serves(federation: Federation, name: str) -> bool:
    endpoint, server_name = _address(federation, name)
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
    serving = await asyncio.gather(*(_serves(federation, process.name) for process in processes))
    return [
        Health(process.name, _address(federation, process.name)[0], process.pid(), answered)
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
        while not await _serves(federation, process.name):
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

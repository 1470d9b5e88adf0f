"""Killing a registry at a step of a group commit, with several writers in the batch, and looking at what is left."""

from __future__ import annotations

import asyncio
import os
import random
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import yaml

from carnet.client.federation import Federation
from carnet.client.messages import receipt_of
from carnet.errors import CancelledError, DeadlineExceededError, UnavailableError
from carnet.registry.v1 import aliases_pb2, log_pb2
from carnet.translog.checkpoint import parse_checkpoint
from carnet.translog.receipt import verify_receipt
from carnet_server.local.plan import DEFAULT_PLAN
from tests.support.federation import LocalFederation
from tests.support.log_and_tables import StoredLog

if TYPE_CHECKING:
    from collections.abc import Callable

    from carnet.client.connection import RegistryConnection

ANYWHERE = "anywhere"
WRITERS = 8
WAIT_SECONDS = 30
MODEL = "risk/committed"
_AWAY = (UnavailableError, DeadlineExceededError, CancelledError)


def federation_of_two(folder: Path, database: str) -> LocalFederation:
    """dev with two versions, staging and the promotion service; dev is witnessed every second."""
    plan = replace(DEFAULT_PLAN, environments=("dev", "staging"), routes=(("dev", "staging", "pull"),))
    federation = LocalFederation(folder / "carnet", plan=plan, database=database)
    path = federation.folder / "environments" / "dev" / "environment.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"witness_every": "1s"}))
    federation.start()
    for number in range(2):
        beside = folder / f"bundle-{number}"
        beside.mkdir()
        federation.publish(beside, model=MODEL, seed=number)
    return federation


class Writers:
    """Callers who move an alias of their own to and fro, until the registry is gone or they are stopped.

    Args:
        connect: Makes a connection, for each of them one.
        name: What their aliases are called, so that no two have one.
        lasting: Whether they go on where a call was not answered in time, as on a machine that is busy.
    """

    def __init__(
        self, connect: Callable[[], RegistryConnection], name: str, *, lasting: bool = False
    ) -> None:
        self._connect = connect
        self._name = name
        self._lasting = lasting
        self.told: list[aliases_pb2.SetAliasResponse] = []
        self.stopped = False

    async def run(self) -> None:
        """Write."""
        async with self._connect() as registry:
            await asyncio.gather(*(self._write(registry, lane) for lane in range(WRITERS)))

    async def _write(self, registry: RegistryConnection, lane: int) -> None:
        version = 1 + lane % 2
        name = f"namespaces/risk/models/committed/aliases/{self._name}-{lane}"
        while not self.stopped:
            request = aliases_pb2.SetAliasRequest(name=name, version=version)
            try:
                answer = await registry.call(registry.aliases.SetAlias, request, idempotent=False)
            except _AWAY:
                if not self._lasting:
                    return
                await asyncio.sleep(0.05)
                continue
            self.told.append(answer)
            version = 3 - version

    async def have_written(self, count: int) -> None:
        """Wait until so many more changes were answered."""
        wanted = len(self.told) + count
        async with asyncio.timeout(WAIT_SECONDS):
            while len(self.told) < wanted:
                await asyncio.sleep(0.01)


def die_at(
    federation: LocalFederation,
    step: str,
    folder: Path,
    *,
    other: Callable[[], RegistryConnection] | None = None,
) -> None:
    """Kill dev at a step, start it again, and insist that log, tables and everything that was told agree.

    Args:
        federation: Where.
        step: One of ``dying_registry.STEPS``, or ``ANYWHERE``: then it is killed from outside.
        folder: An empty folder.
        other: Connects to another process over the same database, which goes on.
    """
    federation.processes["dev"].stop()
    alive = federation.processes["dev"]
    federation.processes["dev"] = replace(alive, module="tests.support.dying_registry")
    with mock.patch.dict(os.environ, {"CARNET_DIES_AT": step, "CARNET_DIES_IN": str(folder)}):
        federation.start("dev")
    federation.processes["dev"] = alive
    told, newest = asyncio.run(_write_until_it_dies(federation, step, folder, other))
    federation.start("dev")
    _require_agreement(federation, told, newest)


async def _write_until_it_dies(
    federation: LocalFederation,
    step: str,
    folder: Path,
    other: Callable[[], RegistryConnection] | None,
) -> tuple[list[aliases_pb2.SetAliasResponse], str]:
    lane = step.replace(" ", "-")
    doomed = Writers(lambda: federation.connection("dev", "identities/ci"), f"{lane}-a")
    spared = Writers(other, f"{lane}-b", lasting=True) if other else None
    spared_run = asyncio.create_task(spared.run()) if spared else None
    run = asyncio.create_task(doomed.run())
    await doomed.have_written(2 * WRITERS)
    if step == ANYWHERE:
        await asyncio.sleep(random.SystemRandom().uniform(0, 0.2))
        federation.kill("dev")
    (folder / "armed").touch()
    async with asyncio.timeout(WAIT_SECONDS):
        await run
        while federation.processes["dev"].pid() is not None:
            await asyncio.sleep(0.01)
    if step != ANYWHERE:
        assert (folder / "died").read_text().startswith(f"{step}: ")
    newest = ""
    if spared and spared_run:
        await spared.have_written(WRITERS)
        spared.stopped = True
        await spared_run
        async with other() as registry:
            answer = await registry.call(registry.log.GetCheckpoint, log_pb2.GetCheckpointRequest())
            newest = answer.checkpoint
    return doomed.told + (spared.told if spared else []), newest


def _require_agreement(
    federation: LocalFederation, told: list[aliases_pb2.SetAliasResponse], newest: str
) -> None:
    with federation.client("dave") as auditor:
        report = auditor.audit_verify()
    assert report.ok, report.findings
    shown = asyncio.run(_checkpoint(federation))
    stored = StoredLog(federation, "dev")
    stored.require_equal_tables()
    verifier = Federation.load(federation.folder).environment("dev").log
    assert parse_checkpoint(shown, verifier).size <= len(stored.entries)
    moves = {
        row[0]: row[1:]
        for row in federation.query("dev", "SELECT log_index, alias, new_version, revision FROM alias_moves")
    }
    for answer in told:
        receipt = receipt_of(answer.receipt)
        verify_receipt(receipt, verifier)
        assert stored.entries[receipt.index] == receipt.entry_bytes
        alias = answer.alias.name.rpartition("/")[2]
        assert moves[receipt.index] == (alias, answer.alias.version, answer.alias.revision)
        stored.require_prefix(receipt.checkpoint)
    for checkpoint in (shown, newest, *_witnessed(federation)):
        if checkpoint:
            stored.require_prefix(checkpoint)


async def _checkpoint(federation: LocalFederation) -> str:
    async with federation.connection("dev", "identities/dave") as registry:
        answer = await registry.call(registry.log.GetCheckpoint, log_pb2.GetCheckpointRequest())
        return answer.checkpoint


def _witnessed(federation: LocalFederation) -> list[str]:
    """What the witnesses hold of dev's log."""
    origin = Federation.load(federation.folder).environment("dev").log.name
    held = [
        *federation.query("staging", "SELECT checkpoint FROM witnessed_logs WHERE origin = ?", origin),
        *federation.query("sync", "SELECT checkpoint FROM cosigned_logs WHERE origin = ?", origin),
    ]
    return [checkpoint for (checkpoint,) in held]

"""Making reports within bounds: one at a time, few that wait, an end to what takes too long."""

from __future__ import annotations

import asyncio
import contextlib
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from carnet.errors import (
    CarnetError,
    DeadlineExceededError,
    FileUnreadableError,
    InternalError,
    PreconditionFailedError,
    ResourceExhaustedError,
)
from carnet_sync.compliance import service as module
from carnet_sync.compliance.job import Done, Job, Progress, line_of, parse_line
from carnet_sync.compliance.service import WAITING_MAX, Reports
from carnet_sync.config import ComplianceFiles

if TYPE_CHECKING:
    from pathlib import Path

LINKS: Any = SimpleNamespace(environments={"dev": None})


def files(tmp_path: Path, **fields: Any) -> ComplianceFiles:
    stated = {
        "tls": {"certificate": "c", "key": "k", "ca": "a"},
        "trust": str(tmp_path / "trust.yaml"),
        "key": "key.pem",
        "folder": str(tmp_path),
    } | fields
    return ComplianceFiles(**stated)


async def exhaust(reports: Reports) -> list[Any]:
    async with contextlib.aclosing(reports.generate("changes", {})) as made:
        return [each async for each in made]


class Held:
    """Copies that take until they are told to end, or for ever."""

    def __init__(self, reports: Reports) -> None:
        self.begun = asyncio.Event()
        self.may_end = asyncio.Event()
        self.now = self.most = 0
        assert reports._copies is not None
        reports._copies.cut = self.cut  # type: ignore[method-assign]
        reports._copies.refresh = self.refresh  # type: ignore[method-assign]

    async def cut(self) -> dict[str, None]:
        return {"dev": None}

    async def refresh(self, environment: str, cut: None) -> bool:
        self.now += 1
        self.most = max(self.most, self.now)
        self.begun.set()
        try:
            await self.may_end.wait()
        finally:
            self.now -= 1
        return True


async def test_nothing_is_reported_where_nothing_is_configured() -> None:
    reports = Reports(LINKS, None)
    with pytest.raises(PreconditionFailedError, match="`compliance` is not set"):
        await exhaust(reports)
    with pytest.raises(PreconditionFailedError):
        _ = reports.environments


async def test_one_is_made_at_a_time_few_wait_and_the_next_is_refused(tmp_path: Path) -> None:
    reports = Reports(LINKS, files(tmp_path))
    held = Held(reports)
    tasks = [asyncio.create_task(exhaust(reports)) for _ in range(1 + WAITING_MAX)]
    await held.begun.wait()
    while reports._waiting < WAITING_MAX:
        await asyncio.sleep(0)
    with pytest.raises(ResourceExhaustedError, match="one is made at a time"):
        await exhaust(reports)
    assert held.most == 1
    for task in tasks[1:]:
        task.cancel()
    await asyncio.gather(*tasks[1:], return_exceptions=True)
    assert reports._waiting == 0
    held.may_end.set()
    # The one that was made comes to an end of its own: there are no keys to verify with.
    with pytest.raises(FileUnreadableError, match=r"trust\.yaml"):
        await tasks[0]
    assert not reports._making.locked()


async def test_what_takes_too_long_is_ended_and_frees_its_place(tmp_path: Path) -> None:
    reports = Reports(LINKS, files(tmp_path, deadline_seconds=0.05))
    Held(reports)
    with pytest.raises(DeadlineExceededError, match="deadline_seconds"):
        await exhaust(reports)
    assert not reports._making.locked()


async def test_a_deriving_process_that_hangs_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[asyncio.subprocess.Process] = []
    real = asyncio.create_subprocess_exec

    async def hanging(program: str, *_: str, **options: Any) -> asyncio.subprocess.Process:
        process = await real(program, "-c", "import time; time.sleep(600)", **options)
        started.append(process)
        return process

    monkeypatch.setattr(module.asyncio, "create_subprocess_exec", hanging)
    reports = Reports(LINKS, files(tmp_path, deadline_seconds=2))
    Held(reports).may_end.set()
    with pytest.raises(DeadlineExceededError):
        await exhaust(reports)
    assert started[0].returncode == -9


async def test_a_deriving_process_that_dies_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = asyncio.create_subprocess_exec

    async def dying(program: str, *_: str, **options: Any) -> asyncio.subprocess.Process:
        return await real(program, "-c", "import sys; sys.stdin.read(); sys.exit(3)", **options)

    monkeypatch.setattr(module.asyncio, "create_subprocess_exec", dying)
    reports = Reports(LINKS, files(tmp_path))
    Held(reports).may_end.set()
    with pytest.raises(InternalError, match="ended with 3"):
        await exhaust(reports)


def test_what_the_deriving_process_says_reads_back() -> None:
    for said in (Progress("verifying", "dev", 3, 9), Done(("dev",))):
        assert parse_line(line_of(said)) == said
    with pytest.raises(FileUnreadableError, match="gone") as caught:
        parse_line(line_of(FileUnreadableError("gone", metadata={"a": "b"})))
    assert caught.value.metadata == {"a": "b"}
    job = Job("changes", {"from": "x"}, True, "c", "m", "t", "k", "r")
    assert Job.parse(job.to_bytes()) == job
    assert issubclass(FileUnreadableError, CarnetError)

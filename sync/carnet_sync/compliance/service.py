"""Making reports, one at a time and within bounds.

Responsible for the order of the work (copies, then the deriving process, then the parts of its file), for how
many may wait, and for ending what takes too long or is not wanted any more. Looks into no log itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from carnet.audit.reports.query import ReportQuery
from carnet.client.renewal import FollowedIdentity
from carnet.errors import (
    CarnetError,
    DeadlineExceededError,
    InternalError,
    PreconditionFailedError,
    ResourceExhaustedError,
)
from carnet_sync.compliance.copies import Copies
from carnet_sync.compliance.job import Done, Job, Progress, parse_line
from carnet_sync.environments.links import Links

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping

    from carnet_sync.config import ComplianceFiles, SyncConfig

WAITING_MAX: Final = 4
"""How many reports may wait for the one that is being made."""
PART_BYTES: Final = 256 * 1024
"""The size of a part, far below what a message may have."""
_LINE_MAX_BYTES: Final = 1 << 20
_ROUNDS: Final = 2
"""How often logs are copied for one report where a document was erased while they were copied."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Part:
    """The next bytes of a report's envelope, and how many there are in all."""

    data: bytes
    total_bytes: int


class _Deadline:
    """When a report must be there."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._ends_at = asyncio.get_running_loop().time() + seconds

    async def within(self, work: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout_at(self._ends_at):
                return await work
        except TimeoutError:
            raise DeadlineExceededError(
                f"the report was not there within {self._seconds:g} seconds: ask for fewer environments or "
                "a shorter period, or raise compliance.deadline_seconds in sync.yaml"
            ) from None


class Reports:
    """Makes reports.

    Args:
        links: The way to each registry.
        files: What the configuration says; None where it says nothing.
    """

    def __init__(self, links: Links, files: ComplianceFiles | None) -> None:
        self._links = links
        self._files = files
        self._copies = Copies(links, Path(files.folder) / "copies", Path(files.trust)) if files else None
        self._making = asyncio.Lock()
        self._waiting = 0

    @classmethod
    def of(cls, config: SyncConfig) -> Self:
        """Make reports as a configuration says, with connections of their own.

        Raises:
            FileUnreadableError: The certificate that logs are read with cannot be read.
        """
        files = config.compliance
        identity = FollowedIdentity((files or config).tls.identity())
        return cls(Links(config.environments, (), identity), files)

    async def close(self) -> None:
        """Close the connections."""
        await self._links.close()

    @property
    def environments(self) -> tuple[str, ...]:
        """The environments whose logs are read.

        Raises:
            PreconditionFailedError: No reports are made here.
        """
        return self._configured()[1].environments

    async def generate(
        self, kind: str, query: Mapping[str, str], *, despite_findings: bool = False
    ) -> AsyncGenerator[Progress | Part, None]:
        """Make a report of the logs as they are now.

        Args:
            kind: Which report.
            query: What is asked.
            despite_findings: Whether to make it although the logs do not verify.

        Yields:
            What is being done, and then the parts of the signed envelope in order.

        Raises:
            PreconditionFailedError: No reports are made here.
            InvalidInputError: It is no question of that kind; ``metadata["field"]`` names the key.
            ResourceExhaustedError: Too many reports are waited for.
            DeadlineExceededError: It took too long.
            UnavailableError: A registry cannot be reached; ``metadata["environment"]`` names it.
            IntegrityError: Something was found in the logs.
            CarnetError: A file or a key is wrong; the class says how.
        """
        files, copies = self._configured()
        ReportQuery.from_json(kind, query)
        deadline = _Deadline(files.deadline_seconds)
        with tempfile.TemporaryDirectory(prefix="carnet-report-") as scratch:
            result = Path(scratch) / "report"
            job = Job(
                kind=kind,
                query=dict(query),
                despite_findings=despite_findings,
                copies=str(copies.folder),
                memory=str(Path(files.folder) / "verified"),
                trust=files.trust,
                key=files.key,
                result=str(result),
            )
            if self._making.locked():
                yield Progress("waiting")
            async with self._turn(deadline):
                for _ in range(_ROUNDS):
                    whole = True
                    for name, cut in (await deadline.within(copies.cut())).items():
                        yield Progress("copying", name)
                        whole = await deadline.within(copies.refresh(name, cut)) and whole
                    if whole:
                        break
                async for progress in self._derive(job, copies, deadline):
                    yield progress
            # Whoever reads slowly keeps nobody else waiting.
            total = result.stat().st_size
            with result.open("rb") as file:
                while data := await asyncio.to_thread(file.read, PART_BYTES):
                    yield Part(data, total)

    def _configured(self) -> tuple[ComplianceFiles, Copies]:
        if self._files is None or self._copies is None:
            raise PreconditionFailedError("no reports are made here: `compliance` is not set in sync.yaml")
        return self._files, self._copies

    @contextlib.asynccontextmanager
    async def _turn(self, deadline: _Deadline) -> AsyncIterator[None]:
        if self._waiting >= WAITING_MAX:
            raise ResourceExhaustedError(
                f"{self._waiting} reports are waited for here, and one is made at a time: ask again later"
            )
        self._waiting += 1
        try:
            await deadline.within(self._making.acquire())
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._making.release()

    async def _derive(self, job: Job, copies: Copies, deadline: _Deadline) -> AsyncIterator[Progress]:
        async with _process() as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(job.to_bytes())
            process.stdin.close()
            while line := await deadline.within(process.stdout.readline()):
                try:
                    said = parse_line(line)
                except CarnetError as error:
                    await copies.forget(error.metadata.pop("suspect", "").split())
                    raise
                if isinstance(said, Done):
                    await copies.forget(said.suspect)
                    return
                yield said
            code = await process.wait()
        raise InternalError(f"deriving the report ended with {code} and said nothing; see the service's log")


@contextlib.asynccontextmanager
async def _process() -> AsyncIterator[Any]:
    """Run the deriving process within a block; it does not outlive it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "carnet_sync.compliance.deriving",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_LINE_MAX_BYTES,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await asyncio.shield(process.wait())

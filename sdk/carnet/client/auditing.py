"""Copying logs with their documents, and verifying them.

Responsible for fetching a whole log and every document that it rests on, and for insisting, at the next
audit, that the logs still begin with the checkpoints that were verified at the last. All judging is done by
``carnet.audit``, offline.
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from carnet.audit.export import EnvironmentExport, ExportWriter
from carnet.client.audit_memory import (
    federation_pins,
    read_pins,
    verify_offline,
    verify_remembering,
)
from carnet.client.results import ExportResult
from carnet.client.session import Session
from carnet.errors import CarnetError, InternalError
from carnet.registry.v1 import log_pb2
from carnet.translog.checkpoint import unverified_checkpoint
from carnet.translog.entry import parse_entry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from carnet.audit.report import AuditReport
    from carnet.client.progress import Progress

_PAGE_SIZE = 1000
_DOCUMENTS_PER_CALL = 100


class Auditing(Session):
    """Operations of auditors."""

    async def audit_export(
        self,
        directory: str | Path,
        *,
        environments: Sequence[str] = (),
        progress: Progress | None = None,
    ) -> ExportResult:
        """Copy logs and the documents that they rest on, for verifying without any server.

        Args:
            directory: Where the copy is made; copies of the same environments in it are replaced.
            environments: The environments; none for all.
            progress: Told of the stage ``copying ENV``, in entries.

        Returns:
            What was copied.

        Raises:
            ProofInvalidError: A registry answered with no checkpoint; whose it is, the verifier says.
            CarnetError: The call failed; the class says how.
        """
        writer = ExportWriter(Path(directory))
        entries: dict[str, int] = {}
        documents: dict[str, int] = {}
        for name in environments or tuple(self.federation.environments):
            self.federation.environment(name)
            export = await asyncio.to_thread(writer.environment(name).__enter__)
            try:
                entries[name], documents[name] = await self._copy(name, export, progress)
            except BaseException as error:
                await asyncio.to_thread(export.__exit__, type(error), error, error.__traceback__)
                raise
            await asyncio.to_thread(export.__exit__, None, None, None)
        return ExportResult(directory=Path(directory), entries=entries, documents=documents)

    async def audit_verify(
        self,
        *,
        offline: str | Path | None = None,
        trust: str | Path | None = None,
        environments: Sequence[str] = (),
        resume: bool = False,
        verified: str | Path | None = None,
        progress: Progress | None = None,
    ) -> AuditReport:
        """Verify the logs, and everything that they rest on, against pinned keys.

        Checkpoints that were fetched and verified are kept in the federation's folder under ``verified/``,
        and the next audit insists that the logs still begin with them. An export is judged by itself, unless
        ``resume`` or ``verified`` is given.

        Args:
            offline: An export to verify; None to fetch from the registries now.
            trust: A file with the pinned keys (YAML or JSON, as ``federation.yaml`` has them); None for the
                federation's own.
            environments: The environments to fetch; none for all.
            resume: Whether to verify only what came after the last audit, and that the logs still begin as
                they did then.
            verified: The folder of what is kept between audits; None for the federation's ``verified/``.
            progress: Told of the stages ``copying ENV`` and ``verifying ENV``, in entries.

        Returns:
            The report; ``ok`` tells whether all of it holds.

        Raises:
            FileUnreadableError: The export or the file with the keys cannot be read.
            DocumentInvalidError: The file with the keys is not one, or what an earlier audit left is damaged.
            CarnetError: A registry could not be asked; the class says how.
        """
        pins = await asyncio.to_thread(read_pins, Path(trust)) if trust else federation_pins(self.federation)
        if offline is not None and not resume and verified is None:
            return await asyncio.to_thread(verify_offline, Path(offline), pins, progress=progress)
        memory = Path(verified) if verified else self.federation.directory / "verified"

        def verify(export: Path) -> AuditReport:
            return verify_remembering(
                export, pins, memory, environments=environments, resume=resume, progress=progress
            )

        if offline is not None:
            return await asyncio.to_thread(verify, Path(offline))
        with tempfile.TemporaryDirectory(prefix="carnet-audit-") as folder:
            await self.audit_export(folder, environments=environments, progress=progress)
            return await asyncio.to_thread(verify, Path(folder))

    async def _copy(self, name: str, export: EnvironmentExport, progress: Progress | None) -> tuple[int, int]:
        registry = self._registry(name)
        answer = await registry.call(registry.log.GetCheckpoint, log_pb2.GetCheckpointRequest())
        size = unverified_checkpoint(answer.checkpoint).size
        wanted: dict[str, None] = {}
        copied = 0
        while copied < size:
            page = await registry.call(
                registry.log.ListEntries,
                log_pb2.ListEntriesRequest(start_index=copied, page_size=min(_PAGE_SIZE, size - copied)),
            )
            entries = _consecutive(page.entries[: size - copied], copied)
            if not entries:
                break  # An entry is missing: the verifier says what that means.
            await asyncio.to_thread(_append, export, entries)
            wanted.update(dict.fromkeys(_documents_of(entries)))
            copied += len(entries)
            if progress:
                progress(f"copying {name}", copied, size)
        await asyncio.to_thread(export.finish_log, answer.checkpoint)
        digests = list(wanted)
        found = 0
        for start in range(0, len(digests), _DOCUMENTS_PER_CALL):
            found += await self._copy_documents(name, export, digests[start : start + _DOCUMENTS_PER_CALL])
        return copied, found

    async def _copy_documents(self, name: str, export: EnvironmentExport, digests: list[str]) -> int:
        """Fetch some documents; where all of them are too much for one message, in halves."""
        registry = self._registry(name)
        try:
            answer = await registry.call(
                registry.log.BatchGetDocuments, log_pb2.BatchGetDocumentsRequest(digests=digests)
            )
        except CarnetError as error:
            if len(digests) == 1 or error.reason not in {"MESSAGE_TOO_LARGE", "RESOURCE_EXHAUSTED"}:
                raise
            middle = len(digests) // 2
            first = await self._copy_documents(name, export, digests[:middle])
            return first + await self._copy_documents(name, export, digests[middle:])
        for document in answer.documents:
            if document.digest not in digests:
                raise InternalError(f"{registry.peer} answered with a document that was not asked for")
            # One that is damaged gets another name by its digest, and the verifier misses it under its own.
            await asyncio.to_thread(export.add_document, document.data)
        return len(answer.documents)


def _consecutive(entries: Sequence[log_pb2.LogEntry], start: int) -> list[log_pb2.LogEntry]:
    """Return the entries that follow each other from an index on, up to the first that is missing."""
    numbered = zip(itertools.count(start), entries, strict=False)
    return [entry for _, entry in itertools.takewhile(lambda pair: pair[0] == pair[1].index, numbered)]


def _append(export: EnvironmentExport, entries: Sequence[log_pb2.LogEntry]) -> None:
    for entry in entries:
        export.append_entry(entry.entry, entry.leaf_hash or None)


def _documents_of(entries: Sequence[log_pb2.LogEntry]) -> list[str]:
    digests: list[str] = []
    for each in entries:
        try:
            entry = parse_entry(each.entry)
        except CarnetError:
            continue  # The verifier names it.
        digests += entry.documents
    return digests

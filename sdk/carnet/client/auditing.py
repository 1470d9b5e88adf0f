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
    earlier_checkpoints,
    federation_pins,
    read_pins,
    remember,
    verify_offline,
)
from carnet.client.results import ExportResult
from carnet.client.session import Session
from carnet.errors import CarnetError, InternalError
from carnet.registry.v1 import log_pb2
from carnet.translog.checkpoint import unverified_checkpoint
from carnet.translog.entry import parse_entry

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from carnet.audit.report import AuditReport
    from carnet.client.progress import Progress
    from carnet.translog.entry import Entry

_PAGE_SIZE = 1000
_DOCUMENTS_PER_CALL = 100
_ROUNDS = 3


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
        progress: Progress | None = None,
    ) -> AuditReport:
        """Verify the logs, and everything that they rest on, against pinned keys.

        Checkpoints that were fetched and verified are kept in the federation's folder under ``verified/``,
        and the next audit insists that the logs still begin with them. An export is judged by itself.

        Args:
            offline: An export to verify; None to fetch from the registries now.
            trust: A file with the pinned keys (YAML or JSON, as ``federation.yaml`` has them); None for the
                federation's own.
            environments: The environments to fetch; none for all.
            progress: Told of the stages ``copying ENV`` and ``verifying ENV``, in entries.

        Returns:
            The report; ``ok`` tells whether all of it holds.

        Raises:
            FileUnreadableError: The export or the file with the keys cannot be read.
            DocumentInvalidError: The file with the keys is not one.
            CarnetError: A registry could not be asked; the class says how.
        """
        pins = await asyncio.to_thread(read_pins, Path(trust)) if trust else federation_pins(self.federation)
        if offline is not None:
            return await asyncio.to_thread(verify_offline, Path(offline), pins, progress=progress)
        memory = self.federation.directory / "verified"
        earlier = await asyncio.to_thread(earlier_checkpoints, memory, pins)
        if environments:
            earlier = {name: kept for name, kept in earlier.items() if name in environments}
        with tempfile.TemporaryDirectory(prefix="carnet-audit-") as folder:
            await self.audit_export(folder, environments=environments, progress=progress)
            report = await asyncio.to_thread(
                verify_offline, Path(folder), pins, earlier=earlier, progress=progress
            )
        if report.ok:
            await asyncio.to_thread(remember, memory, report)
        return report

    async def _copy(self, name: str, export: EnvironmentExport, progress: Progress | None) -> tuple[int, int]:
        """Copy a log with its documents.

        A document that is missing without a word may have been erased since the checkpoint: then what came
        meanwhile is copied too, so that the entry which says so is in the copy.
        """
        registry = self._registry(name)
        wanted: dict[str, None] = {}
        erased: set[str] = set()
        copied = found = 0
        checkpoint = await self._checkpoint(name)
        for _ in range(_ROUNDS):
            size = unverified_checkpoint(checkpoint).size
            while copied < size:
                page = await registry.call(
                    registry.log.ListEntries,
                    log_pb2.ListEntriesRequest(start_index=copied, page_size=min(_PAGE_SIZE, size - copied)),
                )
                entries = _consecutive(page.entries[: size - copied], copied)
                if not entries:
                    break  # An entry is missing: the verifier says what that means.
                await asyncio.to_thread(_append, export, entries)
                for entry in _read_entries(entries):
                    wanted.update(dict.fromkeys(entry.documents))
                    erased.add(str(entry.subject.get("document", "")))
                copied += len(entries)
                if progress:
                    progress(f"copying {name}", copied, size)
            found += await self._copy_wanted(name, export, wanted)
            if copied < size or erased.issuperset(wanted):
                break
            newest = await self._checkpoint(name)
            if unverified_checkpoint(newest).size <= size:
                break
            checkpoint = newest
        await asyncio.to_thread(export.finish_log, checkpoint)
        return copied, found

    async def _checkpoint(self, name: str) -> str:
        registry = self._registry(name)
        answer = await registry.call(registry.log.GetCheckpoint, log_pb2.GetCheckpointRequest())
        return str(answer.checkpoint)

    async def _copy_wanted(self, name: str, export: EnvironmentExport, wanted: dict[str, None]) -> int:
        """Copy documents, and leave those that the registry does not have."""
        digests = list(wanted)
        found = 0
        for start in range(0, len(digests), _DOCUMENTS_PER_CALL):
            asked = digests[start : start + _DOCUMENTS_PER_CALL]
            # An answer has so many bytes at most: what it leaves out is asked for until nothing more comes.
            while asked and (there := await self._copy_documents(name, export, asked)):
                for digest in there:
                    wanted.pop(digest, None)
                found += len(there)
                asked = [digest for digest in asked if digest in wanted]
        return found

    async def _copy_documents(self, name: str, export: EnvironmentExport, digests: list[str]) -> list[str]:
        """Fetch some documents, in halves where they are too much for one message, and return which came."""
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
        return [document.digest for document in answer.documents]


def _consecutive(entries: Sequence[log_pb2.LogEntry], start: int) -> list[log_pb2.LogEntry]:
    """Return the entries that follow each other from an index on, up to the first that is missing."""
    numbered = zip(itertools.count(start), entries, strict=False)
    return [entry for _, entry in itertools.takewhile(lambda pair: pair[0] == pair[1].index, numbered)]


def _append(export: EnvironmentExport, entries: Sequence[log_pb2.LogEntry]) -> None:
    for entry in entries:
        export.append_entry(entry.entry, entry.leaf_hash or None)


def _read_entries(entries: Sequence[log_pb2.LogEntry]) -> Iterator[Entry]:
    for each in entries:
        try:
            yield parse_entry(each.entry)
        except CarnetError:
            continue  # The verifier names it.

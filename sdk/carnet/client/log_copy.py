"""Copying one environment's log with its documents into an export.

Responsible for the calls, for asking in smaller parts what outgrows a message, and for fetching only what an
earlier copy lacks. Judges nothing: the verifier does, of the copy.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

from carnet.client.audit_cut import newest
from carnet.errors import CarnetError, InternalError, NotFoundError, PermissionDeniedError
from carnet.references import ResourceName
from carnet.registry.v1 import log_pb2, models_pb2
from carnet.translog.entry import EntryType, parse_entry
from carnet.translog.erasure import erased_document

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from carnet.audit.export import EnvironmentExport
    from carnet.audit.held import HeldCopy
    from carnet.client.audit_cut import Cut
    from carnet.client.connection import RegistryConnection
    from carnet.client.progress import Progress

_PAGE_SIZE = 1000
_DOCUMENTS_PER_CALL = 100
_MANIFESTS_AT_ONCE = 16
_ARRIVALS = frozenset({EntryType.VERSION_PUBLISHED, EntryType.VERSION_ADMITTED})


class LogCopy:
    """One copy in the making.

    Args:
        registry: Whose log it is.
        export: Where it is written.
        held: An earlier copy, of which nothing is fetched again but documents that entries call erased; None
            for fetching everything.
        manifests: Whether the manifests of the versions that arrived are copied as documents too, as far as
            this identity may read them.
        cut: Up to where the log is copied; None for its newest checkpoint.
        progress: Told of the stage ``copying ENV``, in entries.

    Attributes:
        lacks_documents: Whether documents are missing of which no copied entry says that they were erased. An
            entry after the copy's end may say so, of a document that was erased while the log was copied.
    """

    def __init__(
        self,
        registry: RegistryConnection,
        export: EnvironmentExport,
        *,
        held: HeldCopy | None = None,
        manifests: bool = False,
        cut: Cut | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._registry = registry
        self._export = export
        self._held = held
        self._manifests = manifests
        self._cut = cut
        self._progress = progress
        self._entries = 0
        self._wanted: dict[str, None] = {}
        self._arrived: dict[str, str] = {}
        self._erased: set[str] = set()
        self.lacks_documents = False

    async def run(self) -> tuple[int, int]:
        """Copy the log as far as its checkpoint covers it.

        Returns:
            How many entries and how many documents the copy has.

        Raises:
            ProofInvalidError: The registry answered with no checkpoint.
            CarnetError: A call or writing failed; the class says how.
        """
        cut = self._cut or await newest(self._registry)
        size = cut.size
        if self._held is not None:
            await asyncio.to_thread(self._take_held, self._held, size)
        await self._fetch_entries(size)
        await asyncio.to_thread(self._export.finish_log, cut.checkpoint, cut.witnessed)
        missing, found = await asyncio.to_thread(self._take_held_documents)
        for start in range(0, len(missing), _DOCUMENTS_PER_CALL):
            asked = missing[start : start + _DOCUMENTS_PER_CALL]
            # An answer has so many bytes at most: what it leaves out is asked for until nothing more comes.
            while asked and (there := await self._fetch_documents(asked)):
                found += len(there)
                asked = [digest for digest in asked if digest not in there]
            self.lacks_documents |= not self._erased.issuperset(asked)
        versions = await asyncio.to_thread(self._take_held_manifests)
        for start in range(0, len(versions), _MANIFESTS_AT_ONCE):
            batch = versions[start : start + _MANIFESTS_AT_ONCE]
            await asyncio.gather(*(self._fetch_manifest(each) for each in batch))
        return self._entries, found

    def _take_held(self, held: HeldCopy, size: int) -> None:
        if held.size > size:
            return  # The log shrank: all of it is fetched, and the verifier compares it with what was kept.
        for entries in held.bundles():
            for entry in entries:
                self._export.append_entry(entry)
                self._note(entry)

    def _take_held_documents(self) -> tuple[list[str], int]:
        """Take over the documents that are held, and return the others, with how many were taken."""
        missing = []
        for digest in self._wanted:
            data = None if self._held is None or digest in self._erased else self._held.document(digest)
            if data is None:
                missing.append(digest)
            else:
                self._export.add_document(data)
        return missing, len(self._wanted) - len(missing)

    def _take_held_manifests(self) -> list[str]:
        """Take over the manifests that are held, and return the versions whose are not."""
        missing = []
        for version, digest in self._arrived.items():
            data = None if self._held is None else self._held.document(digest)
            if data is None:
                missing.append(version)
            else:
                self._export.add_document(data)
        return missing

    async def _fetch_manifest(self, version: str) -> None:
        """Fetch the manifest of a version; one that this identity may not read is left out."""
        try:
            answer: models_pb2.GetVersionResponse = await self._registry.call(
                self._registry.models.GetVersion, models_pb2.GetVersionRequest(name=version)
            )
        except (NotFoundError, PermissionDeniedError):
            return
        # It lies under its own digest: one that is not the version's is found by nobody who looks for that.
        await asyncio.to_thread(self._export.add_document, answer.version.canonical_manifest)

    async def _fetch_entries(self, size: int) -> None:
        while self._entries < size:
            start = self._entries
            page = await self._registry.call(
                self._registry.log.ListEntries,
                log_pb2.ListEntriesRequest(start_index=start, page_size=min(_PAGE_SIZE, size - start)),
            )
            entries = _consecutive(page.entries[: size - start], start)
            if not entries:
                break  # An entry is missing: the verifier says what that means.
            await asyncio.to_thread(self._append, entries)
            if self._progress:
                self._progress(f"copying {self._registry.environment_name}", self._entries, size)

    def _append(self, entries: Sequence[log_pb2.LogEntry]) -> None:
        for entry in entries:
            self._export.append_entry(entry.entry, entry.leaf_hash or None)
            self._note(entry.entry)

    def _note(self, data: bytes) -> None:
        self._entries += 1
        try:
            entry = parse_entry(data)
        except CarnetError:
            return  # The verifier names it.
        self._wanted.update(dict.fromkeys(entry.documents))
        erased = erased_document(entry)
        if erased is not None:
            self._erased.add(erased)
        if self._manifests and entry.type in _ARRIVALS:
            self._note_arrival(entry.subject)

    def _note_arrival(self, subject: Mapping[str, str | int]) -> None:
        if {"namespace", "model", "version"} <= set(subject):
            namespace, model = str(subject["namespace"]), str(subject["model"])
            version = str(ResourceName(namespace, model, int(subject["version"])))
            self._arrived[version] = str(subject.get("bundle_digest", ""))

    async def _fetch_documents(self, digests: list[str]) -> set[str]:
        """Fetch some documents, in halves where they are too much for one message, and return which came."""
        try:
            answer = await self._registry.call(
                self._registry.log.BatchGetDocuments, log_pb2.BatchGetDocumentsRequest(digests=digests)
            )
        except CarnetError as error:
            if len(digests) == 1 or error.reason not in {"MESSAGE_TOO_LARGE", "RESOURCE_EXHAUSTED"}:
                raise
            middle = len(digests) // 2
            first = await self._fetch_documents(digests[:middle])
            return first | await self._fetch_documents(digests[middle:])
        for document in answer.documents:
            if document.digest not in digests:
                raise InternalError(f"{self._registry.peer} answered with a document that was not asked for")
            # One that is damaged gets another name by its digest, and the verifier misses it under its own.
            await asyncio.to_thread(self._export.add_document, document.data)
        return {document.digest for document in answer.documents}


async def copy_environment(copy: LogCopy, export: EnvironmentExport) -> tuple[int, int]:
    """Make a copy and put it in its place, or leave the one that is there; see ``LogCopy.run``."""
    await asyncio.to_thread(export.__enter__)
    try:
        copied = await copy.run()
    except BaseException as error:
        await asyncio.to_thread(export.__exit__, type(error), error, error.__traceback__)
        raise
    await asyncio.to_thread(export.__exit__, None, None, None)
    return copied


def _consecutive(entries: Sequence[log_pb2.LogEntry], start: int) -> list[log_pb2.LogEntry]:
    """Return the entries that follow each other from an index on, up to the first that is missing."""
    numbered = zip(itertools.count(start), entries, strict=False)
    return [entry for _, entry in itertools.takewhile(lambda pair: pair[0] == pair[1].index, numbered)]

"""Policy and trust documents, and certificates, that change while the registry runs.

Responsible for noticing that a file changed, for having it judged, and for putting it in force together with
its entry in the log; at the start the same is done once before anybody is served. A document that is invalid,
for another environment, not newer than the one in force or not signed by enough people is never loaded: the
last good one stays, and the log of the process and ``EnvironmentState.refused`` say so. Of several processes
over one database each takes what another put in force, whatever its own files say.

A new document is in force from the moment at which its entry is written, between two changes of the writer:
what was written before rests on the old one, and a request that began under the old one and comes to write
afterwards is refused and made again (``SteadyWriter``).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from carnet.canonical import sha256_hex
from carnet.errors import CarnetError, ConflictError, LogTamperedError
from carnet_server.environment.documents import Files, policy_reader, trust_reader
from carnet_server.environment.queries import read_digests, read_stored
from carnet_server.environment.service import record_documents
from carnet_server.environment.state import RefusedDocument

if TYPE_CHECKING:
    from collections.abc import Mapping

    from carnet.client.renewal import FollowedIdentity
    from carnet_server.config import RegistryConfig
    from carnet_server.database.engine import Database
    from carnet_server.environment.documents import Document, DocumentReader
    from carnet_server.environment.state import EnvironmentState
    from carnet_server.log.writer import Writer

LOOK_EVERY_SECONDS = 1.0
_ATTEMPTS = 3
Content = TypeVar("Content")

logger = logging.getLogger(__name__)


class DocumentReload:
    """Follows the files of a registry's documents and certificates.

    Args:
        config: Where they are.
        state: What is in force; it is changed here, and nowhere else.
        database: The environment's database.
        writer: Its writer.
        identity: The registry's certificate and authorities.
    """

    def __init__(
        self,
        config: RegistryConfig,
        state: EnvironmentState,
        database: Database,
        writer: Writer,
        identity: FollowedIdentity,
    ) -> None:
        self._policy = policy_reader(config)
        self._trust = trust_reader(config)
        self._state = state
        self._database = database
        self._writer = writer
        self._identity = identity
        self._refused: dict[str, tuple[RefusedDocument, Files | None, str]] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look, again and again, until ``stop``; needs a running event loop."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_SECONDS)
            try:
                await self.look()
            except CarnetError as error:
                logger.error(  # noqa: TRY400  the next look tries again
                    "the changed documents could not be put in force yet: %s", error.message
                )
            except Exception:
                logger.exception("looking at the documents failed")

    async def look(self) -> None:
        """Look at the files now, and put in force what is new; see ``look_at_documents``."""
        self._state.identity = await asyncio.to_thread(self._identity.look)
        await self.look_at_documents()

    async def look_at_documents(self) -> None:
        """Look at the documents alone, as is done at the start too.

        Raises:
            CarnetError: The entry could not be written, or the database cannot be read; what was in force
                stays.
            ConflictError: Other processes put documents in force again and again meanwhile.
            LogTamperedError: The database names an older document than the one in force; that stays.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                await self._look_at_documents()
            except ConflictError:
                if attempt == _ATTEMPTS:
                    raise
            else:
                return

    async def _look_at_documents(self) -> None:
        recorded = await self._database.read(read_digests)
        before = (self._state.policy, self._state.trust.current)
        policy = await self._next(self._policy, recorded, before[0].digest, before[0].document.version)
        trust = await self._next(self._trust, recorded, before[1].digest, before[1].version)
        self._state.refused = tuple(refused for refused, _, _ in self._refused.values())
        if policy is None and trust is None:
            return
        changed = {each.header.kind: each for each in (policy, trust) if each is not None}
        try:
            await record_documents(
                self._writer,
                self._state,
                documents=(policy.content if policy else before[0], trust.content if trust else before[1]),
                signatures={kind: each.signatures for kind, each in changed.items()},
                recorded=recorded,
            )
        except BaseException:
            self._state.put_in_force(*before)
            raise
        for document in changed.values():
            by = f", signed by {', '.join(document.signed_by)}" if document.signed_by else ""
            logger.warning("%s is in force: %s%s", document.header, document.header.digest, by)

    async def _next(
        self, reader: DocumentReader[Content], recorded: Mapping[str, str], digest: str, version: int
    ) -> Document[Content] | None:
        """Return the document that is to be in force next; None for no change.

        Args:
            reader: Reads documents of the kind.
            recorded: What the database says is in force.
            digest: The digest of the one that is in force in this process.
            version: Its version.
        """
        adopted: Document[Content] | None = None
        if recorded.get(reader.kind, digest) != digest:
            adopted = await self._adopt(reader, recorded[reader.kind], version)
            digest, version = adopted.header.digest, adopted.header.version
        return await self._changed(reader, digest, version) or adopted

    async def _adopt(self, reader: DocumentReader[Content], digest: str, version: int) -> Document[Content]:
        """Take what another process put in force."""
        data = await self._database.read(lambda connection: read_stored(connection, digest))
        document = await asyncio.to_thread(reader.load, data)
        if document.header.version <= version:
            raise LogTamperedError(
                f"the database says that {document.header} is in force, and version {version} was before: "
                "the table documents_in_force was edited; restore the database"
            )
        return document

    async def _changed(
        self, reader: DocumentReader[Content], digest: str, version: int
    ) -> Document[Content] | None:
        """Return a document of the files that may replace the one in force; None for none, or a bad one."""
        name = reader.path.name
        files: Files | None = None
        try:
            files = await asyncio.to_thread(reader.read_files)
            if sha256_hex(files.data) == digest:
                self._refused.pop(name, None)
                return None
            known = self._refused.get(name)
            if known is not None and known[1:] == (files, digest):
                return None
            document = await asyncio.to_thread(reader.judge, files, newer_than=version)
        except CarnetError as error:
            self._refuse(reader, error.message, files, digest)
            return None
        self._refused.pop(name, None)
        return document

    def _refuse(
        self, reader: DocumentReader[Content], reason: str, files: Files | None, in_force: str
    ) -> None:
        known = self._refused.get(reader.path.name)
        if known is None or known[0].reason != reason:
            logger.error("%s changed and is NOT in force, the last good one stays: %s", reader.path, reason)
            refused = RefusedDocument(reader.path.name, reason, datetime.now(UTC))
        else:
            refused = known[0]
        self._refused[reader.path.name] = (refused, files, in_force)

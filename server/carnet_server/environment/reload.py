"""Policy and trust documents, and certificates, that change while the registry runs.

Responsible for noticing that a file changed, for reading it as at the start, and for putting it in force
together with its entry in the log. A document that is invalid, is for another environment or has a lower
version than the one in force is never loaded: the last good one stays, and the log of the process says so.

A new document is in force from the moment at which its entry is written, between two changes of the writer:
what was written before rests on the old one, and a request that began under the old one and comes to write
afterwards is refused and made again (``SteadyWriter``).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, TypeVar

from carnet.documents import read_file
from carnet.errors import CarnetError, DocumentInvalidError
from carnet_server.access.trust import load_trust
from carnet_server.environment.service import record_documents
from carnet_server.environment.state import load_environment_policy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from carnet.client.renewal import FollowedIdentity
    from carnet_policies.document import Policy
    from carnet_server.access.trust import Trust
    from carnet_server.config import RegistryConfig
    from carnet_server.environment.state import EnvironmentState
    from carnet_server.log.writer import Writer

LOOK_EVERY_SECONDS = 1.0
Document = TypeVar("Document")

logger = logging.getLogger(__name__)


class DocumentReload:
    """Follows the files of a registry's documents and certificates.

    Args:
        config: Where they are.
        state: What is in force; it is changed here, and nowhere else.
        writer: The environment's writer.
        identity: The registry's certificate and authorities.
    """

    def __init__(
        self, config: RegistryConfig, state: EnvironmentState, writer: Writer, identity: FollowedIdentity
    ) -> None:
        self._config = config
        self._state = state
        self._writer = writer
        self._identity = identity
        self._refused: dict[Path, str] = {}
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
        """Look at the files now, and put in force what is new.

        Raises:
            CarnetError: The entry could not be written; what was in force stays.
        """
        self._state.identity = await asyncio.to_thread(self._identity.look)
        policy = await self._changed(self._config.policy, self._state.policy.bytes, self._read_policy)
        trust = await self._changed(self._config.trust, self._state.trust.current.data, self._read_trust)
        if policy is None and trust is None:
            return
        before = (self._state.policy, self._state.trust.current)
        after = (before[0] if policy is None else policy, before[1] if trust is None else trust)
        try:
            await record_documents(self._writer, self._state, documents=after)
        except BaseException:
            self._state.put_in_force(*before)
            raise
        for kind, document in (("policy", policy), ("trust document", trust)):
            if document is not None:
                logger.warning("a new %s is in force: %s", kind, document.digest)

    async def _changed(
        self, path: Path, current: bytes, read: Callable[[bytes], Document]
    ) -> Document | None:
        """Return a document that is another than the one in force; None for no change, or one that is bad."""
        try:
            data = await asyncio.to_thread(read_file, path, what="the document")
            if data == current:
                self._refused.pop(path, None)
                return None
            return await asyncio.to_thread(read, data)
        except CarnetError as error:
            if self._refused.get(path) != error.message:
                logger.error(  # noqa: TRY400  a file to correct, not a defect
                    "%s changed and is NOT in force, the last good one stays: %s", path, error.message
                )
            self._refused[path] = error.message
            return None

    def _read_policy(self, data: bytes) -> Policy:
        policy = load_environment_policy(data, self._config)
        _require_newer(self._config.policy.name, policy.document.version, self._state.policy.document.version)
        return policy

    def _read_trust(self, data: bytes) -> Trust:
        trust = load_trust(data, name=self._config.trust.name, environment=self._config.name)
        _require_newer(self._config.trust.name, trust.version, self._state.trust.current.version)
        return trust


def _require_newer(name: str, version: int, in_force: int) -> None:
    if version < in_force:
        raise DocumentInvalidError(f"{name}: version: {version} is older than {in_force}, which is in force")

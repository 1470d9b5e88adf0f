"""The copies of the environments' logs that reports are derived from.

Responsible for bringing each up to date as an auditor would, over gRPC and with a certificate for that alone,
and for forgetting one that turned out not to be what its log was. Each environment must give its holder the
role ``archivist``; without it the log is read, and its documents are not. Verifies nothing (``deriving``).
"""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING

from carnet.audit.export import ExportWriter
from carnet.audit.held import HeldCopy
from carnet.client.log_copy import LogCopy, copy_environment
from carnet_sync.environments.registry import reaching

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from carnet_sync.environments.links import Links


class Copies:
    """The copies below one folder, which nobody but this service's user can read.

    Args:
        links: The way to each registry.
        folder: The folder; it is made where it is missing.
    """

    def __init__(self, links: Links, folder: Path) -> None:
        self._links = links
        self.folder = folder

    @property
    def environments(self) -> tuple[str, ...]:
        """The environments whose logs are copied."""
        return tuple(sorted(self._links.environments))

    async def refresh(self, environment: str) -> None:
        """Bring a copy up to date, or leave it as it was.

        Raises:
            UnavailableError: The registry cannot be reached; ``metadata["environment"]`` names it.
            PermissionDeniedError: The environment does not give this holder the role ``archivist``.
            StorageFullError: The disk is full.
            CarnetError: A call failed; the class says how.
        """
        await asyncio.to_thread(self.folder.mkdir, mode=0o700, parents=True, exist_ok=True)
        export = ExportWriter(self.folder).environment(environment)
        connection = self._links.registry(environment).connection
        with reaching(environment):
            held = HeldCopy(self.folder / environment)
            await copy_environment(LogCopy(connection, export, held=held, manifests=True), export)

    async def forget(self, environments: Iterable[str]) -> None:
        """Remove copies, so that the next report's are fetched anew."""
        for name in environments:
            if name in self._links.environments:
                await asyncio.to_thread(shutil.rmtree, self.folder / name, ignore_errors=True)

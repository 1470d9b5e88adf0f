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
from carnet.client.audit_cut import cut_of
from carnet.client.audit_memory import read_pins
from carnet.client.log_copy import LogCopy, copy_environment
from carnet_sync.environments.registry import reaching

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from carnet.client.audit_cut import Cut
    from carnet_sync.environments.links import Links


class Copies:
    """The copies below one folder, which nobody but this service's user can read.

    Args:
        links: The way to each registry.
        folder: The folder; it is made where it is missing.
        trust: The file with the pinned keys, which says whose logs must be witnessed.
    """

    def __init__(self, links: Links, folder: Path, trust: Path) -> None:
        self._links = links
        self._trust = trust
        self.folder = folder

    @property
    def environments(self) -> tuple[str, ...]:
        """The environments whose logs are copied."""
        return tuple(sorted(self._links.environments))

    async def cut(self) -> dict[str, Cut]:
        """Choose up to where each log is copied, so that the copies fit together.

        Raises:
            FileUnreadableError: The file with the pinned keys cannot be read.
            DocumentInvalidError: It is none.
            UnavailableError: A registry cannot be reached; ``metadata["environment"]`` names it.
            CarnetError: A call failed; the class says how.
        """
        pins = await asyncio.to_thread(read_pins, self._trust)
        demanded = {name for name, each in pins.environments.items() if each.policy.demands_witnesses}
        registries = {name: self._links.registry(name).connection for name in self.environments}
        with reaching(", ".join(registries)):
            return await cut_of(registries, witnessed=frozenset(demanded & registries.keys()))

    async def refresh(self, environment: str, cut: Cut) -> bool:
        """Bring a copy up to date, or leave it as it was.

        Args:
            environment: Whose log it is.
            cut: Up to where it is copied.

        Returns:
            Whether it is whole. A document may have been erased meanwhile: a later cut has the entry for it.

        Raises:
            UnavailableError: The registry cannot be reached; ``metadata["environment"]`` names it.
            PermissionDeniedError: The environment does not give this holder the role ``archivist``.
            StorageFullError: The disk is full.
            CarnetError: A call failed; the class says how.
        """
        await asyncio.to_thread(self.folder.mkdir, mode=0o700, parents=True, exist_ok=True)
        connection = self._links.registry(environment).connection
        export = ExportWriter(self.folder).environment(environment)
        held = HeldCopy(self.folder / environment)
        copy = LogCopy(connection, export, held=held, manifests=True, cut=cut)
        with reaching(environment):
            await copy_environment(copy, export)
        return not copy.lacks_documents

    async def forget(self, environments: Iterable[str]) -> None:
        """Remove copies, so that the next report's are fetched anew."""
        for name in environments:
            if name in self._links.environments:
                await asyncio.to_thread(shutil.rmtree, self.folder / name, ignore_errors=True)

"""Copying logs with their documents, and verifying them.

Responsible for copies of whole logs (``carnet.client.log_copy``), and for insisting, at the next audit, that
the logs still begin with the checkpoints that were verified at the last. All judging is done by
``carnet.audit``, offline.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from carnet.audit.export import ExportWriter
from carnet.audit.held import HeldCopy
from carnet.client.audit_cut import cut_of
from carnet.client.audit_memory import (
    earlier_checkpoints,
    federation_pins,
    read_pins,
    remember,
    verify_offline,
)
from carnet.client.log_copy import LogCopy, copy_environment
from carnet.client.results import ExportResult
from carnet.client.session import Session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from carnet.audit.report import AuditReport
    from carnet.client.audit_cut import Cut
    from carnet.client.progress import Progress

_ROUNDS = 3


class Auditing(Session):
    """Operations of auditors."""

    async def audit_export(
        self,
        directory: str | Path,
        *,
        environments: Sequence[str] = (),
        manifests: bool = True,
        progress: Progress | None = None,
    ) -> ExportResult:
        """Copy logs and the documents that they rest on, for verifying without any server.

        Args:
            directory: Where the copy is made; copies of the same environments in it are replaced.
            environments: The environments; none for all.
            manifests: Whether to copy the manifests of versions too, as far as this identity may read them:
                reports take owners and labels from them, and the verifier needs none.
            progress: Told of the stage ``copying ENV``, in entries.

        Returns:
            What was copied.

        Raises:
            ProofInvalidError: A registry answered with no checkpoint; whose it is, the verifier says.
            CarnetError: The call failed; the class says how.
        """
        folder = Path(directory)
        names = environments or tuple(self.federation.environments)
        entries: dict[str, int] = {}
        documents: dict[str, int] = {}
        cuts = await self._cuts(names)
        for _ in range(_ROUNDS):
            lacking = []
            for name, cut in cuts.items():
                export = await asyncio.to_thread(ExportWriter(folder).environment, name)
                held = HeldCopy(folder / name) if name in entries else None
                copy = LogCopy(
                    self._registry(name), export, held=held, manifests=manifests, cut=cut, progress=progress
                )
                entries[name], documents[name] = await copy_environment(copy, export)
                lacking += [name] if copy.lacks_documents else []
            # What is missing without a word may have been erased meanwhile: a later cut has the entry for it.
            later = await self._cuts(names) if lacking else cuts
            if all(later[name].size <= cuts[name].size for name in lacking):
                break
            cuts = later
        return ExportResult(directory=folder, entries=entries, documents=documents)

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
            await self.audit_export(folder, environments=environments, manifests=False, progress=progress)
            report = await asyncio.to_thread(
                verify_offline, Path(folder), pins, earlier=earlier, progress=progress
            )
        if report.ok:
            await asyncio.to_thread(remember, memory, report)
        return report

    async def _cuts(self, environments: Sequence[str]) -> dict[str, Cut]:
        pinned = {name: self.federation.environment(name) for name in environments}
        return await cut_of(
            {name: self._registry(name) for name in pinned},
            witnessed=frozenset(name for name, each in pinned.items() if each.witnesses.demands_witnesses),
        )

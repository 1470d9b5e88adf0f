"""Making reports of audits, and verifying them.

Responsible for fetching what a report is derived from, for the signature of who made it, and for asking
registries what a report of the drift sets beside their logs. All deriving is done by
``carnet.audit.reports``, offline.
"""

from __future__ import annotations

import asyncio
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from carnet.audit.fold import AliasName, VersionName
from carnet.audit.reports.compare import verify_report
from carnet.audit.reports.derive import derive_report
from carnet.audit.reports.observed import Answer, RegistryAnswers
from carnet.audit.reports.query import ReportKind
from carnet.audit.reports.sealing import open_report, seal_report
from carnet.client.audit_memory import earlier_checkpoints, federation_pins, read_pins, remember
from carnet.client.auditing import Auditing
from carnet.client.messages import alias_of, model_of, version_of
from carnet.client.paging import all_pages
from carnet.client.results.reports import ReportResult
from carnet.registry.v1 import aliases_pb2, models_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from carnet.audit.pins import Pins
    from carnet.audit.reports.compare import ReportVerdict
    from carnet.audit.reports.query import ReportQuery
    from carnet.client.progress import Progress
    from carnet.signing.keys import SigningKey
    from carnet.translog.checkpoint import Checkpoint


class Reporting(Auditing):
    """Operations on reports of audits."""

    async def audit_report(
        self,
        query: ReportQuery,
        *,
        offline: str | Path | None = None,
        trust: str | Path | None = None,
        despite_findings: bool = False,
        progress: Progress | None = None,
    ) -> ReportResult:
        """Verify the logs, and derive a report from them, signed with this identity's key if it has one.

        Args:
            query: What is asked.
            offline: An export to derive it from; None to fetch from the registries now.
            trust: A file with the pinned keys; None for the federation's own.
            despite_findings: Whether to make a report of logs that do not verify; it states what was found.
            progress: Told of the stages ``copying ENV`` and ``verifying ENV``, in entries.

        Returns:
            The report with its signed form; without one where the logs do not verify.

        Raises:
            NotFoundError: The logs do not have an environment, a promotion or an alias that is asked about.
            FileUnreadableError: The export or the file with the keys cannot be read.
            DocumentInvalidError: The file with the keys is not one.
            CarnetError: A registry could not be asked, or the key not be opened; the class says how.
        """
        pins = await self._pins(trust)
        key = await asyncio.to_thread(self._signing_key) if self.identity.can_sign else None
        if offline is not None:
            return await asyncio.to_thread(
                report_offline,
                Path(offline),
                pins,
                query,
                key=key,
                despite_findings=despite_findings,
                progress=progress,
            )
        with tempfile.TemporaryDirectory(prefix="carnet-audit-") as folder:
            earlier = await self._fetch(
                folder, pins, query.environments, manifests=_needs_manifests(query), progress=progress
            )
            answers = await self._ask_registries(query) if query.kind is ReportKind.DRIFT else None
            result = await asyncio.to_thread(
                report_offline,
                Path(folder),
                pins,
                query,
                key=key,
                earlier=earlier,
                answers=answers,
                despite_findings=despite_findings,
                progress=progress,
            )
        if result.audit.ok:
            await asyncio.to_thread(remember, self._memory, result.audit)
        return result

    async def audit_verify_report(
        self,
        data: bytes,
        *,
        offline: str | Path | None = None,
        trust: str | Path | None = None,
        progress: Progress | None = None,
    ) -> ReportVerdict:
        """Verify a report: its signature, and every row, derived again from the logs.

        Args:
            data: The report's file, JSON.
            offline: An export to derive it from; None to fetch from the registries now.
            trust: A file with the pinned keys; None for the federation's own.
            progress: Told of the stages ``copying ENV`` and ``verifying ENV``, in entries.

        Returns:
            What differs; ``ok`` tells whether nothing does, and the logs verify.

        Raises:
            IntegrityError: It is no report, or not signed by anybody pinned.
            FileUnreadableError: The export or the file with the keys cannot be read.
            CarnetError: A registry could not be asked; the class says how.
        """
        pins = await self._pins(trust)
        opened = await asyncio.to_thread(open_report, data, pins)
        told = _told(progress)
        if offline is not None:
            return await asyncio.to_thread(verify_report, data, Path(offline), pins, progress=told)
        with tempfile.TemporaryDirectory(prefix="carnet-audit-") as folder:
            earlier = await self._fetch(
                folder,
                pins,
                tuple(opened.checkpoints),
                manifests=_needs_manifests(opened.query),
                progress=progress,
            )
            verdict = await asyncio.to_thread(
                verify_report, data, Path(folder), pins, earlier=earlier, progress=told
            )
        if verdict.audit.ok:
            await asyncio.to_thread(remember, self._memory, verdict.audit)
        return verdict

    @property
    def _memory(self) -> Path:
        return self.federation.directory / "verified"

    async def _pins(self, trust: str | Path | None) -> Pins:
        return await asyncio.to_thread(read_pins, Path(trust)) if trust else federation_pins(self.federation)

    async def _fetch(
        self,
        folder: str,
        pins: Pins,
        environments: Sequence[str],
        *,
        manifests: bool,
        progress: Progress | None,
    ) -> Mapping[str, Checkpoint]:
        """Copy logs into a folder, and return the checkpoints that were kept of them."""
        earlier = await asyncio.to_thread(earlier_checkpoints, self._memory, pins)
        await self.audit_export(folder, environments=environments, manifests=manifests, progress=progress)
        return {name: kept for name, kept in earlier.items() if not environments or name in environments}

    async def _ask_registries(self, query: ReportQuery) -> dict[str, RegistryAnswers]:
        names = query.environments or tuple(self.federation.environments)
        answers = await asyncio.gather(*(self._ask_registry(name) for name in names))
        return dict(zip(names, answers, strict=True))

    async def _ask_registry(self, environment: str) -> RegistryAnswers:
        """Read every alias and every version that a registry has."""
        registry, asked_at = self._registry(environment), datetime.now(UTC)
        aliases: dict[AliasName, Answer] = {}
        versions: dict[VersionName, Answer] = {}
        found = await all_pages(
            registry,
            registry.models.ListModels,
            models_pb2.ListModelsRequest(parent="namespaces/-"),
            "models",
        )
        for model in (model_of(each, environment).reference for each in found):
            parent = model.model_name
            for message in await all_pages(
                registry,
                registry.models.ListVersions,
                models_pb2.ListVersionsRequest(parent=parent),
                "versions",
            ):
                version = version_of(message, environment)
                name = VersionName(model.namespace, model.model, version.reference.version)
                changed = max(version.log_index, version.stage_log_index)
                versions[name] = Answer(version.stage, version.bundle_digest, changed)
            for message in await all_pages(
                registry,
                registry.aliases.ListAliases,
                aliases_pb2.ListAliasesRequest(parent=parent),
                "aliases",
            ):
                alias = alias_of(message, environment)
                pointer = AliasName(model.namespace, model.model, alias.reference.alias)
                aliases[pointer] = Answer(str(alias.version), alias.bundle_digest, alias.log_index)
        return RegistryAnswers(asked_at, aliases, versions)


def report_offline(
    directory: Path,
    pins: Pins,
    query: ReportQuery,
    *,
    key: SigningKey | None = None,
    earlier: Mapping[str, Checkpoint] | None = None,
    answers: Mapping[str, RegistryAnswers] | None = None,
    despite_findings: bool = False,
    progress: Progress | None = None,
) -> ReportResult:
    """Derive a report from an export, and sign it.

    Args:
        directory: The export.
        pins: The keys.
        query: What is asked.
        key: The key of who makes it; None to leave it unsigned.
        earlier: Checkpoints that the logs must begin with.
        answers: What registries answer now, for a report of the drift.
        despite_findings: Whether to make a report of logs that do not verify.
        progress: Told of the stages ``verifying ENV``, in entries.

    Raises:
        NotFoundError: The logs do not have what is asked about.
        FileUnreadableError: The export cannot be read at all.
    """
    derived = derive_report(
        directory,
        pins,
        query,
        generated_at=datetime.now(UTC),
        earlier=earlier,
        answers=answers,
        despite_findings=despite_findings,
        progress=_told(progress),
    )
    data = b"" if derived.report is None else seal_report(derived.report, key)
    return ReportResult(audit=derived.audit, report=derived.report, data=data, signed=key is not None)


def verify_report_offline(
    data: bytes, directory: Path, pins: Pins, *, progress: Progress | None = None
) -> ReportVerdict:
    """Verify a report against an export; the arguments and errors are those of ``verify_report``."""
    return verify_report(data, directory, pins, progress=_told(progress))


def _needs_manifests(query: ReportQuery) -> bool:
    return query.kind is ReportKind.INVENTORY


def _told(progress: Progress | None) -> Callable[[str, int, int], None] | None:
    if progress is None:
        return None
    tell = progress
    return lambda name, done, total: tell(f"verifying {name}", done, total)

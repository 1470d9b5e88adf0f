"""Bringing a verified bundle onto this disk, and verifying one that is here or in a registry.

Responsible for what stands in a directory that ``pull`` made: all of a bundle, verified to the last byte, or
nothing. Files are fetched beside the target on the same file system, hashed as they arrive, verified together
with the signature, synced, and put in place by one rename.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from carnet.bundle.directory import verify_directory, write_metadata
from carnet.client.folders import PinnedKeys, verify_bundle_folder
from carnet.client.hashing import hash_blobs
from carnet.client.models import reference_to
from carnet.client.progress import staged
from carnet.client.results import PulledBundle, VerifiedBundle
from carnet.client.stamping import Stamping, put_stamps, stage_stamps
from carnet.client.transfer import LocalBlob, download_files
from carnet.errors import (
    AlreadyExistsError,
    CarnetError,
    FileUnreadableError,
    InvalidInputError,
    PurgedError,
    ReferenceInvalidError,
    StorageFullError,
)
from carnet.references import Reference, parse_reference
from carnet.stamps.folder import folder_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from carnet.bundle.manifest import Manifest
    from carnet.client.progress import Progress
    from carnet.client.results import ResolvedVersion
    from carnet.client.stamping import FetchedStamps


class Pulling(Stamping):
    """Operations that fetch and verify."""

    async def pull(
        self,
        reference: str | Reference,
        to: str | Path,
        *,
        stamps: bool = True,
        progress: Progress | None = None,
    ) -> PulledBundle:
        """Fetch a version into a new directory, verified, with its stamps in a folder beside it.

        The directory appears at once and whole, or not at all. Pulling again into a directory that is this
        very bundle changes nothing in it and succeeds; its stamps are then brought up to date.

        Args:
            reference: ``ENV/NAMESPACE/MODEL@VERSION`` or ``@ALIAS``.
            to: The directory, which must not exist (or be this bundle); its parents are made.
            stamps: Whether the stamps are fetched too, into the folder ``<to>.carnet``.
            progress: Told of the stage ``receiving``, in bytes.

        Returns:
            What is there now.

        Raises:
            AlreadyExistsError: The directory exists and is something else; it is left alone.
            NotFoundError: There is no such version or alias.
            PurgedError: Its files were purged; the message says when.
            IntegrityError: What the registry answered is not what was signed; nothing is kept.
            StorageFullError: The disk is full; nothing is kept.
            CarnetError: The call failed; the class says how.

        Example:
            >>> import tempfile, pathlib
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     bundle = client.pull("dev/risk/fraud@1", pathlib.Path(folder) / "fraud")
            ...     (bundle.path / "manifest.json").exists()
            True
        """
        wanted = reference_to(reference, want="version")
        target = Path(to)
        fetched, problem = None, ""
        if stamps:
            resolved, fetched, problem = await self._resolve_with_stamps(wanted)
        else:
            resolved = await self.resolve(wanted)
        _require_files(resolved)
        already_there = await asyncio.to_thread(os.path.lexists, target)
        if already_there:
            await asyncio.to_thread(self._check_same, target, resolved)
        else:
            await self._fetch_files(resolved, target, progress)
        if fetched is not None:
            await asyncio.to_thread(_keep_stamps, target, fetched)
        return PulledBundle(
            reference=resolved.reference,
            path=target,
            bundle_digest=resolved.bundle_digest,
            signer=resolved.signer,
            already_there=already_there,
            manifest=resolved.manifest,
            stamps=fetched.verified if fetched else None,
            stamps_path=folder_of(target) if fetched else None,
            stamps_problem=fetched.problem if fetched else problem,
        )

    async def _fetch_files(self, resolved: ResolvedVersion, target: Path, progress: Progress | None) -> None:
        staging, files = await asyncio.to_thread(_make_staging, target, resolved.manifest)
        try:
            await download_files(
                self._registry(resolved.reference.environment),
                resolved.reference.namespace,
                files,
                progress=staged(progress, "receiving"),
            )
            await asyncio.to_thread(_put_in_place, staging, target, resolved)
        finally:
            await asyncio.to_thread(shutil.rmtree, staging, ignore_errors=True)

    async def verify(
        self,
        what: str | Path | Reference,
        *,
        require: str = "",
        stamps: str | Path | None = None,
        progress: Progress | None = None,
    ) -> VerifiedBundle:
        """Verify a bundle's directory with its stamps, or a version in a registry with files and evidence.

        Args:
            what: A path (a ``Path``, or text that names something on this disk) or a reference.
            require: For a directory, an environment that its stamps must lead through; empty for none.
            stamps: For a directory, the folder with its stamps; None for the one beside it, if there is one.
            progress: Told of the stage ``verifying``, in bytes.

        Returns:
            What was verified.

        Raises:
            IntegrityError: A file, the manifest, a signature, an attestation or the receipt is not what it
                should be; the message names it.
            PurgedError: The files of the version were purged; the message says when.
            DataLossError: The registry's stored bytes are not the ones that were written.
            CarnetError: The call failed; the class says how.

        Example:
            >>> client.verify("dev/risk/fraud@1").subject
            'dev/risk/fraud@1'
        """
        if isinstance(what, Path) or (isinstance(what, str) and await asyncio.to_thread(_on_disk, what)):
            return await asyncio.to_thread(
                verify_bundle_folder,
                Path(str(what)),
                PinnedKeys.of_federation(self.federation),
                stamps=None if stamps is None else Path(stamps),
                require=require,
                progress=progress,
            )
        if require or stamps is not None:
            raise InvalidInputError(
                f"{what} is a version in a registry: stamps are beside a pulled directory"
            )
        return await self._verify_version(_require_files(await self.resolve(str(what))), str(what), progress)

    async def _verify_version(
        self, resolved: ResolvedVersion, asked: str, progress: Progress | None
    ) -> VerifiedBundle:
        evidence = await self._held_evidence(resolved.reference, resolved.bundle_digest)
        registry = self._registry(resolved.reference.environment)
        await hash_blobs(
            registry,
            resolved.reference.namespace,
            resolved.manifest.files,
            progress=staged(progress, "verifying"),
        )
        files = resolved.manifest.files
        return VerifiedBundle(
            subject=resolved.manifest.subject_name,
            where=asked,
            bundle_digest=resolved.bundle_digest,
            signer=resolved.signer,
            file_count=len(files),
            size_bytes=sum(file.size_bytes for file in files),
            evidence_count=len(evidence),
            receipt=resolved.receipt,
        )

    def _check_same(self, target: Path, resolved: ResolvedVersion) -> None:
        """Insist that what is at the target is this very bundle, to the last byte."""
        try:
            known = self.federation
            found = verify_directory(target, known.keys, authorities=known.authorities).digest
        except CarnetError as error:
            raise AlreadyExistsError(
                f"{target} exists and is not {resolved.reference} whole ({error.message}): it is left alone; "
                "name another directory, or remove it"
            ) from error
        if found != resolved.bundle_digest:
            raise AlreadyExistsError(
                f"{target} exists and is another bundle ({found[:16]}…): it is left alone; "
                "name another directory"
            )


def _require_files(resolved: ResolvedVersion) -> ResolvedVersion:
    """Insist that the registry says that it has the files."""
    version = resolved.version
    if version.purged_at is not None:
        raise PurgedError(
            f"{resolved.reference} was purged at {version.purged_at:%Y-%m-%d %H:%M:%S} UTC (log entry "
            f"{version.purge_log_index}): its files are gone, and its manifest and history are kept",
            metadata={
                "subject": resolved.reference.resource_name,
                "purgeTime": version.purged_at.isoformat(),
            },
        )
    return resolved


def _make_staging(target: Path, manifest: Manifest) -> tuple[Path, list[LocalBlob]]:
    """Make a folder beside the target, with the folders that the bundle's files go into."""
    with _typed_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = target.parent / f".{target.name}.partial-{uuid4().hex[:8]}"
        staging.mkdir()
        files = [LocalBlob(staging / file.path, file.digest, file.size_bytes) for file in manifest.files]
        for folder in {file.path.parent for file in files}:
            folder.mkdir(parents=True, exist_ok=True)
    return staging, files


def _put_in_place(staging: Path, target: Path, resolved: ResolvedVersion) -> None:
    """Complete the staging folder, make it durable, and give it its name by one rename."""
    write_metadata(staging, resolved.manifest.to_bytes(), resolved.signature)
    with _typed_errors(target):
        for folder, _, _ in os.walk(staging):
            _sync_folder(Path(folder))
        if os.path.lexists(target):
            raise AlreadyExistsError(f"{target} was made by somebody else meanwhile: it is left alone")
        staging.rename(target)
        _sync_folder(target.parent)


def _keep_stamps(target: Path, stamps: FetchedStamps) -> None:
    with _typed_errors(folder_of(target)):
        put_stamps(target, stage_stamps(target, stamps))
        _sync_folder(folder_of(target).parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _typed_errors(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOTEMPTY, errno.EEXIST} and os.path.lexists(target):
            raise AlreadyExistsError(f"{target} exists: it is left alone; name another directory") from error
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        raise (StorageFullError if full else FileUnreadableError)(
            f"{target} cannot be written: {error.strerror or error}"
        ) from error


def _on_disk(what: str) -> bool:
    if os.path.lexists(what):
        return True
    try:
        parse_reference(what)
    except ReferenceInvalidError as error:
        raise ReferenceInvalidError(
            f"nothing on this disk is called {what[:160]!r}, and {error.message}"
        ) from error
    return False

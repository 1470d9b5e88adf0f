"""Importing another registry's versions: a batch of publications through the normal door.

Responsible for the order: everything is read and every checksum verified, then what is there already is
told apart from what is in the way, and only then is anything sent, version by version in the order of their
numbers. So an import that is run again goes on where it ended. Does not know the layout of the folder;
``carnet.importing`` does.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from carnet.client.aliases import Aliases
from carnet.client.models import Models, reference_to
from carnet.client.progress import staged
from carnet.client.publishing import Publishing
from carnet.client.results.importing import ImportedAlias, ImportedVersion, ImportReport
from carnet.client.transfer import LocalBlob, upload_files
from carnet.errors import AlreadyExistsError, ConflictError, NotFoundError
from carnet.importing.conversion import VERSION_LABEL, lasting_content
from carnet.importing.document import ImportDocument, read_import_document
from carnet.importing.drafts import make_drafts
from carnet.importing.layout import POINTER_NAME, read_store
from carnet.references import Reference, check_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from carnet.bundle.manifest import Manifest
    from carnet.client.progress import Progress
    from carnet.importing.drafts import Draft
    from carnet.importing.layout import FolderStore

_READ_AT_ONCE = 16
# How the notes of an import's own moves begin: what a person moved since is left alone.
_NOTE = "imported: "


@dataclass(frozen=True, slots=True)
class _Planned:
    """A draft under the number that it has or gets here, and whether it is here."""

    draft: Draft
    manifest: Manifest
    there: bool


class Importing(Publishing, Models, Aliases):
    """Operations that import."""

    async def import_folder(
        self,
        reference: str | Reference,
        folder: str | Path,
        *,
        document: str | Path | ImportDocument | None = None,
        renumber: bool = False,
        alias: str = "",
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> ImportReport:
        """Publish every version of a registry that is a folder, as versions of a model.

        Run again, it goes on: a version that is there with the same content is left as it is.

        Args:
            reference: The model, ``ENV/NAMESPACE/MODEL``; the environment becomes the versions' home.
            folder: The folder with ``v1``, ``v2``, … and ``active_version.json``.
            document: What the folder does not say; a file, or the document itself. None for nothing.
            renumber: Take the next numbers, in order, where the folder's own have gaps.
            alias: The alias to move as the folder's pointer was: to the previous version, then to the current
                one; empty to leave aliases alone.
            dry_run: Verify and plan all of it, and change nothing.
            progress: Told of the stages ``hashing`` and ``sending``, in bytes.

        Returns:
            What became of each version, and of the alias.

        Raises:
            FileUnreadableError: The folder, or a file in it, cannot be read.
            PathRefusedError: Something in it is a symlink, or a name climbs out of it.
            DocumentInvalidError: A manifest, the pointer or the document is malformed, or a number missing.
            DigestMismatchError: A file is not what its checksum says; nothing was sent.
            AlreadyExistsError: A version is there with another content; nothing was sent.
            ConflictError: The alias points elsewhere, or somebody else publishes meanwhile.
            GateRefusedError: The environment's policy refuses a version; those before it are published.
            CarnetError: The call failed; the class says how.
        """
        target = reference_to(reference, want="model")
        if alias:
            check_name(alias, field="alias")
        said = document or ImportDocument()
        if not isinstance(said, ImportDocument):
            said = await asyncio.to_thread(read_import_document, Path(said))
        store = await asyncio.to_thread(read_store, Path(folder), gaps=renumber)
        drafts = await asyncio.to_thread(
            make_drafts, store, said, target, progress=staged(progress, "hashing")
        )
        held = await self._held(target, None if renumber else {each.source.number for each in drafts})
        planned = _plan(target, drafts, held, renumber=renumber)
        pointed = await self._pointed(target, alias, store, planned) if alias else None
        if not dry_run:
            await self._publish_all(target, [each for each in planned if not each.there], progress)
            if pointed is not None:
                await self._move(pointed, store)
        return ImportReport(
            model=target,
            dry_run=dry_run,
            versions=tuple(_reported(target, each, dry_run=dry_run) for each in planned),
            alias=None if pointed is None else _alias_reported(pointed, dry_run=dry_run),
        )

    async def _held(self, target: Reference, numbers: set[int] | None) -> dict[int, Manifest]:
        """Read the manifests of the versions that are there: those of some numbers, or all."""
        try:
            listed = await self.versions(target)
        except NotFoundError:
            return {}
        wanted = [
            each.reference
            for each in reversed(listed)
            if numbers is None or each.reference.version in numbers
        ]
        found: dict[int, Manifest] = {}
        for start in range(0, len(wanted), _READ_AT_ONCE):
            some = wanted[start : start + _READ_AT_ONCE]
            for resolved in await asyncio.gather(*(self.resolve(each) for each in some)):
                found[resolved.reference.version] = resolved.manifest
        return found

    async def _publish_all(
        self, target: Reference, planned: Sequence[_Planned], progress: Progress | None
    ) -> None:
        if not planned:
            return
        key = await self._signer(target.environment)
        registry = self._registry(target.environment)
        total, before = sum(_size(each.manifest) for each in planned), 0
        for each in planned:
            await upload_files(
                registry,
                target.namespace,
                _blobs(each),
                progress=_shifted(staged(progress, "sending"), before, total),
            )
            await self._publish(registry, target, each.manifest, key)
            before += _size(each.manifest)

    async def _pointed(
        self, target: Reference, alias: str, store: FolderStore, planned: Sequence[_Planned]
    ) -> _Pointed | None:
        """Find out how an alias must move to be where the folder's pointer is."""
        here = {each.draft.source.number: each.manifest.version for each in planned}
        wanted = [here[number] for number in (store.previous, store.current) if number]
        if not store.current:
            return None
        reference = Reference(target.environment, target.namespace, target.model, alias=alias)
        try:
            now = await self.alias(reference)
        except NotFoundError:
            return _Pointed(reference, tuple(wanted), 0)
        if not now.version:
            return _Pointed(reference, tuple(wanted), now.revision)
        if now.version == wanted[-1]:
            return _Pointed(reference, (), now.revision)
        last = (await self.alias_history(reference, limit=1))[0]
        if now.version not in wanted or not last.note.startswith(_NOTE):
            raise ConflictError(
                f"{reference} points at version {now.version}, and {store.root / POINTER_NAME} at "
                f"{wanted[-1]}: somebody moved it here, which no import undoes; `carnet alias set` moves it",
                metadata={"subject": str(reference)},
            )
        return _Pointed(reference, tuple(wanted[wanted.index(now.version) + 1 :]), now.revision)

    async def _move(self, pointed: _Pointed, store: FolderStore) -> None:
        revision = pointed.revision
        for place, version in enumerate(pointed.moves, start=1):
            word = "current" if place == len(pointed.moves) else "previous"
            change = await self.set_alias(
                pointed.reference,
                version,
                expected_revision=revision,
                note=f"{_NOTE}the {word} version of the folder {store.root.name} by its {POINTER_NAME}",
            )
            revision = change.alias.revision


@dataclass(frozen=True, slots=True)
class _Pointed:
    """An alias, the versions that it has yet to be moved to, and the revision that was seen."""

    reference: Reference
    moves: tuple[int, ...]
    revision: int


def _plan(
    target: Reference, drafts: Iterable[Draft], held: dict[int, Manifest], *, renumber: bool
) -> list[_Planned]:
    """Tell what is there from what is to be published, and refuse what is in the way."""
    by_source = {manifest.labels.get(VERSION_LABEL, ""): number for number, manifest in held.items()}
    number, planned, taken = max(held, default=0), [], []
    for draft in drafts:
        there = by_source.get(draft.source.name, 0) if renumber else draft.source.number
        if there in held:
            differing = _differing(held[there], draft.manifest)
            if differing:
                taken.append(f"{draft.source.name} is @{there}, and differs in {', '.join(differing)}")
            planned.append(_Planned(draft, held[there], there=True))
            continue
        number = number + 1 if renumber else draft.source.number
        planned.append(_Planned(draft, draft.manifest.with_version(number), there=False))
    if taken:
        raise AlreadyExistsError(
            f"versions of {target} are there with other contents, and a version never changes: "
            f"{'; '.join(taken)}: nothing is imported; import into another model",
            metadata={"subject": str(target)},
        )
    return planned


def _differing(held: Manifest, draft: Manifest) -> list[str]:
    """Return the fields in which a version that is there differs from the folder's."""
    old, new = lasting_content(held), lasting_content(draft)
    return sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))


def _reported(target: Reference, planned: _Planned, *, dry_run: bool) -> ImportedVersion:
    source, manifest = planned.draft.source, planned.manifest
    return ImportedVersion(
        source=source.name,
        reference=Reference(target.environment, target.namespace, target.model, version=manifest.version),
        outcome="there already" if planned.there else "to be published" if dry_run else "published",
        bundle_digest=manifest.digest,
        size_bytes=_size(manifest),
        status=source.manifest.status,
        registered_at=source.manifest.registered_at,
    )


def _alias_reported(pointed: _Pointed, *, dry_run: bool) -> ImportedAlias:
    return ImportedAlias(reference=pointed.reference, moves=pointed.moves, done=not dry_run)


def _blobs(planned: _Planned) -> list[LocalBlob]:
    root = planned.draft.source.root
    return [LocalBlob(root / file.path, file.digest, file.size_bytes) for file in planned.manifest.files]


def _size(manifest: Manifest) -> int:
    return sum(file.size_bytes for file in manifest.files)


def _shifted(
    progress: Callable[[int, int], None] | None, before: int, total: int
) -> Callable[[int, int], None] | None:
    return (lambda done, _: progress(before + done, total)) if progress else None

"""Manifests of a folder registry's versions, made from files that are what their checksums say.

Responsible for hashing every file once, before anything is sent, and for naming each one that differs. Does
not know what a registry has already.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from carnet.bundle.build import build_manifest
from carnet.bundle.files import file_size
from carnet.errors import DigestMismatchError
from carnet.importing.conversion import bundle_document, check_directions

if TYPE_CHECKING:
    from collections.abc import Callable

    from carnet.bundle.manifest import Manifest
    from carnet.importing.document import ImportDocument
    from carnet.importing.layout import FolderStore, FolderVersion
    from carnet.references import Reference


@dataclass(frozen=True, slots=True)
class Draft:
    """A version of the folder, and the manifest that it would be published with, under its own number."""

    source: FolderVersion
    manifest: Manifest


def make_drafts(
    store: FolderStore,
    document: ImportDocument,
    target: Reference,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Draft, ...]:
    """Hash all files of a folder registry, and make the manifests.

    Args:
        store: The folder registry.
        document: What it does not say.
        target: The model that it is imported into.
        progress: Told how many bytes are hashed, and of how many in all.

    Raises:
        DigestMismatchError: Files are not what their checksums say; the message names each of them.
        DocumentInvalidError: Something has no form in a bundle.
        FileUnreadableError: A file cannot be read, or changes while it is read.
        PathRefusedError: A file is none that may be in a bundle.
    """
    check_directions(store.versions, document)
    documents = [bundle_document(store, version, document) for version in store.versions]
    total = sum(file_size(each.root, path) for each in store.versions for path in each.checksums)
    drafts, differing, before = [], [], 0
    for version, said in zip(store.versions, documents, strict=True):
        manifest = build_manifest(
            said,
            version.root,
            home=target.environment,
            namespace=target.namespace,
            model=target.model,
            version=version.number,
            progress=_shifted(progress, before, total),
        )
        before += sum(file.size_bytes for file in manifest.files)
        differing += [
            (f"{version.name}/{file.path}", file.digest, version.checksums[file.path])
            for file in manifest.files
            if file.digest != version.checksums[file.path]
        ]
        drafts.append(Draft(version, manifest))
    if differing:
        told = "; ".join(
            f"{path} has {found}, and its manifest says {said}" for path, found, said in differing
        )
        raise DigestMismatchError(
            f"checksums differ: {told}: nothing is imported; restore the files, or take the versions away",
            metadata={"files": ",".join(path for path, _, _ in differing)},
        )
    return tuple(drafts)


def _shifted(
    progress: Callable[[int, int], None] | None, before: int, total: int
) -> Callable[[int, int], None] | None:
    return (lambda done, _: progress(before + done, total)) if progress else None

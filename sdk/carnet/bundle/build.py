"""From a document and a folder to a manifest.

Responsible for reading every file that the document names, once, and for nothing that is not named there.
Does not sign, and asks no registry for a version number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.bundle.files import file_size, hash_file
from carnet.bundle.manifest import MAX_MANIFEST_BYTES, SCHEMA, File, Manifest
from carnet.errors import DocumentInvalidError, FileUnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from carnet.bundle.document import BundleDocument


def build_manifest(
    document: BundleDocument,
    root: Path,
    *,
    home: str,
    namespace: str,
    model: str,
    version: int,
    progress: Callable[[int, int], None] | None = None,
) -> Manifest:
    """Hash a bundle's files and make its manifest.

    Args:
        document: What the publisher says.
        root: The folder that the document's paths are below.
        home: The environment that gives the number.
        namespace: The namespace in it.
        model: The model.
        version: The version's number; the document's own ``version`` is not looked at.
        progress: Told how many bytes are hashed, and of how many in all.

    Returns:
        The manifest.

    Raises:
        FileUnreadableError: A file is missing, cannot be read, or changes while it is read.
        PathRefusedError: A file, or a folder on the way to it, is a symlink or something else special.
        DocumentInvalidError: A name or the number is not one, or the manifest would be over 1 MiB.
    """
    entries = sorted(document.files, key=lambda entry: entry.path)
    sizes = {entry.path: file_size(root, entry.path) for entry in entries}
    on_bytes = _counter(progress, sum(sizes.values())) if progress else None
    files = []
    for entry in entries:
        size, digest = hash_file(root, entry.path, on_bytes=on_bytes)
        if size != sizes[entry.path]:
            raise FileUnreadableError(
                f"{root / entry.path} changed while it was read: {sizes[entry.path]} bytes, then {size}; "
                "wait until it is written, and try again",
                metadata={"path": entry.path},
            )
        files.append(File(path=entry.path, role=entry.role, size_bytes=size, digest=digest))
    said = {name: value for name, value in document if name not in {"files", "version"}}
    manifest = Manifest(
        document_schema=SCHEMA,
        home=home,
        namespace=namespace,
        model=model,
        version=version,
        files=tuple(files),
        **said,
    )
    written = len(manifest.to_bytes())
    if written > MAX_MANIFEST_BYTES:
        raise DocumentInvalidError(
            f"the manifest would have {written} bytes; {MAX_MANIFEST_BYTES} are the most: pack many small "
            "files into an archive, or shorten the texts"
        )
    return manifest


def _counter(progress: Callable[[int, int], None], total: int) -> Callable[[int], None]:
    done = 0

    def count(size: int) -> None:
        nonlocal done
        done += size
        progress(done, total)

    return count

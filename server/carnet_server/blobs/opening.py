"""Opening the store of blobs that a configuration names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from carnet.errors import InvalidInputError
from carnet_server.blobs.directory.store import DirectoryStore

if TYPE_CHECKING:
    from carnet_server.blobs.port import BlobStore


def resolve_blobs_url(url: str, folder: Path) -> str:
    """Return a store's URL with an absolute path.

    Args:
        url: ``file:PATH``.
        folder: What a relative path is relative to.

    Raises:
        InvalidInputError: It is none that is supported.
    """
    scheme, _, path = url.rpartition(":")
    if scheme not in ("", "file"):
        raise InvalidInputError(
            f"blobs: {scheme}: is not supported; name a folder, as file:PATH", metadata={"field": "blobs"}
        )
    return f"file:{folder / path}"


def open_store(url: str) -> BlobStore:
    """Open a store.

    Args:
        url: A URL that was resolved.
    """
    return DirectoryStore(Path(url.removeprefix("file:")))

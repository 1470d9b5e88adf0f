"""From a URL in the configuration to a store of blobs.

Responsible for what ``blobs:`` may say, and for obstore being loaded only where it names an object store.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from carnet_server.blobs.directory.store import DirectoryStore
from carnet_server.blobs.objects.location import SCHEMES, parse_location, refuse

if TYPE_CHECKING:
    from carnet_server.blobs.port import BlobStore

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")


def resolve_blobs_url(url: str, folder: Path) -> str:
    """Check what ``blobs:`` says, and make its paths absolute; nothing is opened.

    Args:
        url: ``file:PATH`` or a bare path, ``s3://BUCKET[/PREFIX]``, ``gs://BUCKET[/PREFIX]`` or
            ``az://CONTAINER[/PREFIX]``, with parameters.
        folder: What a relative path is relative to: the folder of the configuration.

    Returns:
        The URL for `open_store`.

    Raises:
        InvalidInputError: It is not such a URL; says what is wrong, with secrets left out.
    """
    scheme, rest = _split(url)
    if scheme in SCHEMES:
        return parse_location(url, folder).url
    return f"file:{(folder / _path(rest)).absolute()}"


def open_store(url: str) -> BlobStore:
    """Open a store of blobs.

    Args:
        url: What `resolve_blobs_url` returned.

    Returns:
        The store; the caller closes it.

    Raises:
        InvalidInputError: The URL cannot be used, or a package or file that it needs is not there.
        StorageFullError: The disk of a directory is full.
        UnavailableError: A directory cannot be made.
    """
    scheme, rest = _split(url)
    if scheme not in SCHEMES:
        return DirectoryStore(Path(_path(rest)))
    location = parse_location(url)
    try:
        from carnet_server.blobs.objects.connect import connect  # noqa: PLC0415  obstore is not needed otherwise
    except ImportError as error:
        raise refuse(
            f"{scheme}:// needs the package obstore, which is not installed: pip install 'carnet[server]'"
        ) from error
    return connect(location)


def _split(url: str) -> tuple[str, str]:
    """Return the scheme of a URL, and what is behind it; a bare path's is ``file``."""
    found = _SCHEME.match(url)
    if not found:
        return "file", url
    scheme = found[1]
    if scheme not in SCHEMES | {"file"}:
        raise refuse(
            f"the scheme {scheme[:20]!r} is not supported: write file:PATH, s3://BUCKET, gs://BUCKET or "
            "az://CONTAINER"
        )
    if scheme != "file" and not url.startswith(f"{scheme}://"):
        raise refuse(f"two slashes are missing: write {scheme}://NAME")
    return scheme, url[found.end() :]


def _path(rest: str) -> str:
    """Return the path that is behind ``file:``."""
    if rest.startswith("//"):
        if not rest.startswith("///"):
            raise refuse("file://HOST/… names another machine: write file:PATH, or file:///PATH")
        rest = rest[2:]
    if not rest.strip() or "\0" in rest:
        raise refuse("no folder is named: write file:PATH")
    return rest

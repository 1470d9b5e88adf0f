"""The layout of an export, and how its files are read.

Responsible for where things lie below ``<directory>/<environment>/`` (``checkpoint``,
``checkpoint.witnessed``, ``tile/…``, ``envelopes/<digest>``) and for reading them without trusting whoever
made the copy: regular files only, no links, bounded in size.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from carnet.canonical import sha256_hex
from carnet.errors import DigestMismatchError, FileUnreadableError, LogTamperedError, NotFoundError
from carnet.translog.note import NOTE_MAX_BYTES
from carnet.translog.tiles import BUNDLE_MAX_BYTES

if TYPE_CHECKING:
    from pathlib import Path

    from carnet.translog.tiles import Tile

CHECKPOINT = "checkpoint"
WITNESSED_CHECKPOINT = "checkpoint.witnessed"
TILES = "tile"
ENVELOPES = "envelopes"
DOCUMENT_MAX_BYTES = 64 * 1024 * 1024


def read_checkpoint(environment: Path) -> bytes:
    """Read an environment's checkpoint.

    Raises:
        NotFoundError: There is none.
        FileUnreadableError: It cannot be read.
        LogTamperedError: It is too large to be one.
    """
    return _read(f"{environment}/{CHECKPOINT}", max_bytes=NOTE_MAX_BYTES)


def read_witnessed_checkpoint(environment: Path) -> bytes | None:
    """Read the newest checkpoint of an environment that a quorum cosigned; None where there is none.

    Raises:
        FileUnreadableError: It cannot be read.
        LogTamperedError: It is too large to be one.
    """
    try:
        return _read(f"{environment}/{WITNESSED_CHECKPOINT}", max_bytes=NOTE_MAX_BYTES)
    except NotFoundError:
        return None


def read_tile(environment: Path, tile: Tile) -> bytes:
    """Read a hash tile or an entry bundle.

    Raises:
        NotFoundError: It is not in the export.
        FileUnreadableError: It cannot be read.
        LogTamperedError: It is too large to be one.
    """
    return _read(f"{environment}/{tile.path}", max_bytes=BUNDLE_MAX_BYTES)


def read_document(environment: Path, digest: str) -> bytes:
    """Read a document and insist on its digest.

    Raises:
        NotFoundError: It is not in the export.
        FileUnreadableError: It cannot be read.
        DigestMismatchError: Its bytes are others.
    """
    try:
        data = _read(f"{environment}/{ENVELOPES}/{digest}", max_bytes=DOCUMENT_MAX_BYTES)
    except LogTamperedError as error:
        raise DigestMismatchError(error.message) from error
    if sha256_hex(data) != digest:
        raise DigestMismatchError(
            f"the document {digest[:16]}… was changed: its bytes hash to {sha256_hex(data)}"
        )
    return data


def files_below(directory: Path) -> list[str]:
    """List the paths of all files below a directory, relative to it and sorted; links are not followed.

    Raises:
        FileUnreadableError: A directory cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise FileUnreadableError(f"{error.filename} cannot be read: {error.strerror}") from error

    if not directory.is_dir():
        return []
    return sorted(
        os.path.relpath(os.path.join(parent, name), directory).replace(os.sep, "/")  # noqa: PTH118
        for parent, _, names in os.walk(directory, onerror=refuse)
        for name in names
    )


def _read(path: str, *, max_bytes: int) -> bytes:
    # Not blocking, or a named pipe in a hostile export would hold the verifier for ever.
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFoundError(f"{path} is not in the export") from error
    except OSError as error:
        raise FileUnreadableError(f"{path} cannot be read: {error.strerror}") from error
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise FileUnreadableError(f"{path} is not a regular file")
        wanted = min(status.st_size, max_bytes) + 1
        data = os.read(handle, wanted)
        while len(data) < min(status.st_size, wanted) and (more := os.read(handle, wanted - len(data))):
            data += more
    except OSError as error:
        raise FileUnreadableError(f"{path} cannot be read: {error.strerror}") from error
    finally:
        os.close(handle)
    if len(data) > max_bytes:
        raise LogTamperedError(f"{path} is longer than the {max_bytes} bytes that it can have")
    return data

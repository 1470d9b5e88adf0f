"""The files of a bundle on a disk.

Responsible for opening exactly the file that a path names, below a root and through no symlink on the way,
and for hashing it in constant memory. ``hashlib`` frees the interpreter lock, so several threads may hash at
once. Does not know manifests.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
from typing import TYPE_CHECKING

from carnet.errors import FileUnreadableError, PathRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CHUNK_BYTES = 1 << 20


def open_file(root: Path, path: str) -> io.FileIO:
    """Open a regular file below a root for reading, unbuffered.

    Args:
        root: The folder; it may itself be reached through a symlink.
        path: A path that ``check_path`` takes.

    Raises:
        PathRefusedError: The file, or a folder on the way to it, is a symlink, or it is no regular file.
        FileUnreadableError: It is missing or cannot be read.
    """
    parts = path.split("/")
    try:
        folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for part in parts[:-1]:
                inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
                os.close(folder)
                folder = inner
            # Without O_NONBLOCK, opening a named pipe would wait for its writer.
            descriptor = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise _explain(root, parts, error) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise PathRefusedError(
            f"{root / path} is not a regular file: a bundle has nothing else", metadata={"path": ascii(path)}
        )
    return io.FileIO(descriptor)


def file_size(root: Path, path: str) -> int:
    """Return a file's size in bytes; it raises what ``open_file`` raises."""
    with open_file(root, path) as file:
        return os.fstat(file.fileno()).st_size


def hash_file(root: Path, path: str, *, on_bytes: Callable[[int], None] | None = None) -> tuple[int, str]:
    """Read a file once, in pieces of 1 MiB.

    Args:
        root: The folder.
        path: The file's path below it.
        on_bytes: Told the size of each piece, in bytes.

    Returns:
        The number of bytes that were read, and their SHA-256.

    Raises:
        PathRefusedError: See ``open_file``.
        FileUnreadableError: See ``open_file``; or reading fails half-way.
    """
    hasher = hashlib.sha256()
    size = 0
    buffer = memoryview(bytearray(CHUNK_BYTES))
    with open_file(root, path) as file:
        try:
            while count := file.readinto(buffer):
                hasher.update(buffer[:count])
                size += count
                if on_bytes is not None:
                    on_bytes(count)
        except OSError as error:
            raise _unreadable(root, path, error) from error
    return size, hasher.hexdigest()


def list_files(root: Path) -> list[str]:
    """Return the paths of all files below a folder, in order; empty folders count for nothing.

    Raises:
        PathRefusedError: Something below it is a symlink, or neither a regular file nor a folder.
        FileUnreadableError: A folder cannot be read.
    """
    found: list[str] = []
    pending = [""]
    while pending:
        prefix = pending.pop()
        try:
            with os.scandir(root / prefix) as entries:
                for entry in entries:
                    path = prefix + entry.name
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(path + "/")
                    elif entry.is_file(follow_symlinks=False):
                        found.append(path)
                    else:
                        raise _special(root, path)
        except OSError as error:
            raise _unreadable(root, prefix, error) from error
    return sorted(found)


def _explain(root: Path, parts: list[str], error: OSError) -> PathRefusedError | FileUnreadableError:
    for depth in range(1, len(parts) + 1):
        path = "/".join(parts[:depth])
        if (root / path).is_symlink():
            return _special(root, path)
    return _unreadable(root, "/".join(parts), error)


def _special(root: Path, path: str) -> PathRefusedError:
    kind = "a symlink" if (root / path).is_symlink() else "neither a regular file nor a folder"
    return PathRefusedError(
        f"{path!a} is {kind}: a bundle has files only; copy the file there",
        metadata={"field": "path", "path": ascii(path)},
    )


def _unreadable(root: Path, path: str, error: OSError) -> FileUnreadableError:
    return FileUnreadableError(
        f"{root / path} cannot be read: {error.strerror or error}", metadata={"path": ascii(path)}
    )

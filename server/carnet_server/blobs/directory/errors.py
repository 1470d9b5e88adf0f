"""What the operating system says of a disk, in Carnet's errors."""

from __future__ import annotations

import contextlib
import errno
from typing import TYPE_CHECKING

from carnet.errors import CarnetError, StorageFullError, UnavailableError
from carnet_server.blobs.ranges import data_loss

if TYPE_CHECKING:
    from collections.abc import Iterator

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def write_error(error: OSError) -> CarnetError:
    """Return the typed error of a write, rename or sync that failed."""
    if error.errno in _FULL:
        return StorageFullError(
            f"the disk of the blob store is full ({error.strerror}): nothing was stored; free some room and "
            "try again"
        )
    return UnavailableError(f"the blob store cannot be written: {error.strerror or error}")


@contextlib.contextmanager
def typed_write_errors() -> Iterator[None]:
    """Turn failures to write within a block into Carnet's errors.

    Raises:
        StorageFullError: The disk, the quota or the largest file's size is used up.
        UnavailableError: The disk failed otherwise.
    """
    try:
        yield
    except OSError as error:
        raise write_error(error) from error


@contextlib.contextmanager
def typed_read_errors(digest: str) -> Iterator[None]:
    """Turn failures to read a stored blob within a block into Carnet's errors.

    Args:
        digest: The blob's.

    Raises:
        DataLossError: The file is gone, or the disk cannot give it back.
        UnavailableError: The disk failed otherwise.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EIO):
            raise data_loss(digest, f"the file cannot be read ({error.strerror})") from error
        raise UnavailableError(f"the blob store cannot be read: {error.strerror or error}") from error

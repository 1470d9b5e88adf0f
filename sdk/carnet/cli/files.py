"""Files that commands write.

Responsible for showing a file only whole: it is written beside its place, and moved there.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from carnet.errors import FileUnreadableError

if TYPE_CHECKING:
    from pathlib import Path


def write_whole(path: Path, data: bytes, *, what: str) -> None:
    """Write a file, or leave what was there as it was.

    Args:
        path: The file; one that is there is replaced.
        data: Its bytes.
        what: What it is, for the message.

    Raises:
        FileUnreadableError: It cannot be written there.
    """
    making = path.with_name(f".{path.name}.making")
    try:
        making.write_bytes(data)
        making.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            making.unlink(missing_ok=True)
        raise FileUnreadableError(f"{path}: {what} cannot be written there: {error.strerror}") from error

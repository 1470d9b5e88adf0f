"""What an anchor says: which log it is of, and up to which size."""

from __future__ import annotations


def anchored(change: str | None) -> tuple[str, int]:
    """Read the ``new`` of an ``anchor.recorded`` entry: the other log's origin, and the size cosigned.

    Args:
        change: Such as ``example.com/prod 42``.

    Returns:
        Origin and size; the size is 0 where the text has none.
    """
    origin, _, size = (change or "").rpartition(" ")
    return (origin, int(size)) if size.isascii() and size.isdecimal() else (change or "", 0)

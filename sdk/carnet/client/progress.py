"""Telling how far a long operation is.

Responsible for the one form of a progress callback: the stage, what is done, and what there is in all (bytes,
or entries of a log). It is called on the client's own thread, often, and must be quick.
"""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]


def staged(progress: Progress | None, stage: str) -> Callable[[int, int], None] | None:
    """Return a callback of one stage, for functions that know only of their own.

    Args:
        progress: The caller's callback; None for none.
        stage: What is being done, such as ``hashing``.
    """
    if progress is None:
        return None
    return lambda done, total: progress(stage, done, total)

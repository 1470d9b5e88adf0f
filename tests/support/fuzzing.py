"""How many examples a property is tried on: a few in every run, and many times as many by ``make fuzz``."""

from __future__ import annotations

import os

FACTOR = int(os.environ.get("CARNET_FUZZ", "1"))


def examples(count: int) -> int:
    """Return how many examples to try where a run of all tests tries so many."""
    return count * FACTOR

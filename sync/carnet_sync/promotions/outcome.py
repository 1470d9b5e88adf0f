"""What a step comes to: the one thing that is persisted between two steps.

Responsible for the value that steps return and the worker stores. Does no I/O and decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from datetime import datetime

    from carnet_sync.promotions.domain import State


class Learned(TypedDict, total=False):
    """What a step found out, by the promotion's field."""

    requester: str
    manifest: bytes
    signature: bytes
    source_receipt: bytes
    admission: bytes
    transferred_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step comes to.

    Attributes:
        state: Where the promotion stands after it.
        message: What it is doing or why it ended, for people.
        wait_seconds: How long to leave it alone; None to go on at once.
        error_reason: The reason of the error that it failed with; empty otherwise.
        retrying_since: Since when nothing but retries happen; None for progress.
        returned: Whether it was sent back to be checked anew.
        learned: What is to be stored with it.
    """

    state: State
    message: str
    wait_seconds: float | None = None
    error_reason: str = ""
    retrying_since: datetime | None = None
    returned: bool = False
    learned: Learned = field(default_factory=Learned)

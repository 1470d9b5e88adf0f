"""What a search finds, as plain values; no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from carnet_server.models.domain import Version


@dataclass(frozen=True, slots=True)
class FoundVersion:
    """A version that a filter is true of.

    Attributes:
        version: The version, as lists have it.
        labels: Its labels.
        metrics: What its publisher measured, by ``name`` or ``name{key=value}``.
        aliases: The aliases that point at it, by name.
    """

    version: Version
    labels: Mapping[str, str]
    metrics: Mapping[str, float]
    aliases: tuple[str, ...]

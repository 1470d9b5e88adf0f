"""What a search finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from carnet.client.results.models import Version


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundVersion:
    """A version that a filter is true of, as its registry states it.

    Attributes:
        version: The version.
        labels: Its labels.
        metrics: What its publisher measured, by ``name`` or, on a slice of the data, ``name{key=value}``.
        aliases: The aliases that point at it, by name.
    """

    version: Version
    labels: Mapping[str, str]
    metrics: Mapping[str, float]
    aliases: tuple[str, ...]

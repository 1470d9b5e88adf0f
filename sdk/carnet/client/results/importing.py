"""Answers about an import from another registry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from datetime import datetime

    from carnet.references import Reference

ImportOutcome = Literal["published", "there already", "to be published"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedVersion:
    """A version of a folder registry, and what became of it.

    Attributes:
        source: Its name there, such as ``v3``.
        reference: The version here.
        outcome: What became of it; ``to be published`` in a dry run.
        bundle_digest: The SHA-256 of its canonical manifest.
        size_bytes: The sum of its files' sizes.
        status: Where it stood there.
        registered_at: When it was registered there; its entry in the log has the time of the import.
    """

    source: str
    reference: Reference
    outcome: ImportOutcome
    bundle_digest: str
    size_bytes: int
    status: str
    registered_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedAlias:
    """The pointer of a folder registry as an alias.

    Attributes:
        reference: The alias.
        moves: The versions that it was moved to, or would be, in order; empty where it stood right.
        done: Whether it was moved; False in a dry run.
    """

    reference: Reference
    moves: tuple[int, ...]
    done: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """An import.

    Attributes:
        model: The model that was imported into.
        dry_run: Whether nothing was changed.
        versions: Every version of the folder registry, in the order of its numbers.
        alias: The pointer; None where none was asked for, or the folder registry has none.
    """

    model: Reference
    dry_run: bool
    versions: tuple[ImportedVersion, ...]
    alias: ImportedAlias | None

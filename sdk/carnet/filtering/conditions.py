"""What a checked filter asks of a version.

A comparison on something that a version does not have is false, ``!=`` too; ``Not`` turns it around.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from carnet.filtering.syntax import Tree

if TYPE_CHECKING:
    from carnet.filtering.fields import Field


class Comparator(StrEnum):
    """How a field is compared."""

    EQUAL = "="
    UNEQUAL = "!="
    LESS = "<"
    AT_MOST = "<="
    GREATER = ">"
    AT_LEAST = ">="
    HAS = ":"


@dataclass(frozen=True, slots=True)
class Pattern:
    """A text, or the texts that its wildcards stand for.

    Attributes:
        pieces: The text between the wildcards, each of which stands for any text; one piece for none.
    """

    pieces: tuple[str, ...]

    @property
    def exact(self) -> str | None:
        """The text, where there are no wildcards."""
        return self.pieces[0] if len(self.pieces) == 1 else None

    @property
    def text(self) -> str:
        """The whole, wildcards as ``*``."""
        return "*".join(self.pieces)


Value: TypeAlias = Pattern | float | bool | datetime | timedelta


@dataclass(frozen=True, slots=True)
class Comparison:
    """A field is compared with a value.

    Attributes:
        field: The field.
        key: For a map, the key; empty for any key.
        comparator: How.
        value: With what; None asks only whether there is a value.
    """

    field: Field
    key: str
    comparator: Comparator
    value: Value | None


@dataclass(frozen=True, slots=True)
class Mention:
    """Namespace, model, owner or description contains a text."""

    pattern: Pattern


Condition: TypeAlias = Comparison | Mention
Conditions: TypeAlias = Tree[Condition]

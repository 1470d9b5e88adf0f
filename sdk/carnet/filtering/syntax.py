"""What a filter says, before it is known whether its fields exist.

A tree of ``And``, ``Or`` and ``Not`` over leaves: ``Restriction`` as the parser leaves them, and the
comparisons of ``carnet.filtering.conditions`` once they are checked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

Leaf = TypeVar("Leaf")
Other = TypeVar("Other")


@dataclass(frozen=True, slots=True)
class And(Generic[Leaf]):
    """All of some trees hold."""

    operands: tuple[Tree[Leaf], ...]


@dataclass(frozen=True, slots=True)
class Or(Generic[Leaf]):
    """One of some trees holds."""

    operands: tuple[Tree[Leaf], ...]


@dataclass(frozen=True, slots=True)
class Not(Generic[Leaf]):
    """A tree does not hold."""

    operand: Tree[Leaf]


Tree: TypeAlias = And[Leaf] | Or[Leaf] | Not[Leaf] | Leaf


@dataclass(frozen=True, slots=True)
class Part:
    """A word of a restriction.

    Attributes:
        text: What it says.
        pieces: The text between its wildcards; one piece where it has none.
        quoted: Whether it stands in quotes.
        offset: Where it begins.
    """

    text: str
    pieces: tuple[str, ...]
    quoted: bool
    offset: int


@dataclass(frozen=True, slots=True)
class Restriction:
    """A field, how it is compared, and with what; a text alone where the comparator is empty.

    Attributes:
        path: The parts of the field's name.
        comparator: ``=``, ``!=``, ``<``, ``<=``, ``>``, ``>=`` or ``:``; empty for a text alone.
        argument: What it is compared with; None for a text alone.
        comparator_offset: Where the comparator stands.
    """

    path: tuple[Part, ...]
    comparator: str = ""
    argument: Part | None = None
    comparator_offset: int = 0

    @property
    def offset(self) -> int:
        """Where it begins."""
        return self.path[0].offset

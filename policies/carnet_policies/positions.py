"""Where in a policy's file a place in one of its expressions is.

Responsible for turning line and column of an expression into line and column of the YAML around it. Exact
for expressions that stand on one line, and for literal blocks (``|``); folded and escaped ones have no such
place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from collections.abc import Sequence


class ScalarPositions:
    """The scalars of a well-formed YAML document without aliases.

    Args:
        text: The document.
    """

    def __init__(self, text: str) -> None:
        self._lines = text.split("\n")
        self._root = yaml.compose(text, Loader=yaml.SafeLoader)

    def locate(self, location: Sequence[str | int], line: int, column: int) -> tuple[int, int] | None:
        """Return the document's line and column of a place in a scalar, all counted from 1.

        Args:
            location: The keys and indices that lead to the scalar.
            line: The line in the scalar's value.
            column: The column in that line.

        Returns:
            Line and column, or None where the value is not written as it reads.
        """
        node = self._find(location)
        if not isinstance(node, yaml.ScalarNode):
            return None
        start, end = node.start_mark, node.end_mark
        if node.style == "|":
            return self._in_block(start.line + 1, line, column)
        if start.line != end.line or line != 1:
            return None
        quotes = 0 if node.style is None else 1
        written = self._lines[start.line][start.column + quotes : end.column - quotes]
        return (start.line + 1, start.column + quotes + column) if written == node.value else None

    def _find(self, location: Sequence[str | int]) -> yaml.Node | None:
        node = self._root
        for part in location:
            if isinstance(node, yaml.MappingNode):
                node = next((value for key, value in node.value if key.value == part), None)
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
            else:
                return None
        return node

    def _in_block(self, first: int, line: int, column: int) -> tuple[int, int]:
        filled = next((text for text in self._lines[first:] if text.strip()), "")
        indentation = len(filled) - len(filled.lstrip(" "))
        return first + line, indentation + column

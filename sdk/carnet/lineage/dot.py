"""The lineage graph in Graphviz's language.

Responsible for text that ``dot`` takes whatever the names are: everything that came from elsewhere stands in
quotes, without characters that cannot be shown. An arrow leads from a thing to what it came from.

Reference: https://graphviz.org/doc/info/lang.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from carnet.lineage.graph import LineageGraph, LineageNode

_SHAPES = {
    "alias": "cds",
    "version": "box3d",
    "bundle": "component",
    "promotion": "rarrow",
    "approval": "note",
    "decision": "note",
    "evidence": "note",
    "dataset": "cylinder",
    "environment": "folder",
}
_STYLES = {
    "verified": 'style="solid"',
    "stated": 'style="dashed"',
    "unreachable": 'style="dotted", color="gray50", fontcolor="gray50"',
    "contradicted": 'style="bold", color="red", fontcolor="red"',
}


def to_dot(graph: LineageGraph) -> str:
    """Return the graph in the DOT language.

    Verified nodes are solid, those that are only stated dashed, those that could not be read dotted, and
    those that contradict what was signed red.
    """
    lines = ["digraph lineage {", "  rankdir=LR;", '  node [fontname="sans-serif"];']
    lines += [f"  {_quoted(node.id)} [{_attributes(node)}];" for node in graph.nodes]
    lines += [
        f"  {_quoted(edge.source)} -> {_quoted(edge.target)} [label={_quoted(_words(edge.relation))}];"
        for edge in graph.edges
    ]
    return "\n".join([*lines, "}", ""])


def _attributes(node: LineageNode) -> str:
    label = _quoted(_words(node.kind), node.label)
    shape = _SHAPES.get(node.kind, "box")
    tooltip = _quoted(f"{node.standing}: {node.basis}" if node.basis else node.standing)
    return f'label={label}, shape="{shape}", {_STYLES[node.standing]}, tooltip={tooltip}'


def _words(name: str) -> str:
    return name.replace("_", " ")


def _quoted(*lines: str) -> str:
    r"""Return a quoted string; a backslash is doubled, since labels read ``\n`` and ``\N`` in them."""
    shown = (
        "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in line)
        for line in lines
    )
    return '"' + "\\n".join(line.replace("\\", "\\\\").replace('"', '\\"') for line in shown) + '"'

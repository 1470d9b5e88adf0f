"""The lineage graph as a tree, for people.

Responsible for the order in which a graph is read from its root, and for ending every path: what was shown
once is named again, and not unfolded again. Prints nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from carnet.lineage.graph import LineageGraph, LineageNode, Relation


@dataclass(frozen=True, slots=True)
class Branch:
    """A node in its place.

    Attributes:
        node: The node.
        relation: How it belongs to the branch above; None for the root.
        branches: What follows from it.
        repeated: Whether it was unfolded before, and is not here.
    """

    node: LineageNode
    relation: Relation | None
    branches: tuple[Branch, ...]
    repeated: bool


def tree_of(graph: LineageGraph) -> Branch:
    """Unfold a graph from its root: back along its edges, or forward against them.

    The tree has a branch for the root, and one for each edge that can be reached.
    """
    nodes = {node.id: node for node in graph.nodes}
    following: dict[str, list[tuple[Relation, str]]] = {}
    for edge in graph.edges:
        here, there = (edge.source, edge.target) if graph.direction == "back" else (edge.target, edge.source)
        following.setdefault(here, []).append((edge.relation, there))
    unfolded: set[str] = set()

    def unfold(identifier: str, relation: Relation | None) -> Branch:
        repeated = identifier in unfolded
        unfolded.add(identifier)
        below = () if repeated else following.get(identifier, ())
        branches = tuple(unfold(there, how) for how, there in below)
        return Branch(nodes[identifier], relation, branches, repeated and bool(following.get(identifier)))

    return unfold(graph.root, None)

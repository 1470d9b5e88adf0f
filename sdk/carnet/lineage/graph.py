"""The lineage graph: things, and what each came from.

Responsible for the values that ``lineage`` and ``reach`` answer with, and for building them. An edge leads
from a thing to what it came from, whichever way the graph was walked. Does no I/O, and verifies nothing:
whoever adds a node says how it is known.

Invariants: a node's id is unique; both ends of an edge are nodes; an edge is there once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from carnet.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind = Literal[
    "alias",
    "version",
    "bundle",
    "decision",
    "promotion",
    "approval",
    "evidence",
    "code",
    "dataset",
    "features",
    "preprocessing",
    "training_run",
    "environment",
]
Standing = Literal["verified", "stated", "unreachable", "contradicted"]
Relation = Literal[
    "points_at",
    "moved_by",
    "holds",
    "decided_by",
    "brought_by",
    "judged_by",
    "came_from",
    "attested_by",
    "built_from",
    "trained_on",
    "made_by",
    "uses",
    "derived_from",
    "may_hold",
]
Direction = Literal["back", "forward"]
Value = str | int | float | bool | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LineageNode:
    """One thing of a lineage.

    Attributes:
        id: What tells it from all others, such as ``version:prod/risk/fraud@3``.
        kind: What it is.
        label: What it is, for a person.
        attributes: What is known of it, without what is empty.
        standing: ``verified`` against pinned keys; ``stated`` by somebody, and no more; ``unreachable``: it
            could not be read; ``contradicted``: what was answered is not what was signed or logged.
        basis: By what it was verified, who states it, or why it could not be read.
    """

    id: str
    kind: Kind
    label: str
    attributes: Mapping[str, Value]
    standing: Standing
    basis: str

    @property
    def verified(self) -> bool:
        """Whether it was verified against pinned keys."""
        return self.standing == "verified"

    def to_json(self) -> dict[str, Any]:
        """Return the node as a JSON object."""
        return {
            "id": self.id,
            "kind": self.kind,
            "label": self.label,
            "attributes": {
                name: list(value) if isinstance(value, tuple) else value
                for name, value in self.attributes.items()
            },
            "verified": self.verified,
            "standing": self.standing,
            "basis": self.basis,
        }


@dataclass(frozen=True, slots=True)
class LineageEdge:
    """That one thing came from another: ``source`` depends on ``target``."""

    source: str
    target: str
    relation: Relation


@dataclass(frozen=True, slots=True)
class LineageGraph:
    """A lineage.

    Attributes:
        root: The id of the node that was asked about.
        direction: ``back`` to what the root came from, or ``forward`` to what came from it.
        nodes: Every node, in the order in which they were found; the root is the first.
        edges: Every edge, in the order in which they were found.
    """

    root: str
    direction: Direction
    nodes: tuple[LineageNode, ...]
    edges: tuple[LineageEdge, ...]

    def node(self, identifier: str) -> LineageNode:
        """Return a node by its id.

        Raises:
            InvalidInputError: There is none.
        """
        for node in self.nodes:
            if node.id == identifier:
                return node
        raise InvalidInputError(f"the lineage of {self.root} has no node {identifier[:160]!r}")

    def of_kind(self, kind: Kind) -> tuple[LineageNode, ...]:
        """Return the nodes of a kind, in their order."""
        return tuple(node for node in self.nodes if node.kind == kind)

    @property
    def contradicted(self) -> tuple[LineageNode, ...]:
        """The nodes at which an answer was not what was signed or logged."""
        return tuple(node for node in self.nodes if node.standing == "contradicted")

    def to_json(self) -> dict[str, Any]:
        """Return the graph as a JSON object."""
        return {
            "root": self.root,
            "direction": self.direction,
            "nodes": [node.to_json() for node in self.nodes],
            "edges": [
                {"source": each.source, "target": each.target, "relation": each.relation}
                for each in self.edges
            ],
        }


@dataclass(slots=True)
class GraphBuilder:
    """A graph while it is made; a node that is added twice stays as it was first."""

    direction: Direction
    _nodes: dict[str, LineageNode] = field(default_factory=dict)
    _edges: dict[LineageEdge, None] = field(default_factory=dict)

    def __contains__(self, identifier: str) -> bool:
        return identifier in self._nodes

    def add(
        self,
        kind: Kind,
        key: str,
        label: str,
        *,
        standing: Standing,
        basis: str,
        attributes: Mapping[str, Value | None] | None = None,
    ) -> str:
        """Add a node, and return its id.

        Args:
            kind: What it is.
            key: What tells it from others of its kind.
            label: What it is, for a person.
            standing: How it is known.
            basis: By what.
            attributes: What is known of it; what is None, empty text or an empty tuple is left out.
        """
        identifier = f"{kind}:{key}"
        if identifier not in self._nodes:
            known = {
                name: value
                for name, value in (attributes or {}).items()
                if value is not None and value not in ("", ())
            }
            self._nodes[identifier] = LineageNode(identifier, kind, label, known, standing, basis)
        return identifier

    def attribute(self, identifier: str, name: str) -> Value:
        """Return an attribute of a node that is there; empty text where it has none."""
        return self._nodes[identifier].attributes.get(name, "")

    def link(self, source: str, relation: Relation, target: str) -> None:
        """Add an edge between two nodes that are there.

        Raises:
            InvalidInputError: One of them is not.
        """
        for end in (source, target):
            if end not in self._nodes:
                raise InvalidInputError(f"an edge of a lineage names {end[:160]!r}, which is no node of it")
        self._edges[LineageEdge(source, target, relation)] = None

    def finish(self, root: str) -> LineageGraph:
        """Return the graph.

        Raises:
            InvalidInputError: The root is no node.
        """
        if root not in self._nodes:
            raise InvalidInputError(f"a lineage begins at {root[:160]!r}, which is no node of it")
        first = self._nodes[root]
        others = (node for node in self._nodes.values() if node.id != root)
        return LineageGraph(root, self.direction, (first, *others), tuple(self._edges))

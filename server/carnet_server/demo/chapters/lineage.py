"""Where prod's champion came from, each step of it verified."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.cli.lineage import lineage_tree
from carnet_server.demo.scene import CHAMPION, StoryBrokenError

if TYPE_CHECKING:
    from carnet_server.demo.scene import Scene


def show_lineage(scene: Scene) -> None:
    """Walk from prod's champion back to data and code."""
    teller = scene.teller
    teller.step("Show what prod's champion came from")
    with scene.acting_as("dave") as auditor:
        graph = auditor.lineage(CHAMPION)
    if graph.contradicted:
        raise StoryBrokenError("; ".join(f"{node.label}: {node.basis}" for node in graph.contradicted))
    teller.show(lineage_tree(graph))
    verified = sum(node.verified for node in graph.nodes)
    teller.outcome(
        "lineage", f"{len(graph.nodes)} nodes from prod's champion to its data, {verified} verified"
    )

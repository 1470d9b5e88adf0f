from __future__ import annotations

import json

import pytest

from carnet.errors import InvalidInputError
from carnet.lineage.graph import GraphBuilder


def small() -> GraphBuilder:
    graph = GraphBuilder("back")
    for name in ("a", "b"):
        graph.add("version", name, name, standing="verified", basis="receipt")
    return graph


def test_what_is_empty_is_no_attribute_and_zero_and_false_are() -> None:
    graph = GraphBuilder("back")
    attributes = {"none": None, "text": "", "many": (), "zero": 0, "no": False, "digest": "d"}
    node = graph.add("version", "a", "a", standing="stated", basis="", attributes=attributes)
    assert graph.finish(node).nodes[0].attributes == {"zero": 0, "no": False, "digest": "d"}


def test_a_node_that_is_added_twice_stays_as_it_was_and_an_edge_is_there_once() -> None:
    graph = small()
    again = graph.add("version", "a", "other", standing="stated", basis="nobody")
    for _ in range(2):
        graph.link("version:a", "holds", "version:b")
    found = graph.finish("version:b")
    assert [node.id for node in found.nodes] == ["version:b", "version:a"]
    assert found.node(again).label == "a"
    assert len(found.edges) == 1


@pytest.mark.parametrize(("source", "target"), [("version:a", "version:x"), ("version:x", "version:a")])
def test_an_edge_to_nowhere_is_refused(source, target) -> None:
    with pytest.raises(InvalidInputError, match="version:x"):
        small().link(source, "holds", target)


def test_a_root_and_a_node_that_are_not_there_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="no node"):
        small().finish("version:x")
    with pytest.raises(InvalidInputError, match="no node"):
        small().finish("version:a").node("version:x")


def test_json_has_nodes_with_their_standing_and_edges() -> None:
    graph = small()
    graph.add(
        "evidence", "e", "e", standing="contradicted", basis="other bytes", attributes={"m": ("x", "y")}
    )
    graph.link("version:a", "attested_by", "evidence:e")
    found = graph.finish("version:a")
    value = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert value["root"] == "version:a"
    assert value["nodes"][2] == {
        "id": "evidence:e",
        "kind": "evidence",
        "label": "e",
        "attributes": {"m": ["x", "y"]},
        "verified": False,
        "standing": "contradicted",
        "basis": "other bytes",
    }
    assert value["edges"] == [{"source": "version:a", "target": "evidence:e", "relation": "attested_by"}]
    assert [node.id for node in found.contradicted] == ["evidence:e"]

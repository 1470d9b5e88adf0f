from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from carnet.lineage.dot import to_dot
from carnet.lineage.graph import GraphBuilder

# A quoted string of the language: anything but a bare quote, a backslash with what it escapes.
_QUOTED = r'"(?:[^"\\\n]|\\.)*"'
_PAIR = rf"[a-z]+={_QUOTED}"
_NODE = re.compile(rf"  {_QUOTED} \[{_PAIR}(?:, {_PAIR})*\];")
_EDGE = re.compile(rf"  {_QUOTED} -> {_QUOTED} \[label={_QUOTED}\];")


def statements(text: str) -> list[str]:
    lines = text.splitlines()
    assert lines[0] == "digraph lineage {"
    assert (lines[-1], text[-1]) == ("}", "\n")
    return lines[3:-1]


def test_nodes_and_edges_with_their_standing() -> None:
    graph = GraphBuilder("back")
    graph.add("version", "prod/risk/fraud@1", "prod/risk/fraud@1", standing="verified", basis="receipt")
    graph.add("dataset", "payments", "payments", standing="stated", basis="the manifest")
    graph.link("version:prod/risk/fraud@1", "trained_on", "dataset:payments")
    node, other, edge = statements(to_dot(graph.finish("version:prod/risk/fraud@1")))
    assert node.startswith('  "version:prod/risk/fraud@1" [label="version\\nprod/risk/fraud@1"')
    assert 'style="solid"' in node
    assert 'shape="cylinder"' in other
    assert 'style="dashed"' in other
    assert edge == '  "version:prod/risk/fraud@1" -> "dataset:payments" [label="trained on"];'


@given(st.text(), st.text(), st.sampled_from(["verified", "stated", "unreachable", "contradicted"]))
def test_no_name_leaves_its_quotes(name, basis, standing) -> None:
    graph = GraphBuilder("back")
    node = graph.add("dataset", name, name, standing=standing, basis=basis)
    graph.link(node, "derived_from", node)
    first, second = statements(to_dot(graph.finish(node)))
    assert _NODE.fullmatch(first)
    assert _EDGE.fullmatch(second)

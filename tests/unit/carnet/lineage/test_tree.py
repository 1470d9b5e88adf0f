from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from carnet.lineage.graph import GraphBuilder
from carnet.lineage.tree import tree_of


def graph_of(direction, edges, names="abcdef"):
    graph = GraphBuilder(direction)
    for name in names:
        graph.add("version", name, name, standing="verified", basis="")
    for source, target in edges:
        graph.link(f"version:{source}", "derived_from", f"version:{target}")
    return graph.finish("version:a")


def shape(branch):
    return (branch.node.label + ("*" if branch.repeated else ""), [shape(each) for each in branch.branches])


def test_back_follows_the_edges_and_forward_goes_against_them() -> None:
    edges = [("a", "b"), ("b", "c"), ("d", "a")]
    assert shape(tree_of(graph_of("back", edges))) == ("a", [("b", [("c", [])])])
    assert shape(tree_of(graph_of("forward", edges))) == ("a", [("d", [])])


def test_what_was_shown_is_named_again_and_not_unfolded_again() -> None:
    found = shape(tree_of(graph_of("back", [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("d", "e")])))
    assert found == ("a", [("b", [("d", [("e", [])])]), ("c", [("d*", [])])])


def test_a_cycle_ends() -> None:
    assert shape(tree_of(graph_of("back", [("a", "b"), ("b", "a")]))) == ("a", [("b", [("a*", [])])])


names = st.sampled_from("abcdef")


@given(st.lists(st.tuples(names, names), max_size=30, unique=True))
def test_every_reachable_edge_is_one_branch(edges) -> None:
    reachable = {"a"}
    for _ in range(6):
        reachable |= {target for source, target in edges if source in reachable}

    def count(branch):
        return 1 + sum(map(count, branch.branches))

    wanted = 1 + sum(source in reachable for source, _ in edges)
    assert count(tree_of(graph_of("back", edges))) == wanted

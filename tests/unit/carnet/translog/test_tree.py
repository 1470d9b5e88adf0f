from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.errors import InvalidInputError
from carnet.translog.tree import (
    EMPTY_ROOT,
    SIZE_MAX,
    Frontier,
    consistency_nodes,
    consistency_proof,
    frontier_nodes,
    inclusion_nodes,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_at,
    root_of,
)

LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = ["6e340b9c", "fac54203", "aeb6bcfe", "d37ee418", "4e3bbb1f", "76e67dad", "ddb89be4", "5dc9da79"]


def naive_root(hashes: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, word for word."""
    if not hashes:
        return EMPTY_ROOT
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while 2 * k < len(hashes):
        k *= 2
    return node_hash(naive_root(hashes[:k]), naive_root(hashes[k:]))


def naive_path(index: int, hashes: list[bytes]) -> list[bytes]:
    """RFC 6962, section 2.1.1, word for word."""
    if len(hashes) == 1:
        return []
    k = 1
    while 2 * k < len(hashes):
        k *= 2
    if index < k:
        return [*naive_path(index, hashes[:k]), naive_root(hashes[k:])]
    return [*naive_path(index - k, hashes[k:]), naive_root(hashes[:k])]


def naive_subproof(first: int, hashes: list[bytes], *, whole: bool) -> list[bytes]:
    """RFC 6962, section 2.1.2, word for word."""
    if first == len(hashes):
        return [] if whole else [naive_root(hashes)]
    k = 1
    while 2 * k < len(hashes):
        k *= 2
    if first <= k:
        return [*naive_subproof(first, hashes[:k], whole=whole), naive_root(hashes[k:])]
    return [*naive_subproof(first - k, hashes[k:], whole=False), naive_root(hashes[:k])]


def hashes_of(size: int) -> list[bytes]:
    return [leaf_hash(b"%d" % index) for index in range(size)]


class StoredTree:
    """The nodes as a database would hold them: what ``append`` returned, and the leaves."""

    def __init__(self, hashes: list[bytes]) -> None:
        self.nodes: dict[tuple[int, int], bytes] = {}
        self.reads: list[tuple[int, int]] = []
        frontier = Frontier()
        for index, value in enumerate(hashes):
            self.nodes[0, index] = value
            for level, position, node in frontier.append(value):
                assert (level, position) not in self.nodes
                self.nodes[level, position] = node

    def node_at(self, level: int, index: int) -> bytes:
        self.reads.append((level, index))
        return self.nodes[level, index]


def test_roots_are_those_of_the_known_vectors() -> None:
    frontier = Frontier()
    for leaf, root in zip(LEAVES, ROOTS, strict=True):
        frontier.append(leaf_hash(leaf))
        assert frontier.root().hex().startswith(root)


def test_the_empty_tree_has_the_hash_of_nothing() -> None:
    assert root_of([]).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert Frontier().root() == EMPTY_ROOT


@given(st.integers(min_value=0, max_value=300))
def test_the_root_is_that_of_the_definition(size: int) -> None:
    hashes = hashes_of(size)
    assert root_of(hashes) == naive_root(hashes)


@given(st.data())
def test_inclusion_proofs_are_those_of_the_definition_and_read_few_nodes(data: st.DataObject) -> None:
    size = data.draw(st.integers(min_value=1, max_value=300))
    index = data.draw(st.integers(min_value=0, max_value=size - 1))
    tree = StoredTree(hashes_of(size))
    assert inclusion_proof(index, size, tree.node_at) == naive_path(index, hashes_of(size))
    assert tree.reads == inclusion_nodes(index, size)
    assert len(tree.reads) <= 2 * size.bit_length()


@given(st.data())
def test_consistency_proofs_are_those_of_the_definition_and_read_few_nodes(data: st.DataObject) -> None:
    second = data.draw(st.integers(min_value=1, max_value=300))
    first = data.draw(st.integers(min_value=1, max_value=second))
    tree = StoredTree(hashes_of(second))
    expected = naive_subproof(first, hashes_of(second), whole=True)
    assert consistency_proof(first, second, tree.node_at) == expected
    assert tree.reads == consistency_nodes(first, second)
    assert len(tree.reads) <= 3 * second.bit_length()


@given(st.integers(min_value=0, max_value=300))
def test_a_frontier_reads_back_and_grows_on(size: int) -> None:
    hashes = hashes_of(size + 1)
    frontier = Frontier()
    for value in hashes[:size]:
        frontier.append(value)
    again = Frontier(frontier.nodes())
    assert [node[:2] for node in again.nodes()] == frontier_nodes(size)
    assert again.size == size
    again.append(hashes[size])
    assert again.root() == naive_root(hashes)


@given(st.integers(min_value=0, max_value=300))
def test_an_earlier_root_is_read_from_stored_nodes(size: int) -> None:
    tree = StoredTree(hashes_of(300))
    assert root_at(size, tree.node_at) == naive_root(hashes_of(size))


def test_nodes_of_a_huge_tree_are_listed_at_once() -> None:
    assert len(frontier_nodes(SIZE_MAX)) == 63
    assert len(inclusion_nodes(SIZE_MAX // 3, SIZE_MAX)) <= 126


@pytest.mark.parametrize(
    "nodes",
    [
        [(0, 0, bytes(32)), (1, 1, bytes(32))],
        [(1, 0, bytes(32)), (1, 1, bytes(32))],
        [(1, 1, bytes(32))],
        [(0, 0, bytes(31))],
        [(-1, 0, bytes(32))],
        [(63, 0, bytes(32))],
        [(62, 0, bytes(32)), (62, 1, bytes(32))],
    ],
)
def test_a_frontier_of_no_tree_is_refused(nodes: list[tuple[int, int, bytes]]) -> None:
    with pytest.raises(InvalidInputError):
        Frontier(nodes)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (5, 5), (-1, 5), (0, -1), (0, SIZE_MAX + 1)])
def test_there_is_no_inclusion_proof_for_a_leaf_that_is_not_there(index: int, size: int) -> None:
    with pytest.raises(InvalidInputError):
        inclusion_nodes(index, size)


@pytest.mark.parametrize(("first", "second"), [(6, 5), (-1, 5), (0, SIZE_MAX + 1)])
def test_there_is_no_consistency_proof_for_a_larger_beginning(first: int, second: int) -> None:
    with pytest.raises(InvalidInputError):
        consistency_nodes(first, second)


def test_a_leaf_hash_of_another_length_is_refused_and_changes_nothing() -> None:
    frontier = Frontier()
    with pytest.raises(InvalidInputError):
        frontier.append(b"short")
    assert frontier.size == 0
    assert frontier.root() == EMPTY_ROOT

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from carnet.errors import ProofInvalidError
from carnet.translog.proof import verify_consistency, verify_inclusion
from carnet.translog.tree import (
    EMPTY_ROOT,
    SIZE_MAX,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

HASHES = [leaf_hash(b"entry %d" % index) for index in range(80)]


def node_at(level: int, index: int) -> bytes:
    return root_of(HASHES[index << level : (index + 1) << level])


def mutations(proof: list[bytes]) -> dict[str, list[bytes]]:
    """Every way in which a proof is changed below; each must be refused."""
    changed = {"longer": [*proof, bytes(32)], "longer in front": [bytes(32), *proof]}
    if proof:
        changed |= {
            "shorter": proof[:-1],
            "without its first": proof[1:],
            "flipped": [bytes([proof[0][0] ^ 1]) + proof[0][1:], *proof[1:]],
            "last doubled": [*proof, proof[-1]],
            "a hash cut": [proof[0][:31], *proof[1:]],
            "a hash longer": [proof[0] + b"\0", *proof[1:]],
            "empty": [],
        }
    if len(proof) > 1 and proof[0] != proof[1]:
        changed["swapped"] = [proof[1], proof[0], *proof[2:]]
    return changed


@given(st.data())
def test_every_inclusion_proof_verifies_and_no_mutation_does(data: st.DataObject) -> None:
    size = data.draw(st.integers(min_value=1, max_value=len(HASHES)))
    index = data.draw(st.integers(min_value=0, max_value=size - 1))
    root = root_of(HASHES[:size])
    proof = inclusion_proof(index, size, node_at)
    verify_inclusion(HASHES[index], index, size, proof, root)
    for changed in mutations(proof).values():
        with pytest.raises(ProofInvalidError):
            verify_inclusion(HASHES[index], index, size, changed, root)


@given(st.data())
def test_an_inclusion_proof_holds_for_its_own_index_and_leaf_only(data: st.DataObject) -> None:
    size = data.draw(st.integers(min_value=2, max_value=len(HASHES)))
    index, other = data.draw(st.lists(st.integers(0, size - 1), min_size=2, max_size=2, unique=True))
    root, proof = root_of(HASHES[:size]), inclusion_proof(index, size, node_at)
    for leaf, position, tree in [
        (HASHES[index], other, root),
        (HASHES[other], index, root),
        (HASHES[index], index, bytes(32)),
    ]:
        with pytest.raises(ProofInvalidError):
            verify_inclusion(leaf, position, size, proof, tree)


@given(st.data())
def test_every_consistency_proof_verifies_and_no_mutation_does(data: st.DataObject) -> None:
    second = data.draw(st.integers(min_value=0, max_value=len(HASHES)))
    first = data.draw(st.integers(min_value=0, max_value=second))
    root1, root2 = root_of(HASHES[:first]), root_of(HASHES[:second])
    proof = consistency_proof(first, second, node_at)
    verify_consistency(first, second, proof, root1, root2)
    for changed in mutations(proof).values():
        with pytest.raises(ProofInvalidError):
            verify_consistency(first, second, changed, root1, root2)


@given(st.data())
def test_a_rewritten_history_has_no_consistency_proof(data: st.DataObject) -> None:
    second = data.draw(st.integers(min_value=2, max_value=len(HASHES)))
    first = data.draw(st.integers(min_value=1, max_value=second - 1))
    edited = data.draw(st.integers(min_value=0, max_value=first - 1))
    hashes = [*HASHES[:edited], leaf_hash(b"edited"), *HASHES[edited + 1 : second]]

    def edited_node_at(level: int, index: int) -> bytes:
        return root_of(hashes[index << level : (index + 1) << level])

    old, new = root_of(HASHES[:first]), root_of(hashes)
    for source in (node_at, edited_node_at):
        with pytest.raises(ProofInvalidError):
            verify_consistency(first, second, consistency_proof(first, second, source), old, new)


@given(
    first=st.integers(-2, 90),
    second=st.integers(-2, 90),
    proof=st.lists(st.one_of(st.binary(max_size=40), st.sampled_from(HASHES)), max_size=8),
    roots=st.tuples(st.binary(min_size=32, max_size=32), st.binary(max_size=40)),
)
def test_garbage_is_refused_with_a_typed_error(
    first: int, second: int, proof: list[bytes], roots: tuple[bytes, bytes]
) -> None:
    # The empty tree is the beginning of every tree, so there a proof of nothing is right.
    assume(not (first in {0, second} and not proof and len(roots[1]) == 32))
    checks: list[Callable[[], None]] = [
        lambda: verify_inclusion(HASHES[0], first, second, proof, roots[0]),
        lambda: verify_consistency(first, second, proof, *roots),
    ]
    for check in checks:
        with pytest.raises(ProofInvalidError):
            check()


def test_the_empty_tree_is_the_beginning_of_every_tree_and_of_nothing_else() -> None:
    verify_consistency(0, 5, [], EMPTY_ROOT, root_of(HASHES[:5]))
    with pytest.raises(ProofInvalidError, match="empty tree"):
        verify_consistency(0, 5, [], HASHES[0], root_of(HASHES[:5]))


def test_two_trees_of_one_size_must_be_the_same() -> None:
    with pytest.raises(ProofInvalidError, match="different roots"):
        verify_consistency(5, 5, [], root_of(HASHES[:5]), root_of(HASHES[1:6]))


def test_sizes_beyond_what_a_log_can_have_are_refused() -> None:
    with pytest.raises(ProofInvalidError):
        verify_inclusion(HASHES[0], 0, SIZE_MAX + 1, [], HASHES[0])
    with pytest.raises(ProofInvalidError):
        verify_consistency(1, SIZE_MAX + 1, [HASHES[0]], HASHES[0], HASHES[0])

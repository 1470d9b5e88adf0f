"""Verifying Merkle proofs.

Responsible for the two checks that a log's reader makes without trusting the log (RFC 9162, sections 2.1.3.2
and 2.1.4.2).

Invariants: a proof passes only when it was consumed to its last hash and leads to exactly the stated root;
nothing is raised but ``ProofInvalidError``. Does not know checkpoints or entries, and makes no proofs
(``carnet.translog.tree``).
"""

from __future__ import annotations

from hmac import compare_digest
from typing import TYPE_CHECKING

from carnet.errors import ProofInvalidError
from carnet.translog.tree import EMPTY_ROOT, HASH_BYTES, SIZE_MAX, node_hash

if TYPE_CHECKING:
    from collections.abc import Sequence


def verify_inclusion(leaf_hash: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Verify that a leaf is in a tree (RFC 9162, section 2.1.3.2).

    Args:
        leaf_hash: The hash of the leaf.
        index: Its index, from 0.
        size: The size of the tree.
        proof: The hashes from the leaf's sibling upwards.
        root: The root of the tree, from a checkpoint that was verified.

    Raises:
        ProofInvalidError: The proof does not show it.
    """
    _check_hashes([leaf_hash, *proof, root])
    if not 0 <= index < size <= SIZE_MAX:
        raise ProofInvalidError(f"inclusion proof: there is no leaf {index} in a tree of {size}")
    position, last = index, size - 1
    result = leaf_hash
    for sibling in proof:
        if last == 0:
            raise ProofInvalidError("inclusion proof: it is longer than the tree is high")
        if position & 1 or position == last:
            result = node_hash(sibling, result)
            position, last = _climb(position, last)
        else:
            result = node_hash(result, sibling)
        position >>= 1
        last >>= 1
    if last != 0:
        raise ProofInvalidError("inclusion proof: it ends below the root")
    if not compare_digest(result, root):
        raise ProofInvalidError(f"inclusion proof: entry {index} is not in the tree of {size} with this root")


def verify_consistency(first: int, second: int, proof: Sequence[bytes], root1: bytes, root2: bytes) -> None:
    """Verify that one tree is the beginning of another (RFC 9162, section 2.1.4.2).

    Args:
        first: The size of the smaller tree.
        second: The size of the larger tree.
        proof: The hashes, the lowest first; empty where ``first`` is 0 or equals ``second``.
        root1: The root of the smaller tree.
        root2: The root of the larger tree.

    Raises:
        ProofInvalidError: The proof does not show it.
    """
    _check_hashes([*proof, root1, root2])
    if not 0 <= first <= second <= SIZE_MAX:
        raise ProofInvalidError(
            f"consistency proof: a tree of {first} cannot be the beginning of a tree of {second}"
        )
    if first in {0, second}:
        _verify_trivial(first, second, proof, root1, root2)
        return
    hashes = [root1, *proof] if first & (first - 1) == 0 else list(proof)
    if not proof or not hashes:
        raise ProofInvalidError("consistency proof: it is empty")
    position, last = first - 1, second - 1
    while position & 1:
        position >>= 1
        last >>= 1
    old = new = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            raise ProofInvalidError("consistency proof: it is longer than the tree is high")
        if position & 1 or position == last:
            old = node_hash(sibling, old)
            new = node_hash(sibling, new)
            position, last = _climb(position, last)
        else:
            new = node_hash(new, sibling)
        position >>= 1
        last >>= 1
    if last != 0:
        raise ProofInvalidError("consistency proof: it ends below the root")
    if not (compare_digest(old, root1) and compare_digest(new, root2)):
        raise ProofInvalidError(
            f"consistency proof: the tree of {second} does not begin with the tree of {first}: "
            "one history was replaced by another"
        )


def _verify_trivial(first: int, second: int, proof: Sequence[bytes], root1: bytes, root2: bytes) -> None:
    if proof:
        raise ProofInvalidError("consistency proof: it must be empty for these sizes")
    if first == 0 and not compare_digest(root1, EMPTY_ROOT):
        raise ProofInvalidError("consistency proof: the tree of 0 has another root than the empty tree")
    if first == second and not compare_digest(root1, root2):
        raise ProofInvalidError(f"consistency proof: two trees of {first} have different roots")


def _climb(position: int, last: int) -> tuple[int, int]:
    """Pass over the levels on which the node is its parent's only child."""
    while position and not position & 1:
        position >>= 1
        last >>= 1
    return position, last


def _check_hashes(hashes: list[bytes]) -> None:
    for value in hashes:
        if len(value) != HASH_BYTES:
            raise ProofInvalidError(f"a hash of a proof has {HASH_BYTES} bytes, this has {len(value)}")

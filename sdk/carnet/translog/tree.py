"""The Merkle tree of a transparency log: hashing, growing, and making proofs.

Responsible for RFC 6962 hashing, for growing a tree leaf by leaf from nothing but its right edge, and for
making inclusion and consistency proofs from stored nodes.

Invariants: a node ``(level, index)`` stands for the *complete* subtree over the leaves
``[index * 2**level, (index + 1) * 2**level)``, so its hash never changes once it is known; a proof for a
tree of n leaves reads O(log n) of them.

Does not verify proofs (``carnet.translog.proof``) and stores nothing.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, TypeAlias

from carnet.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

HASH_BYTES = 32
SIZE_MAX = 2**63 - 1
EMPTY_ROOT = hashlib.sha256(b"").digest()


NodeId: TypeAlias = tuple[int, int]
"""Where a complete subtree stands: (level, index); level 0 is the leaves."""

Node: TypeAlias = tuple[int, int, bytes]
"""A complete subtree with its hash, as a database keeps it: (level, index, hash)."""


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of a leaf: SHA-256(0x00 ‖ entry) (RFC 6962, section 2.1)."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an interior node: SHA-256(0x01 ‖ left ‖ right) (RFC 6962, section 2.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(leaf_hashes: Iterable[bytes]) -> bytes:
    """Return the root of the tree over these leaf hashes, in constant memory.

    Raises:
        InvalidInputError: One of them is not 32 bytes long.
    """
    frontier = Frontier()
    for value in leaf_hashes:
        frontier.append(value)
    return frontier.root()


def complete_root(hashes: Sequence[bytes]) -> bytes:
    """Return the root over a complete subtree, faster than ``root_of`` does.

    Args:
        hashes: The hashes of its leaves or nodes; a power of two of them, of 32 bytes each.

    Raises:
        InvalidInputError: They are not that many.
    """
    if not hashes or len(hashes) & (len(hashes) - 1):
        raise InvalidInputError(f"a complete subtree has a power of two of leaves, not {len(hashes)}")
    sha256 = hashlib.sha256
    level = hashes
    while len(level) > 1:
        level = [sha256(b"\x01" + level[at] + level[at + 1]).digest() for at in range(0, len(level), 2)]
    return level[0]


class Frontier:
    """The right edge of a growing tree: all that is needed to append, and to know the root.

    Holds one node for each bit that is set in the size, the largest first. Not for several threads at once.

    Args:
        nodes: What ``nodes()`` returned before; nothing for an empty tree.

    Raises:
        InvalidInputError: The nodes are not the right edge of any tree.
    """

    def __init__(self, nodes: Iterable[tuple[int, int, bytes]] = ()) -> None:
        self._nodes: list[Node] = list(nodes)
        self._size = sum(1 << level for level, _, _ in self._nodes if 0 <= level < 63)
        if self._size > SIZE_MAX or [node[:2] for node in self._nodes] != frontier_nodes(self._size):
            raise InvalidInputError("frontier: the nodes are not the right edge of a tree, largest first")
        for _, _, value in self._nodes:
            _check_hash(value)

    @property
    def size(self) -> int:
        """How many leaves the tree has."""
        return self._size

    def append(self, leaf_hash: bytes) -> list[Node]:
        """Append one leaf.

        Args:
            leaf_hash: The leaf's hash, 32 bytes.

        Returns:
            The interior nodes that this leaf completed, the lowest level first; often none. The leaf itself
            (level 0) is not among them.

        Raises:
            InvalidInputError: The hash is not 32 bytes long.
        """
        level, index, value = 0, self._size, _check_hash(leaf_hash)
        completed: list[Node] = []
        while self._nodes and self._nodes[-1][0] == level:
            left = self._nodes.pop()[2]
            level, index, value = level + 1, index >> 1, node_hash(left, value)
            completed.append((level, index, value))
        self._nodes.append((level, index, value))
        self._size += 1
        return completed

    def root(self) -> bytes:
        """Return the root of the tree as it stands."""
        return _fold([value for _, _, value in self._nodes])

    def nodes(self) -> list[Node]:
        """Return the right edge, the largest subtree first, in the form that the constructor takes."""
        return list(self._nodes)


def frontier_nodes(size: int) -> list[NodeId]:
    """List the complete subtrees that make up the right edge of a tree of this size, the largest first.

    Raises:
        InvalidInputError: The size is negative or too large.
    """
    _check_size(size, field="size")
    return _cover(0, size)


def root_at(size: int, node_at: Callable[[int, int], bytes]) -> bytes:
    """Return the root of the tree of the first ``size`` leaves, from stored nodes.

    Args:
        size: How many leaves.
        node_at: Returns the hash of the complete subtree at (level, index).

    Raises:
        InvalidInputError: The size is negative or too large.
    """
    return _fold([node_at(*node) for node in frontier_nodes(size)])


def inclusion_nodes(index: int, size: int) -> list[NodeId]:
    """List the nodes that ``inclusion_proof`` reads, so that they can be fetched in one query.

    Raises:
        InvalidInputError: There is no such leaf in a tree of that size.
    """
    return [node for part in _inclusion_ranges(index, size) for node in _cover(*part)]


def inclusion_proof(index: int, size: int, node_at: Callable[[int, int], bytes]) -> list[bytes]:
    """Make the proof that a leaf is in the tree (RFC 6962, section 2.1.1).

    Args:
        index: The leaf's index, from 0.
        size: The size of the tree.
        node_at: Returns the hash of the complete subtree at (level, index).

    Returns:
        The hashes from the leaf's sibling upwards.

    Raises:
        InvalidInputError: There is no such leaf in a tree of that size.
    """
    return _range_hashes(_inclusion_ranges(index, size), node_at)


def consistency_nodes(first: int, second: int) -> list[NodeId]:
    """List the nodes that ``consistency_proof`` reads, so that they can be fetched in one query.

    Raises:
        InvalidInputError: ``first`` is not between 0 and ``second``.
    """
    return [node for part in _consistency_ranges(first, second) for node in _cover(*part)]


def consistency_proof(first: int, second: int, node_at: Callable[[int, int], bytes]) -> list[bytes]:
    """Make the proof that one tree is the beginning of another (RFC 6962, section 2.1.2).

    Args:
        first: The size of the smaller tree; for 0 the proof is empty.
        second: The size of the larger tree; the proof is empty where it equals ``first``.
        node_at: Returns the hash of the complete subtree at (level, index).

    Returns:
        The hashes, the lowest first.

    Raises:
        InvalidInputError: ``first`` is not between 0 and ``second``.
    """
    return _range_hashes(_consistency_ranges(first, second), node_at)


def _inclusion_ranges(index: int, size: int) -> list[tuple[int, int]]:
    _check_size(size, field="size")
    if not 0 <= index < size:
        raise InvalidInputError(
            f"index: there is no leaf {index} in a tree of {size}", metadata={"field": "index"}
        )
    low, high = 0, size
    ranges: list[tuple[int, int]] = []
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            ranges.append((middle, high))
            high = middle
        else:
            ranges.append((low, middle))
            low = middle
    return ranges[::-1]


def _consistency_ranges(first: int, second: int) -> list[tuple[int, int]]:
    _check_size(second, field="second")
    if not 0 <= first <= second:
        raise InvalidInputError(
            f"first: a tree of {first} cannot be the beginning of a tree of {second}",
            metadata={"field": "first"},
        )
    if first in {0, second}:
        return []
    low, high = 0, second
    ranges: list[tuple[int, int]] = []
    while high != first:
        middle = low + _split(high - low)
        if first <= middle:
            ranges.append((middle, high))
            high = middle
        else:
            ranges.append((low, middle))
            low = middle
    if low > 0:
        ranges.append((low, high))
    return ranges[::-1]


def _range_hashes(ranges: list[tuple[int, int]], node_at: Callable[[int, int], bytes]) -> list[bytes]:
    return [_fold([node_at(*node) for node in _cover(*part)]) for part in ranges]


def _cover(low: int, high: int) -> list[NodeId]:
    """Split an aligned range of leaves into complete subtrees, the largest first."""
    nodes = []
    while low < high:
        level = (high - low).bit_length() - 1
        nodes.append((level, low >> level))
        low += 1 << level
    return nodes


def _fold(hashes: list[bytes]) -> bytes:
    if not hashes:
        return EMPTY_ROOT
    result = hashes[-1]
    for left in reversed(hashes[:-1]):
        result = node_hash(left, result)
    return result


def _split(size: int) -> int:
    """Return the largest power of two below the size."""
    return 1 << ((size - 1).bit_length() - 1)


def _check_size(size: int, *, field: str) -> None:
    if not 0 <= size <= SIZE_MAX:
        raise InvalidInputError(f"{field}: {size} is not the size of a tree", metadata={"field": field})


def _check_hash(value: bytes) -> bytes:
    if len(value) != HASH_BYTES:
        raise InvalidInputError(f"a hash has {HASH_BYTES} bytes, this has {len(value)}")
    return value

"""Asking a witness: one form of the request, and the rule that only a continuation is cosigned."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.errors import CarnetError, ConflictError, InvalidInputError, ProofInvalidError
from carnet.translog.checkpoint import Checkpoint
from carnet.translog.tree import Frontier, consistency_proof, leaf_hash, root_of
from carnet.translog.witness_request import WitnessRequest, consider, parse_witness_request

LEAVES = [leaf_hash(bytes([number])) for number in range(40)]
NOTE = "log.test\n3\nAAAA\n\n— log.test AAAAAAAA\n"


def head(size, leaves=LEAVES):
    return Checkpoint("log.test", size, root_of(leaves[:size]))


def proof(first, second, leaves=LEAVES):
    nodes = {}

    def node_at(level, index):
        if (level, index) not in nodes:
            frontier = Frontier()
            for leaf in leaves[index << level : (index + 1) << level]:
                frontier.append(leaf)
            nodes[level, index] = frontier.root()
        return nodes[level, index]

    return tuple(consistency_proof(first, second, node_at)) if 0 < first < second else ()


@given(st.integers(0, 2**62), st.lists(st.binary(min_size=32, max_size=32), max_size=63))
def test_a_request_reads_back_as_it_was_written(old_size, hashes):
    request = WitnessRequest(old_size, tuple(hashes), NOTE)
    assert parse_witness_request(str(request).encode()) == request


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"old 3",
        b"old 3\n\n",
        b"old 03\n\n" + NOTE.encode(),
        b"old -1\n\n" + NOTE.encode(),
        b"new 3\n\n" + NOTE.encode(),
        b"old 3\nnot base64!\n\n" + NOTE.encode(),
        b"old 3\nAAA\n\n" + NOTE.encode(),
        b"old 3\n" + b"AAAA\n" * 64 + b"\n" + NOTE.encode(),
        b"old 3\n\n\xff",
        b"old 3\n\n" + b"x" * 100_000,
    ],
)
def test_anything_else_is_refused(body):
    with pytest.raises(InvalidInputError):
        parse_witness_request(body)


@given(st.binary(max_size=300))
def test_whatever_comes_is_a_request_or_a_typed_error(body):
    try:
        parse_witness_request(body)
    except CarnetError:
        return


@given(st.integers(0, 40), st.integers(0, 40))
def test_a_continuation_is_cosigned(first, second):
    first, second = sorted((first, second))
    held = head(first) if first else None
    assert consider(held, first, proof(first, second), head(second)) == head(second)


@given(st.integers(1, 39), st.integers(1, 40), st.data())
def test_another_history_never_is(first, second, data):
    first, second = sorted((first, second))
    changed = data.draw(st.integers(0, first - 1))
    other = [*LEAVES[:changed], leaf_hash(b"other"), *LEAVES[changed + 1 :]]
    with pytest.raises((ProofInvalidError, ConflictError)) as caught:
        consider(head(first), first, proof(first, second, other), head(second, other))
    if first == second:
        assert caught.value.metadata["equivocation"] == "true"


@given(st.integers(1, 38), st.data())
def test_a_proof_that_is_not_quite_it_never_does(first, data):
    second = data.draw(st.integers(first + 1, 40))
    right = list(proof(first, second))
    kind = data.draw(st.sampled_from(["cut", "long", "flip", "swap"]))
    if kind == "cut":
        wrong = right[:-1]
    elif kind == "long":
        wrong = [*right, right[-1] if right else b"\0" * 32]
    elif kind == "flip":
        place = data.draw(st.integers(0, len(right) - 1))
        wrong = [*right[:place], bytes([right[place][0] ^ 1, *right[place][1:]]), *right[place + 1 :]]
    else:
        wrong = right[::-1]
        if wrong == right:
            return
    with pytest.raises(ProofInvalidError):
        consider(head(first), first, wrong, head(second))


def test_a_witness_that_holds_another_size_says_which():
    with pytest.raises(ConflictError) as caught:
        consider(head(5), 3, proof(3, 8), head(8))
    assert caught.value.metadata["size"] == "5"
    with pytest.raises(ConflictError) as caught:
        consider(None, 3, proof(3, 8), head(8))
    assert caught.value.metadata["size"] == "0"


@pytest.mark.parametrize("old", [9, -1])
def test_an_old_size_beyond_the_checkpoint_is_malformed(old):
    with pytest.raises(InvalidInputError):
        consider(head(5), old, (), head(8))


def test_a_proof_from_nothing_must_be_empty():
    with pytest.raises(ProofInvalidError):
        consider(None, 0, (b"\0" * 32,), head(8))

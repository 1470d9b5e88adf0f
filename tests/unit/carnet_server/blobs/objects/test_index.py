"""An index has one form, and nothing that is not it is believed."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.canonical import canonical_json, sha256_hex
from carnet.errors import DataLossError
from carnet_server.blobs.domain import MAX_BLOB_BYTES
from carnet_server.blobs.objects.index import MAX_INDEX_BYTES, Index, encode_index, parse_index
from carnet_server.blobs.objects.names import PART_BYTES, Attempt, count_parts

DIGEST = "ab" * 32
digests = st.binary(min_size=32, max_size=32).map(bytes.hex)


@st.composite
def indexes(draw):
    part_bytes = draw(st.integers(1, 64 << 20))
    size_bytes = draw(st.integers(part_bytes + 1, min(part_bytes * 40, MAX_BLOB_BYTES)))
    parts = draw(digests.map(lambda digest: (digest,) * count_parts(size_bytes, part_bytes)))
    token = draw(st.binary(min_size=8, max_size=8).map(bytes.hex))
    return Index(
        Attempt(draw(st.from_regex(r"[a-z][a-z0-9]{0,9}", fullmatch=True)), DIGEST, token),
        size_bytes,
        parts,
        part_bytes,
    )


def some_index(**changed) -> dict:
    """An index as JSON, changed, and with the digest that fits the change."""
    value = {
        "attempt": "01" * 8,
        "digest": DIGEST,
        "format": 1,
        "namespace": "risk",
        "part_bytes": 10,
        "parts": ["cd" * 32] * 3,
        "size_bytes": 25,
        **changed,
    }
    value = {name: each for name, each in value.items() if each is not ...}
    return {**value, "sha256": sha256_hex(canonical_json(value))}


@given(indexes())
def test_what_is_written_is_read(index):
    assert parse_index(encode_index(index), DIGEST) == index


@given(indexes(), st.data())
def test_any_flipped_bit_is_found(index, data):
    stored = bytearray(encode_index(index))
    bit = data.draw(st.integers(0, 8 * len(stored) - 1))
    stored[bit // 8] ^= 1 << bit % 8
    with pytest.raises(DataLossError):
        parse_index(bytes(stored), DIGEST)


@given(indexes(), st.data())
def test_any_cut_is_found(index, data):
    stored = encode_index(index)
    with pytest.raises(DataLossError):
        parse_index(stored[: data.draw(st.integers(0, len(stored) - 1))], DIGEST)


@given(st.binary(max_size=300))
def test_bytes_that_are_no_index_are_data_loss_and_nothing_else(stored):
    with pytest.raises(DataLossError):
        parse_index(stored, DIGEST)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(max_size=8)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3)
    ),
    max_leaves=5,
)


@given(st.sampled_from(sorted(some_index().keys() - {"sha256"})), json_values)
def test_a_field_of_another_kind_is_data_loss_even_when_the_digest_fits(name, value):
    changed = some_index(**{name: value})
    try:
        index = parse_index(canonical_json(changed), DIGEST)
    except DataLossError:
        return
    assert canonical_json(changed) == encode_index(index)


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"format": 2}, "format 2"),
        ({"digest": "cd" * 32}, "another blob's"),
        ({"part_bytes": 0}, "parts of 0"),
        ({"part_bytes": True}, "parts of True"),
        ({"part_bytes": 1 << 40}, "parts of"),
        ({"size_bytes": 10}, "size of a blob in parts"),
        ({"size_bytes": 25.5}, "size of a blob in parts"),
        ({"size_bytes": MAX_BLOB_BYTES + 1}, "size of a blob in parts"),
        ({"parts": ["cd" * 32] * 2}, "do not make up"),
        ({"parts": "cd" * 32}, "do not make up"),
        ({"parts": ["cd" * 32, "cd" * 32, "CD" * 32]}, "no digest"),
        ({"parts": ["cd" * 32, "cd" * 32, 7]}, "no digest"),
        ({"attempt": "../../x"}, "no attempt"),
        ({"attempt": None}, "no attempt"),
        ({"namespace": "../other"}, "not a name"),
        ({"namespace": None}, "not a name"),
        ({"more": 1}, "fields"),
        ({"parts": ...}, "fields"),
    ],
)
def test_a_field_that_cannot_be_is_named(changed, problem):
    with pytest.raises(DataLossError, match=problem) as caught:
        parse_index(canonical_json(some_index(**changed)), DIGEST)
    assert caught.value.metadata == {"digest": DIGEST}


def test_another_form_of_the_same_json_is_not_an_index():
    with pytest.raises(DataLossError, match="canonical"):
        parse_index(json.dumps(some_index()).encode(), DIGEST)


def test_the_longest_index_fits():
    count = count_parts(MAX_BLOB_BYTES)
    index = Index(Attempt("a" * 63, DIGEST, "01" * 8), MAX_BLOB_BYTES, ("cd" * 32,) * count)
    assert len(encode_index(index)) < MAX_INDEX_BYTES


def test_sizes_and_paths_follow_from_the_index():
    size_bytes = 2 * PART_BYTES + 1
    index = Index(Attempt("risk", DIGEST, "01" * 8), size_bytes, ("aa" * 32, "bb" * 32, "cc" * 32))
    assert [index.size_of(number) for number in range(3)] == [PART_BYTES, PART_BYTES, 1]
    assert index.path_of(2) == f"parts/risk/{DIGEST}/{'01' * 8}/000002-{'cc' * 32}"

"""The limits of what may be asked about blobs."""

from __future__ import annotations

import pytest

from carnet.errors import InvalidInputError, MessageTooLargeError
from carnet_server.blobs.domain import (
    MAX_BATCH_BLOBS,
    MAX_BATCH_BYTES,
    MAX_BLOB_BYTES,
    MAX_FIND,
    Blob,
    check_batch,
    check_blob,
    check_find,
)

DIGEST = "0" * 64


@pytest.mark.parametrize("size", [0, 1, MAX_BLOB_BYTES])
def test_a_possible_blob_is_returned(size):
    assert check_blob(DIGEST, size, field="blob") == Blob(DIGEST, size)


@pytest.mark.parametrize(
    ("digest", "size", "field"),
    [
        ("", 1, "blob.digest"),
        ("0" * 63, 1, "blob.digest"),
        ("A" * 64, 1, "blob.digest"),
        ("../" + "0" * 61, 1, "blob.digest"),
        (DIGEST + "\n", 1, "blob.digest"),
        (DIGEST, -1, "blob.size_bytes"),
        (DIGEST, MAX_BLOB_BYTES + 1, "blob.size_bytes"),
    ],
)
def test_an_impossible_blob_is_refused_and_its_field_named(digest, size, field):
    with pytest.raises(InvalidInputError) as caught:
        check_blob(digest, size, field="blob")
    assert caught.value.metadata["field"] == field


@pytest.mark.parametrize("sizes", [[], [0] * MAX_BATCH_BLOBS, [MAX_BATCH_BYTES], [MAX_BATCH_BYTES - 1, 1]])
def test_a_batch_may_be_as_large_as_the_contract_says(sizes):
    check_batch(sizes, field="blobs")


@pytest.mark.parametrize("sizes", [[0] * (MAX_BATCH_BLOBS + 1), [MAX_BATCH_BYTES + 1], [MAX_BATCH_BYTES, 1]])
def test_a_batch_may_not_be_larger(sizes):
    with pytest.raises(MessageTooLargeError):
        check_batch(sizes, field="blobs")


def test_a_question_has_a_limit():
    check_find(MAX_FIND)
    with pytest.raises(MessageTooLargeError):
        check_find(MAX_FIND + 1)

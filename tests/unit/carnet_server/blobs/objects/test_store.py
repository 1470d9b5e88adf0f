"""What is particular to blobs that are objects: conditional puts, indexes, attempts, and clearing away."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta

import obstore
import pytest
from obstore.exceptions import NotSupportedError

from carnet.canonical import sha256_hex
from carnet.errors import DataLossError, DigestMismatchError, UnavailableError
from carnet_server.blobs.domain import Blob
from carnet_server.blobs.objects import bucket as bucket_module
from carnet_server.blobs.objects.index import encode_index
from carnet_server.blobs.objects.names import PART_BYTES, Attempt, index_path, single_path
from carnet_server.blobs.opening import open_store

SOON = datetime.now(UTC) + timedelta(hours=1)
LONG_AGO = datetime.now(UTC) - timedelta(days=1)
LARGE = 2 * PART_BYTES + 5


@pytest.mark.parametrize("size", [0, 1, PART_BYTES - 1, PART_BYTES])
def test_a_blob_that_fits_into_a_part_is_one_object(s3, make_blob, put, read, size):
    blob, data = make_blob(size)
    put(s3.store, blob, data)
    assert s3.paths() == [single_path(blob.digest)]
    assert read(s3.store, blob) == s3.store.read_small(blob) == data


@pytest.mark.parametrize("size", [PART_BYTES + 1, 2 * PART_BYTES, 2 * PART_BYTES + 1, 5 * PART_BYTES - 1])
def test_a_larger_blob_is_parts_and_an_index(s3, make_blob, put, read, size):
    blob, data = make_blob(size)
    put(s3.store, blob, data)
    index = s3.index(blob)
    assert s3.paths() == sorted([index_path(blob.digest), *map(index.path_of, range(len(index.parts)))])
    assert len(index.parts) == -(-size // PART_BYTES)
    assert read(s3.store, blob) == s3.store.read_small(blob) == data


def test_the_check_leaves_nothing_behind(s3):
    s3.store.check()
    assert s3.paths() == []


def test_many_small_blobs_are_stored_together_and_one_wrong_one_stores_none(s3):
    contents = [b"%d" % number for number in range(300)]
    blobs = [Blob(sha256_hex(data), len(data)) for data in contents]
    wrong = [*zip([blob.digest for blob in blobs], contents, strict=True), ("f" * 64, b"other")]
    with pytest.raises(DigestMismatchError, match="f" * 64):
        s3.store.write_small("risk", wrong)
    assert s3.store.find_missing(blobs) == blobs
    s3.store.write_small("risk", wrong[:-1])
    absent = Blob("e" * 64, 3)
    assert s3.store.find_missing([absent, *blobs, Blob(blobs[0].digest, 2)]) == [
        absent,
        Blob(blobs[0].digest, 2),
    ]
    assert sorted(s3.store.stored_before(SOON)) == sorted(blob.digest for blob in blobs)
    assert [s3.store.read_small(blob) for blob in blobs] == contents


@pytest.fixture(params=["memory", "s3"])
def place(request):
    """A store that enforces conditions, and one that ignores them."""
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("damaged", [b"?" * 10, b"?", b"", b"?" * 11])
def test_writing_a_small_blob_again_mends_it(place, make_blob, put, damaged):
    blob, data = make_blob(10)
    place.store.write_small("risk", [(blob.digest, data)])
    place.bucket.put(single_path(blob.digest), damaged)
    with pytest.raises(DataLossError, match=blob.digest):
        place.store.read_small(blob)
    place.store.write_small("risk", [(blob.digest, data)])
    assert place.store.read_small(blob) == data
    place.bucket.put(single_path(blob.digest), damaged)
    put(place.store, blob, data)
    assert place.store.read_small(blob) == data


def test_a_second_small_writer_agrees_without_writing(memory, make_blob):
    blob, data = make_blob(10)
    memory.store.write_small("risk", [(blob.digest, data)])
    stamp = obstore.head(memory.bucket.client, single_path(blob.digest))["last_modified"]
    memory.store.write_small("growth", [(blob.digest, data)])
    assert obstore.head(memory.bucket.client, single_path(blob.digest))["last_modified"] == stamp


def test_a_store_without_conditions_is_written_plainly(memory, make_blob, monkeypatch):
    tried = []
    real = obstore.put

    def without_conditions(client, path, data, *, mode, **options):
        if mode == "create":
            tried.append(path)
            raise NotSupportedError("not here")
        return real(client, path, data, mode=mode, **options)

    monkeypatch.setattr(bucket_module.obstore, "put", without_conditions)
    made = [make_blob(10, seed=seed) for seed in range(3)]
    for blob, data in made:
        memory.store.write_small("risk", [(blob.digest, data)])
    assert memory.store.find_missing([blob for blob, _ in made]) == []
    assert len(tried) == 1


def test_a_large_blob_is_missing_when_anything_of_it_is(place, make_blob, put):
    blob, data = make_blob(LARGE)
    put(place.store, blob, data)
    index = place.index(blob)
    assert place.store.find_missing([blob, Blob(blob.digest, LARGE + 1)]) == [Blob(blob.digest, LARGE + 1)]
    for path in (index_path(blob.digest), index.path_of(0), index.path_of(2)):
        whole = place.bucket.get(path, at_most=LARGE)
        for damaged in (None, b"", bytes(whole[:-1])):
            if damaged is None:
                place.bucket.delete([path])
            else:
                place.bucket.put(path, damaged)
            assert place.store.find_missing([blob]) == [blob]
            with pytest.raises(DataLossError, match=blob.digest):
                place.store.read_small(blob)
        place.bucket.put(path, whole)
    assert place.store.find_missing([blob]) == []


def test_a_removed_blob_leaves_nothing(place, make_blob, put):
    made = [make_blob(10), make_blob(LARGE)]
    for blob, data in made:
        put(place.store, blob, data)
    assert sorted(place.store.stored_before(SOON)) == sorted(blob.digest for blob, _ in made)
    assert list(place.store.stored_before(LONG_AGO)) == []
    for blob, _ in made:
        assert place.store.remove(blob.digest)
        assert not place.store.remove(blob.digest)
    assert place.paths() == []


@pytest.mark.parametrize("size", [0, 10, PART_BYTES, LARGE])
def test_how_large_a_blob_is_is_found_from_what_is_stored(place, make_blob, put, size):
    blob, data = make_blob(size)
    assert place.store.find(blob.digest) is None
    put(place.store, blob, data)
    assert place.store.find(blob.digest) == blob
    if size == LARGE:
        place.bucket.put(index_path(blob.digest), b"?")
        with pytest.raises(DataLossError, match="index"):
            place.store.find(blob.digest)


def test_what_makes_a_blob_visible_goes_before_its_parts(memory, make_blob, put, monkeypatch):
    blob, data = make_blob(LARGE)
    put(memory.store, blob, data)
    real = memory.bucket.delete

    def interrupted(paths):
        real(paths)
        raise UnavailableError("interrupted")

    monkeypatch.setattr(memory.bucket, "delete", interrupted)
    with pytest.raises(UnavailableError):
        memory.store.remove(blob.digest)
    monkeypatch.undo()
    assert memory.store.find_missing([blob]) == [blob]
    assert memory.paths("indexes") == []
    assert memory.store.discard_uploads(SOON) == 1
    assert memory.paths() == []


def test_a_blob_whose_index_is_damaged_can_be_removed_and_its_parts_are_cleared_away(memory, make_blob, put):
    blob, data = make_blob(LARGE)
    put(memory.store, blob, data)
    memory.bucket.put(index_path(blob.digest), b"?")
    assert memory.store.discard_uploads(SOON) == 0
    assert memory.store.remove(blob.digest)
    assert memory.store.discard_uploads(SOON) == 1
    assert memory.paths() == []


def test_only_what_nobody_needs_is_discarded(place, make_blob, put):
    stored, data = make_blob(LARGE)
    put(place.store, stored, data)
    under_way, more = make_blob(LARGE, seed=1)
    writing = place.store.open_upload("risk", under_way)
    writing.append(more[: PART_BYTES + 1])
    left, most = make_blob(LARGE, seed=2)
    for namespace in ("risk", "growth"):
        with contextlib.closing(place.store.open_upload(namespace, left)) as upload:
            upload.append(most[: PART_BYTES + 1])
    place.bucket.put("parts/foreign", b"not ours")
    assert place.store.discard_uploads(LONG_AGO) == 0
    assert place.store.discard_uploads(SOON) == 2
    assert place.store.uploaded_bytes("growth", left) == 0
    writing.append(more[writing.offset :])
    writing.finish()
    assert place.store.find_missing([stored, under_way]) == []
    assert "parts/foreign" in place.paths()


def test_of_several_attempts_at_one_blob_all_but_the_stored_one_go(memory, make_blob, put):
    blob, data = make_blob(LARGE)
    for _ in range(2):
        stray = Attempt.new("risk", blob.digest)
        memory.bucket.put(stray.part_path(1, "ab" * 32), b"x")
        memory.bucket.put(stray.spoiled_path, b"")
    put(memory.store, blob, data)
    assert memory.store.discard_uploads(SOON) == 2
    assert len(memory.paths("parts")) == 3
    assert memory.store.read_small(blob) == data


def test_an_attempt_that_is_written_to_while_others_are_cleared_away_stays(memory, make_blob, monkeypatch):
    blob, data = make_blob(LARGE)
    with contextlib.closing(memory.store.open_upload("risk", blob)) as upload:
        upload.append(data[: PART_BYTES + 1])
    before = datetime.now(UTC)
    other = memory.reopen()
    real, done = memory.bucket.get, []

    def get(path, **options):
        if not done:
            done.append(path)
            with contextlib.closing(other.open_upload("risk", blob)) as elsewhere:
                elsewhere.append(data[elsewhere.offset : 2 * PART_BYTES])
                elsewhere.append(data[2 * PART_BYTES : -1])
        return real(path, **options)

    monkeypatch.setattr(memory.bucket, "get", get)
    assert memory.store.discard_uploads(before) == 0
    assert done
    assert memory.store.uploaded_bytes("risk", blob) == 2 * PART_BYTES
    other.close()


def test_foreign_objects_are_no_blobs(memory):
    for path in ("blobs/sha256/readme", "blobs/sha256/ab/short", "indexes/sha256/ab/cd/ef"):
        memory.bucket.put(path, b"x")
    assert list(memory.store.stored_before(SOON)) == []


def test_more_objects_than_a_page_are_all_found(memory, s3):
    for place in (memory, s3):
        contents = [(sha256_hex(b"%d" % number), b"%d" % number) for number in range(1100)]
        place.store.write_small("risk", contents)
        assert sorted(place.store.stored_before(SOON)) == sorted(digest for digest, _ in contents)


def test_a_prefix_keeps_stores_of_one_bucket_apart(s3, make_blob, put):
    blob, data = make_blob(LARGE)
    path, _, query = s3.url.partition("?")
    with contextlib.closing(open_store(f"{path}/a?{query}")) as one:
        put(one, blob, data)
        with contextlib.closing(open_store(f"{path}/b?{query}")) as other:
            assert other.find_missing([blob]) == [blob]
            assert list(other.stored_before(SOON)) == []
        assert one.find_missing([blob]) == []
        assert all(each.startswith("a/") for each in s3.paths())


def test_an_index_of_another_blob_is_not_believed(memory, make_blob, put):
    blob, data = make_blob(LARGE)
    other, _ = make_blob(LARGE, seed=1)
    put(memory.store, blob, data)
    memory.bucket.put(index_path(other.digest), encode_index(memory.index(blob)))
    assert memory.store.find_missing([other]) == [other]
    with pytest.raises(DataLossError, match="another blob's"):
        memory.store.open_blob(other)

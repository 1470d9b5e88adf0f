"""The store's small blobs, and its housekeeping."""

from __future__ import annotations

import errno
import os
from datetime import UTC, datetime, timedelta

import pytest

from carnet.errors import DigestMismatchError, StorageFullError, UnavailableError
from carnet_server.blobs.directory.store import DirectoryStore
from carnet_server.blobs.domain import Blob
from tests.support.storage import IN_A_DIRECTORY

SOON = datetime.now(UTC) + timedelta(hours=1)
LONG_AGO = datetime.now(UTC) - timedelta(days=1)


def test_small_blobs_are_stored_together(store, make_blob):
    made = [make_blob(size, seed=size) for size in (0, 1, 100, 60_000)]
    store.write_small("risk", [(blob.digest, data) for blob, data in made])
    assert [store.read_small(blob) for blob, _ in made] == [data for _, data in made]


def test_one_wrong_small_blob_is_named_and_no_blob_of_its_batch_is_stored(store, make_blob, holds):
    good, data = make_blob(10)
    with pytest.raises(DigestMismatchError, match="f" * 64):
        store.write_small("risk", [(good.digest, data), ("f" * 64, b"other")])
    assert not holds(good)


@IN_A_DIRECTORY
def test_a_full_disk_stores_no_small_blob_and_leaves_no_file(bench, store, make_blob, monkeypatch):
    made = [make_blob(10, seed=seed) for seed in range(3)]
    real = os.fsync
    calls = []

    def full_at_the_third(descriptor):
        calls.append(descriptor)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full_at_the_third)
    with pytest.raises(StorageFullError):
        store.write_small("risk", [(blob.digest, data) for blob, data in made])
    assert bench.leftovers() == []


def test_writing_a_small_blob_again_mends_it(store, make_blob, overwrite):
    blob, data = make_blob(10)
    store.write_small("risk", [(blob.digest, data)])
    overwrite(blob.digest, b"?" * 10)
    store.write_small("risk", [(blob.digest, data)])
    assert store.read_small(blob) == data


def test_holding_is_having_it_with_its_size(holds, make_blob, put, overwrite):
    blob, data = make_blob(10)
    assert not holds(blob)
    put(blob, data)
    assert holds(blob)
    assert not holds(Blob(blob.digest, 11))
    overwrite(blob.digest, data[:-1])
    assert not holds(blob)


def test_a_removed_blob_is_gone_at_once(bench, store, make_blob, put, holds):
    blob, data = make_blob(100)
    put(blob, data)
    assert list(store.stored_before(SOON)) == [blob.digest]
    assert list(store.stored_before(LONG_AGO)) == []
    assert store.remove(blob.digest)
    assert not store.remove(blob.digest)
    assert not holds(blob)
    assert bench.leftovers() == []


@IN_A_DIRECTORY
@pytest.mark.parametrize("small", [True, False])
def test_a_new_folder_is_durable_before_a_blob_is_in_it(store, make_blob, monkeypatch, tmp_path, small):
    blob, data = make_blob(100)
    stored = store.path_of(blob.digest)
    assert not stored.parent.exists()
    real, synced = os.fsync, []

    def note(descriptor):
        synced.append((os.fstat(descriptor).st_ino, stored.parent.exists(), stored.exists()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    if small:
        store.write_small("risk", [(blob.digest, data)])
    else:
        upload = store.open_upload("risk", blob)
        upload.append(data)
        upload.finish()
    shelves = (tmp_path / "store" / "blobs" / "sha256").stat().st_ino
    assert (shelves, True, False) in synced
    assert synced[-1] == (stored.parent.stat().st_ino, True, True)
    synced.clear()
    store.write_small("risk", [(blob.digest, data)])
    assert shelves not in {place for place, *_ in synced}, "it is known to be there"


@IN_A_DIRECTORY
def test_foreign_files_in_the_store_are_let_alone(store, tmp_path):
    folder = tmp_path / "store" / "blobs" / "sha256" / "ab"
    folder.mkdir()
    (folder / "README").write_text("not a blob")
    assert list(store.stored_before(SOON)) == []


def test_a_place_that_is_no_folder_is_unavailable(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError):
        DirectoryStore(tmp_path / "file")

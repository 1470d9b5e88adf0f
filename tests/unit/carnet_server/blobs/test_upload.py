"""An upload into a folder resumes anywhere, has one writer, and becomes a blob only whole, verified and durable."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carnet.errors import (
    ConflictError,
    DigestMismatchError,
    OffsetOutOfRangeError,
    StorageFullError,
    UnavailableError,
)
from carnet_server.blobs.directory import upload as upload_module
from carnet_server.blobs.directory.store import DirectoryStore
from carnet_server.blobs.domain import Blob
from tests.support.fuzzing import examples
from tests.support.storage import IN_A_DIRECTORY

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 5000
pytestmark = IN_A_DIRECTORY


def files_of(store: DirectoryStore) -> list[Path]:
    root = store.path_of("0" * 64).parents[3]
    return sorted(path for path in root.rglob("*") if path.is_file())


def test_a_whole_upload_is_a_read_only_blob_and_leaves_nothing_else(store, make_blob, put):
    blob, data = make_blob(SIZE)
    put(blob, data)
    assert files_of(store) == [store.path_of(blob.digest)]
    assert store.path_of(blob.digest).read_bytes() == data
    assert store.path_of(blob.digest).stat().st_mode & 0o777 == 0o400
    assert store.read_small(blob) == data


def test_the_empty_blob_is_a_blob(store, make_blob, put):
    blob, data = make_blob(0)
    put(blob, data)
    assert store.holds(blob)
    assert store.read_small(blob) == b""


@pytest.mark.parametrize("cut", [0, 1, 2, SIZE // 2, SIZE - 1, SIZE])
def test_an_upload_goes_on_at_the_byte_where_it_stopped(store, make_blob, cut):
    blob, data = make_blob(SIZE)
    first = store.open_upload("risk", blob)
    first.append(data[:cut])
    first.close()
    assert store.uploaded_bytes("risk", blob) == cut
    assert not store.holds(blob)
    second = store.open_upload("risk", blob)
    assert second.offset == cut
    second.append(data[cut:])
    second.finish()
    assert store.read_small(blob) == data


@settings(max_examples=examples(30), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 900), st.booleans()), max_size=30))
def test_however_an_upload_is_cut_and_taken_up_the_blob_is_the_same(store, make_blob, steps):
    blob, data = make_blob(3000, seed=1)
    store.path_of(blob.digest).unlink(missing_ok=True)
    upload = store.open_upload("risk", blob)
    for size, interrupted in steps:
        upload.append(data[upload.offset :][:size])
        if interrupted:
            at = upload.offset
            upload.close()
            upload = store.open_upload("risk", blob)
            assert upload.offset == at
    upload.append(data[upload.offset :])
    upload.finish()
    assert store.read_small(blob) == data


def test_wrong_bytes_are_discarded_and_named(store, make_blob):
    blob, data = make_blob(SIZE)
    upload = store.open_upload("risk", blob)
    upload.append(data[:-1] + b"?")
    with pytest.raises(DigestMismatchError, match=blob.digest):
        upload.finish()
    assert files_of(store) == []
    assert store.uploaded_bytes("risk", blob) == 0


def test_bytes_that_changed_while_nobody_looked_are_found_out(store, make_blob, tmp_path):
    blob, data = make_blob(SIZE)
    upload = store.open_upload("risk", blob)
    upload.append(data[:1000])
    upload.close()
    (part,) = files_of(store)
    part.write_bytes(b"\0" * 1000)
    upload = store.open_upload("risk", blob)
    upload.append(data[upload.offset :])
    with pytest.raises(DigestMismatchError):
        upload.finish()
    assert files_of(store) == []


def test_bytes_past_the_size_are_refused_and_none_of_them_is_written(store, make_blob):
    blob, data = make_blob(SIZE)
    upload = store.open_upload("risk", blob)
    upload.append(data[:4000])
    with pytest.raises(OffsetOutOfRangeError) as caught:
        upload.append(data[4000:] + b"!")
    assert caught.value.metadata["committedBytes"] == "4000"
    upload.append(data[4000:])
    upload.finish()
    assert store.read_small(blob) == data


def test_more_than_the_blob_can_have_is_begun_anew(store, make_blob):
    blob, data = make_blob(SIZE)
    boaster = store.open_upload("risk", Blob(blob.digest, 2 * SIZE))
    boaster.append(data + b"!" * 10)
    boaster.close()
    assert store.uploaded_bytes("risk", blob) == 0
    upload = store.open_upload("risk", blob)
    assert upload.offset == 0
    upload.append(data)
    upload.finish()
    assert store.read_small(blob) == data


def test_an_upload_that_ends_early_is_kept(store, make_blob):
    blob, data = make_blob(SIZE)
    upload = store.open_upload("risk", blob)
    upload.append(data[:10])
    with pytest.raises(OffsetOutOfRangeError, match="10 of 5000") as caught:
        upload.finish()
    assert caught.value.metadata["committedBytes"] == "10"
    assert store.uploaded_bytes("risk", blob) == 10


def test_one_writer_at_a_time_per_namespace_and_blob(store, make_blob):
    blob, data = make_blob(SIZE)
    writer = store.open_upload("risk", blob)
    with pytest.raises(ConflictError, match="another"):
        store.open_upload("risk", blob)
    elsewhere = store.open_upload("growth", blob)
    elsewhere.append(data)
    elsewhere.finish()
    writer.append(data)
    writer.finish()
    store.open_upload("risk", blob).discard()
    assert store.read_small(blob) == data


def test_the_lock_holds_between_stores_of_one_folder(store, make_blob, tmp_path):
    blob, _ = make_blob(SIZE)
    writer = store.open_upload("risk", blob)
    with pytest.raises(ConflictError):
        DirectoryStore(tmp_path / "store").open_upload("risk", blob)
    writer.close()
    DirectoryStore(tmp_path / "store").open_upload("risk", blob).close()


def test_writing_a_blob_again_mends_it_and_a_reader_keeps_what_it_opened(store, make_blob, put, overwrite):
    blob, data = make_blob(SIZE)
    put(blob, data)
    reading = store.open_blob(blob)
    put(blob, data)
    assert b"".join(piece.data for piece in iter(reading.next_piece, None)) == data
    reading.close()
    overwrite(blob.digest, b"?" * SIZE)
    put(blob, data)
    assert store.read_small(blob) == data


def test_what_was_written_before_a_kill_is_gone_on_with(store, make_blob, tmp_path):
    blob, data = make_blob(SIZE)
    program = (
        "import os, pathlib, signal, sys\n"
        "from carnet_server.blobs.domain import Blob\n"
        "from carnet_server.blobs.directory.store import DirectoryStore\n"
        "store = DirectoryStore(pathlib.Path(sys.argv[1]))\n"
        "upload = store.open_upload('risk', Blob(sys.argv[2], int(sys.argv[3])))\n"
        "upload.append(sys.stdin.buffer.read())\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    arguments = [str(tmp_path / "store"), blob.digest, str(SIZE)]
    killed = subprocess.run(
        [sys.executable, "-c", program, *arguments], input=data[:3456], check=False, timeout=60
    )
    assert killed.returncode == -signal.SIGKILL
    upload = store.open_upload("risk", blob)
    assert upload.offset == 3456
    upload.append(data[3456:])
    upload.finish()
    assert store.read_small(blob) == data


def test_a_file_that_may_not_grow_is_a_full_store_and_nothing_is_stored(store, make_blob):
    blob, data = make_blob(SIZE)
    upload = store.open_upload("risk", blob)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, hard))
    try:
        with pytest.raises(StorageFullError, match="nothing was stored"):
            upload.append(data)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files_of(store) == []


@pytest.mark.parametrize("call", ["write", "fsync"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_at_any_point_leaves_nothing(store, make_blob, monkeypatch, call, number):
    blob, data = make_blob(SIZE)
    upload = store.open_upload("risk", blob)

    def full(*_):
        raise OSError(number, os.strerror(number))

    def write_all() -> None:
        upload.append(data)
        upload.finish()

    monkeypatch.setattr(os, call, full)
    with pytest.raises(StorageFullError):
        write_all()
    monkeypatch.undo()
    assert files_of(store) == []


def test_a_disk_that_fails_otherwise_is_unavailable_and_the_upload_can_be_taken_up(
    store, make_blob, monkeypatch
):
    blob, data = make_blob(SIZE)
    upload = store.open_upload("risk", blob)
    upload.append(data[:100])

    def broken(*_):
        raise OSError(errno.EIO, "I/O error")

    monkeypatch.setattr(os, "write", broken)
    with pytest.raises(UnavailableError):
        upload.append(data[100:])
    monkeypatch.undo()
    again = store.open_upload("risk", blob)
    assert again.offset == 100
    again.close()


def test_a_long_upload_is_synced_at_intervals(store, make_blob, monkeypatch):
    blob, data = make_blob(SIZE)
    monkeypatch.setattr(upload_module, "SYNC_BYTES", 1000)
    synced = []
    upload = store.open_upload("risk", blob)
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_size))
    for _ in range(10):
        upload.append(data[upload.offset :][:400])
    assert synced == [1200, 2000, 3200, 4000]
    upload.close()


def test_a_blob_for_which_there_is_no_room_is_refused_before_a_byte_is_sent(store, make_blob):
    with pytest.raises(StorageFullError, match="needs"):
        store.open_upload("risk", Blob("a" * 64, 1 << 60))
    assert files_of(store) == []

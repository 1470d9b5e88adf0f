"""A large upload resumes at a part, in any process, and shows nothing before it is whole."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carnet.errors import ConflictError, DigestMismatchError, OffsetOutOfRangeError, UnavailableError
from carnet_server.blobs.domain import Blob
from carnet_server.blobs.objects import attempts as attempts_module
from carnet_server.blobs.objects import upload as upload_module
from carnet_server.blobs.objects.names import PART_BYTES, index_path
from tests.support.fuzzing import examples

SOON = datetime.now(UTC) + timedelta(hours=1)
SIZE = 4 * PART_BYTES + 5


@pytest.mark.parametrize("cut", [0, 1, PART_BYTES - 1, PART_BYTES, 2 * PART_BYTES + 1, SIZE - 1])
def test_an_upload_goes_on_at_the_part_where_it_stopped(s3, make_blob, put, read, cut):
    blob, data = make_blob(SIZE)
    with contextlib.closing(s3.store.open_upload("risk", blob)) as first:
        first.append(data[:cut])
        assert first.offset == cut
    kept = cut - cut % PART_BYTES
    elsewhere = s3.reopen()
    assert elsewhere.uploaded_bytes("risk", blob) == kept
    assert elsewhere.uploaded_bytes("growth", blob) == 0
    assert elsewhere.find_missing([blob]) == [blob]
    second = elsewhere.open_upload("risk", blob)
    assert second.offset == kept
    second.append(data[kept:])
    second.finish()
    assert read(s3.store, blob) == data
    assert s3.store.discard_uploads(SOON) == 0
    elsewhere.close()


@settings(
    max_examples=examples(12), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(st.integers(0, 3 * PART_BYTES), st.booleans()), max_size=6))
def test_however_an_upload_is_cut_and_taken_up_the_blob_is_the_same(memory, make_blob, read, steps):
    blob, data = make_blob(SIZE)
    memory.store.remove(blob.digest)
    memory.store.discard_uploads(SOON)
    upload = memory.store.open_upload("risk", blob)
    for size, interrupted in steps:
        upload.append(memoryview(data)[upload.offset :][:size])
        if interrupted:
            kept = upload.offset - upload.offset % PART_BYTES if upload.offset < SIZE else 4 * PART_BYTES
            upload.close()
            upload = memory.store.open_upload("risk", blob)
            assert upload.offset == kept
    upload.append(data[upload.offset :])
    upload.finish()
    assert read(memory.store, blob) == data


def test_all_parts_without_an_index_are_finished_without_a_byte_more(memory, make_blob, put, read):
    blob, data = make_blob(SIZE)
    put(memory.store, blob, data)
    memory.bucket.delete([index_path(blob.digest)])
    assert memory.store.uploaded_bytes("risk", blob) == SIZE
    upload = memory.store.open_upload("risk", blob)
    assert upload.offset == SIZE
    upload.append(b"")
    upload.finish()
    assert read(memory.store, blob) == data
    assert len(memory.paths("parts")) == 5


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_part_that_changed_while_nobody_looked_is_written_again(memory, make_blob, put, read, number):
    blob, data = make_blob(SIZE)
    with contextlib.closing(memory.store.open_upload("risk", blob)) as upload:
        upload.append(data[: 3 * PART_BYTES + 1])
    path = memory.paths("parts")[number]
    memory.bucket.put(path, b"?" * PART_BYTES)
    assert memory.store.uploaded_bytes("risk", blob) == 3 * PART_BYTES
    upload = memory.store.open_upload("risk", blob)
    assert upload.offset == number * PART_BYTES
    upload.append(data[upload.offset :])
    upload.finish()
    assert read(memory.store, blob) == data


@pytest.mark.parametrize("place", ["memory", "s3"])
def test_wrong_bytes_are_named_and_not_gone_on_with(request, make_blob, put, read, place):
    place = request.getfixturevalue(place)
    blob, data = make_blob(SIZE)
    upload = place.store.open_upload("risk", blob)
    upload.append(data[:-1] + b"?")
    with pytest.raises(DigestMismatchError, match=blob.digest):
        upload.finish()
    assert place.store.find_missing([blob]) == [blob]
    assert place.paths("indexes") == []
    assert place.store.uploaded_bytes("risk", blob) == 0
    put(place.store, blob, data)
    assert read(place.store, blob) == data
    assert place.store.discard_uploads(SOON) == 1
    assert read(place.store, blob) == data


def test_a_wrong_small_blob_leaves_nothing(memory, make_blob):
    blob, data = make_blob(10)
    upload = memory.store.open_upload("risk", blob)
    upload.append(data[:-1] + b"?")
    with pytest.raises(DigestMismatchError, match=blob.digest):
        upload.finish()
    assert memory.paths() == []


@pytest.mark.parametrize("size", [10, SIZE])
def test_bytes_past_the_size_are_refused_and_none_of_them_is_taken(memory, make_blob, read, size):
    blob, data = make_blob(size)
    upload = memory.store.open_upload("risk", blob)
    upload.append(data[:-3])
    with pytest.raises(OffsetOutOfRangeError) as caught:
        upload.append(data[-3:] + b"!")
    assert caught.value.metadata["committedBytes"] == str(size - 3)
    upload.append(data[-3:])
    upload.finish()
    assert read(memory.store, blob) == data


@pytest.mark.parametrize(
    ("size", "given", "kept"), [(10, 3, 0), (SIZE, 2 * PART_BYTES + 7, 2 * PART_BYTES), (SIZE, 3, 0)]
)
def test_an_upload_that_ends_early_says_how_much_is_kept(memory, make_blob, size, given, kept):
    blob, data = make_blob(size)
    upload = memory.store.open_upload("risk", blob)
    upload.append(data[:given])
    with pytest.raises(OffsetOutOfRangeError, match=f"{given} of {size}") as caught:
        upload.finish()
    assert caught.value.metadata["committedBytes"] == str(kept)
    assert memory.store.uploaded_bytes("risk", blob) == kept


@pytest.mark.parametrize("size", [10, SIZE])
def test_one_writer_at_a_time_per_namespace_and_blob(memory, make_blob, read, size):
    blob, data = make_blob(size)
    writer = memory.store.open_upload("risk", blob)
    with pytest.raises(ConflictError, match="another"):
        memory.store.open_upload("risk", blob)
    elsewhere = memory.store.open_upload("growth", blob)
    elsewhere.append(data)
    elsewhere.finish()
    writer.append(data)
    writer.finish()
    writer.close()
    memory.store.open_upload("risk", blob).close()
    assert read(memory.store, blob) == data


def test_an_upload_that_cannot_be_opened_can_be_opened_later(memory, make_blob, monkeypatch):
    blob, _ = make_blob(SIZE)

    def failing(*_, **__):
        raise UnavailableError("not now")

    for name in ("objects_below", "get"):
        monkeypatch.setattr(memory.bucket, name, failing)
        with pytest.raises(UnavailableError, match="not now"):
            memory.store.open_upload("risk", blob)
        monkeypatch.undo()
    memory.store.open_upload("risk", blob).close()


def test_the_buffer_is_the_callers_again_on_return(memory, make_blob, read):
    blob, data = make_blob(SIZE)
    upload = memory.store.open_upload("risk", blob)
    buffer = bytearray(1 << 20)
    for start in range(0, SIZE, 1 << 20):
        piece = data[start : start + (1 << 20)]
        buffer[: len(piece)] = piece
        upload.append(memoryview(buffer)[: len(piece)])
        buffer[:] = b"\xff" * len(buffer)
    upload.finish()
    assert read(memory.store, blob) == data


def test_a_part_that_fails_fails_the_upload_and_the_parts_that_are_there_are_kept(
    memory, make_blob, monkeypatch
):
    blob, data = make_blob(SIZE)
    real = memory.bucket.put

    def put(path, content):
        if "/000002-" in path:
            raise UnavailableError("the store failed in the background")
        real(path, content)

    monkeypatch.setattr(memory.bucket, "put", put)
    upload = memory.store.open_upload("risk", blob)
    with pytest.raises(UnavailableError, match="in the background"):
        upload.append(data)
        upload.finish()
    with pytest.raises(UnavailableError, match="in the background"):
        upload.append(b"")
    upload.close()
    monkeypatch.undo()
    assert memory.store.find_missing([blob]) == [blob]
    assert memory.store.uploaded_bytes("risk", blob) == 2 * PART_BYTES


def test_closing_waits_for_parts_that_are_on_their_way(memory, make_blob, monkeypatch):
    blob, data = make_blob(SIZE)
    real, may_go_on = memory.bucket.put, threading.Event()

    def put(path, content):
        assert may_go_on.wait(30)
        real(path, content)

    monkeypatch.setattr(memory.bucket, "put", put)
    upload = memory.store.open_upload("risk", blob)
    upload.append(data[: 2 * PART_BYTES + 1])
    threading.Timer(0.2, may_go_on.set).start()
    upload.close()
    assert memory.store.uploaded_bytes("risk", blob) == 2 * PART_BYTES


def test_closing_does_not_wait_for_ever(memory, make_blob, monkeypatch):
    blob, data = make_blob(SIZE)
    may_go_on = threading.Event()
    monkeypatch.setattr(memory.bucket, "put", lambda *_: may_go_on.wait(30))
    monkeypatch.setattr(upload_module, "CLOSE_SECONDS", 0.05)
    upload = memory.store.open_upload("risk", blob)
    upload.append(data[: PART_BYTES + 1])
    upload.close()
    may_go_on.set()


def test_two_processes_that_write_one_blob_at_once_do_no_harm(memory, make_blob, read):
    blob, data = make_blob(SIZE)
    with contextlib.closing(memory.store.open_upload("risk", blob)) as upload:
        upload.append(data[: PART_BYTES + 1])
    other = memory.reopen()
    one, two = memory.store.open_upload("risk", blob), other.open_upload("risk", blob)
    assert one.offset == two.offset == PART_BYTES
    for upload in (one, two):
        upload.append(data[PART_BYTES : 3 * PART_BYTES])
    one.append(data[3 * PART_BYTES :])
    one.finish()
    first = memory.index(blob)
    two.append(data[3 * PART_BYTES :])
    two.finish()
    assert memory.index(blob) == first
    assert read(other, blob) == data
    other.close()


def test_of_parts_by_two_writers_the_index_names_the_right_ones(memory, make_blob, read):
    blob, data = make_blob(SIZE)
    with contextlib.closing(memory.store.open_upload("risk", blob)) as upload:
        upload.append(data[: PART_BYTES + 1])
    other = memory.reopen()
    wrong, right = other.open_upload("risk", blob), memory.store.open_upload("risk", blob)
    wrong.append(b"?" * (3 * PART_BYTES + 5))
    right.append(data[PART_BYTES:])
    with pytest.raises(DigestMismatchError):
        wrong.finish()
    right.finish()
    assert len(memory.paths("parts")) == 1 + 2 * 3 + 1 + 1
    assert read(other, blob) == data
    other.close()


def test_of_two_namespaces_the_second_agrees_with_an_index_that_came_meanwhile(memory, make_blob, put, read):
    blob, data = make_blob(SIZE)
    slow = memory.store.open_upload("growth", blob)
    put(memory.store, blob, data, namespace="risk")
    slow.append(data)
    slow.finish()
    assert memory.index(blob).attempt.namespace == "risk"
    assert memory.store.discard_uploads(SOON) == 1
    assert read(memory.store, blob) == data


def test_an_index_that_came_meanwhile_and_is_not_whole_is_replaced(memory, make_blob, put, read):
    blob, data = make_blob(SIZE)
    slow = memory.store.open_upload("growth", blob)
    slow.append(data)
    put(memory.store, blob, data, namespace="risk")
    memory.bucket.delete([memory.index(blob).path_of(1)])
    slow.finish()
    assert memory.index(blob).attempt.namespace == "growth"
    assert read(memory.store, blob) == data


@pytest.mark.parametrize("place", ["memory", "s3"])
def test_writing_a_large_blob_again_mends_it(request, make_blob, put, read, monkeypatch, place):
    place = request.getfixturevalue(place)
    blob, data = make_blob(SIZE)
    put(place.store, blob, data)
    place.bucket.put(place.index(blob).path_of(2), b"?" * PART_BYTES)
    put(place.store, blob, data)  # goes on with the young attempt, and finds the part wrong
    assert read(place.store, blob) == data
    place.bucket.put(place.index(blob).path_of(1), b"?" * PART_BYTES)
    put(place.store, blob, data, namespace="growth")  # an attempt of its own takes the place of the older
    assert read(place.store, blob) == data
    place.bucket.put(index_path(blob.digest), b"?")
    put(place.store, blob, data)
    assert read(place.store, blob) == data


def test_an_old_attempt_is_begun_anew(memory, make_blob, monkeypatch):
    blob, data = make_blob(SIZE)
    with contextlib.closing(memory.store.open_upload("risk", blob)) as upload:
        upload.append(data[: PART_BYTES + 1])
    monkeypatch.setattr(attempts_module, "RESUMED_WITHIN", timedelta(0))
    assert memory.store.uploaded_bytes("risk", blob) == 0


def test_parts_that_are_cleared_away_meanwhile_are_no_blob(memory, make_blob, put, read):
    blob, data = make_blob(SIZE)
    upload = memory.store.open_upload("risk", blob)
    upload.append(data[: 2 * PART_BYTES + 1])
    other = memory.reopen()
    while other.uploaded_bytes("risk", blob) < 2 * PART_BYTES:
        pass
    assert other.discard_uploads(SOON) == 1
    upload.append(data[upload.offset :])
    with pytest.raises(UnavailableError, match="cleared away"):
        upload.finish()
    assert memory.paths("indexes") == []
    put(memory.store, blob, data)
    assert read(memory.store, blob) == data
    other.close()


def test_a_killed_process_leaves_nothing_visible_and_another_goes_on(s3, make_blob, read):
    blob, data = make_blob(SIZE)
    program = (
        "import os, signal, sys, time\n"
        "from carnet_server.blobs.domain import Blob\n"
        "from carnet_server.blobs.opening import open_store\n"
        "store = open_store(sys.argv[1])\n"
        "blob = Blob(sys.argv[2], int(sys.argv[3]))\n"
        "upload = store.open_upload('risk', blob)\n"
        "upload.append(sys.stdin.buffer.read())\n"
        "while store.uploaded_bytes('risk', blob) < 2 * (8 << 20): time.sleep(0.01)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", program, s3.url, blob.digest, str(SIZE)],
        input=data[: 2 * PART_BYTES + 3456],
        check=False,
        timeout=60,
        env=dict(os.environ),
    )
    assert killed.returncode == -signal.SIGKILL
    assert s3.store.find_missing([blob]) == [blob]
    assert list(s3.store.stored_before(SOON)) == []
    upload = s3.store.open_upload("risk", blob)
    assert upload.offset == 2 * PART_BYTES
    upload.append(data[upload.offset :])
    upload.finish()
    assert read(s3.store, blob) == data


def test_what_is_uploaded_elsewhere_is_nobody_elses(memory, make_blob):
    blob, data = make_blob(SIZE)
    with contextlib.closing(memory.store.open_upload("risk", blob)) as upload:
        upload.append(data[: PART_BYTES + 1])
    assert memory.store.open_upload("growth", blob).offset == 0
    assert memory.store.open_upload("risk", Blob(blob.digest, SIZE + 1)).offset == PART_BYTES

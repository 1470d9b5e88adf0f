"""A store that answers 503, loses connections, or gives back other bytes: retried, or told; never served."""

from __future__ import annotations

import contextlib
import time
from datetime import UTC, datetime, timedelta

import pytest

from carnet.errors import CarnetError, DataLossError, InvalidInputError, UnavailableError
from carnet_server.blobs.objects import connect as connect_module
from carnet_server.blobs.objects.names import PART_BYTES, index_path, single_path
from carnet_server.blobs.opening import open_store

SOON = datetime.now(UTC) + timedelta(hours=1)
SIZE = 3 * PART_BYTES + 5


@pytest.mark.parametrize("size", [10, SIZE])
@pytest.mark.parametrize("kind", ["status", "cut_request", "lose_answer"])
@pytest.mark.parametrize("method", ["PUT", "GET", "HEAD"])
def test_a_passing_fault_is_gone_by_the_next_try(faulty, make_blob, put, read, size, kind, method):
    blob, data = make_blob(size)
    fault = faulty.faults.add(kind, method=method, times=3 if kind == "status" else 1)
    put(faulty.store, blob, data)
    assert faulty.store.find_missing([blob]) == []
    assert read(faulty.store, blob) == data
    if method != "HEAD" or size == 10:
        assert fault.hits


@pytest.mark.parametrize("path", ["/000001-", "/indexes/"])
@pytest.mark.parametrize("kind", ["status", "cut_request", "lose_answer"])
def test_a_fault_at_a_part_or_the_index_is_gone_by_the_next_try(faulty, make_blob, put, read, path, kind):
    blob, data = make_blob(SIZE)
    faulty.faults.conditional = True
    fault = faulty.faults.add(kind, method="PUT", path=path, times=2 if kind == "status" else 1)
    put(faulty.store, blob, data)
    assert fault.hits == (2 if kind == "status" else 1)
    assert read(faulty.store, blob) == data
    assert faulty.store.discard_uploads(SOON) == 0


def test_a_lost_answer_to_a_conditional_put_is_not_another_writer(faulty, make_blob, put):
    faulty.faults.conditional = True
    blob, data = make_blob(10)
    faulty.faults.add("lose_answer", method="PUT", path=single_path(blob.digest))
    faulty.store.write_small("risk", [(blob.digest, data)])
    assert faulty.store.read_small(blob) == data


@pytest.mark.parametrize("size", [10, SIZE])
def test_a_store_that_keeps_failing_is_unavailable_in_bounded_time_and_nothing_is_visible(
    faulty, make_blob, put, size
):
    blob, data = make_blob(size)
    faulty.faults.add("status", method="PUT", times=1000)
    began = time.monotonic()
    with pytest.raises(UnavailableError, match="503 SlowDown"):
        put(faulty.store, blob, data)
    assert time.monotonic() - began < 20
    faulty.faults.clear()
    assert faulty.store.find_missing([blob]) == [blob]
    assert list(faulty.store.stored_before(SOON)) == []
    put(faulty.store, blob, data)
    assert faulty.store.find_missing([blob]) == []


@pytest.mark.parametrize("kind", ["cut_request", "status"])
def test_an_index_that_cannot_be_put_shows_nothing_and_the_upload_is_finished_later(
    faulty, make_blob, put, read, kind
):
    blob, data = make_blob(SIZE)
    faulty.faults.add(kind, method="PUT", path="/indexes/", times=1000)
    with pytest.raises(UnavailableError):
        put(faulty.store, blob, data)
    faulty.faults.clear()
    assert faulty.store.find_missing([blob]) == [blob]
    assert list(faulty.store.stored_before(SOON)) == []
    assert faulty.store.uploaded_bytes("risk", blob) == SIZE
    put(faulty.store, blob, data)
    assert read(faulty.store, blob) == data


@pytest.mark.parametrize("size", [10, SIZE])
def test_a_store_that_hangs_is_unavailable_in_bounded_time(faulty, make_blob, put, monkeypatch, size):
    monkeypatch.setattr(connect_module, "REQUEST_TIMEOUT", timedelta(seconds=0.3))
    monkeypatch.setattr(connect_module, "RETRIES", {**connect_module.RETRIES, "max_retries": 1})
    blob, data = make_blob(size)
    with contextlib.closing(open_store(faulty.url)) as impatient:
        faulty.faults.add("hang", method="PUT", times=1000)
        began = time.monotonic()
        with pytest.raises(UnavailableError, match="timed out"):
            put(impatient, blob, data)
        assert time.monotonic() - began < 10


def test_a_slow_answer_is_waited_for(faulty, make_blob, put, read):
    blob, data = make_blob(SIZE)
    faulty.faults.add("delay", seconds=0.2, times=4)
    put(faulty.store, blob, data)
    assert read(faulty.store, blob) == data


@pytest.mark.parametrize("size", [1000, SIZE])
@pytest.mark.parametrize("kind", ["flip", "truncate", "cut_response"])
def test_a_transfer_that_went_wrong_once_is_made_again(faulty, make_blob, put, read, size, kind):
    blob, data = make_blob(size)
    put(faulty.store, blob, data)
    for path in ("/parts/", "/indexes/") if size == SIZE else ("/blobs/",):
        fault = faulty.faults.add(kind, method="GET", path=path)
        assert read(faulty.store, blob) == data
        assert fault.hits == 1


@pytest.mark.parametrize("kind", ["flip", "truncate"])
def test_bytes_that_are_always_wrong_are_data_loss_and_none_is_served(faulty, make_blob, put, kind):
    small, data = make_blob(1000)
    large, more = make_blob(SIZE)
    put(faulty.store, small, data)
    put(faulty.store, large, more)
    faulty.faults.add(kind, method="GET", path="/blobs/", times=1000)
    part = faulty.faults.add(kind, method="GET", path="/000001-", times=1000)
    with pytest.raises(DataLossError, match=small.digest):
        faulty.store.read_small(small)
    with contextlib.closing(faulty.store.open_blob(large)) as reading:
        taken = b""
        with pytest.raises(DataLossError, match="part 1"):
            while (piece := reading.next_piece()) is not None:
                taken += piece.data
    assert taken == more[:PART_BYTES]
    assert part.hits == 2
    with contextlib.closing(faulty.store.open_blob(large, 2 * PART_BYTES)) as reading:
        assert reading.next_piece().data == more[2 * PART_BYTES :][:524288]
    faulty.faults.add(kind, method="GET", path="/indexes/", times=1000)
    with pytest.raises(DataLossError, match="index"):
        faulty.store.open_blob(large)
    assert faulty.store.find_missing([large]) == [large]


def test_a_reading_that_the_store_fails_is_unavailable_and_not_data_loss(faulty, make_blob, put):
    blob, data = make_blob(SIZE)
    put(faulty.store, blob, data)
    with contextlib.closing(faulty.store.open_blob(blob)) as reading:
        faulty.faults.add("status", method="GET", times=1000)
        with pytest.raises(UnavailableError, match="503"):
            reading.next_piece()
    for ask in (
        lambda: faulty.store.open_blob(blob),
        lambda: faulty.store.find_missing([blob]),
        lambda: faulty.store.uploaded_bytes("risk", blob),
        lambda: faulty.store.discard_uploads(SOON),
        lambda: list(faulty.store.stored_before(SOON)),
        lambda: faulty.store.remove(blob.digest),
    ):
        with pytest.raises(UnavailableError, match="503"):
            ask()


def test_a_bucket_that_went_away_is_no_loss_of_what_it_held(faulty, make_blob, put):
    blob, data = make_blob(10)
    put(faulty.store, blob, data)
    faulty.faults.add("status", method="GET", status=404, code="NoSuchBucket", times=1000)
    with pytest.raises(UnavailableError, match="bucket"):
        faulty.store.read_small(blob)


def test_an_endpoint_that_knows_no_conditions_is_written_plainly(faulty, make_blob, put, read):
    blob, data = make_blob(SIZE)
    small, few = make_blob(10)
    faulty.faults.add("status", method="PUT", path="/indexes/", status=501, code="NotImplemented")
    put(faulty.store, blob, data)
    put(faulty.store, small, few)
    assert read(faulty.store, blob) == data
    assert read(faulty.store, small) == few
    assert faulty.faults.count("PUT", index_path(blob.digest)) == 2


def test_of_two_uploaders_one_puts_the_index_and_the_other_agrees(faulty, make_blob, put, read):
    """The other's index gets there between our last look and our put."""
    blob, data = make_blob(SIZE)
    faulty.faults.conditional = True
    others = open_store(faulty.url)
    done = []

    def meanwhile(method: str, path: str) -> None:
        if method == "PUT" and "/indexes/" in path and not done:
            done.append(path)
            put(others, blob, data, namespace="growth")

    faulty.faults.during = meanwhile
    put(faulty.store, blob, data)
    assert done
    assert faulty.index(blob).attempt.namespace == "growth"
    assert read(faulty.store, blob) == data
    assert others.discard_uploads(SOON) == 1
    others.close()


def test_a_small_blob_that_is_there_is_compared_and_not_written_again(faulty, make_blob):
    blob, data = make_blob(10)
    faulty.faults.conditional = True
    for _ in range(2):
        faulty.store.write_small("risk", [(blob.digest, data)])
    assert faulty.faults.count("PUT") == 2
    faulty.bucket.put(single_path(blob.digest), b"?" * 10)
    faulty.store.write_small("risk", [(blob.digest, data)])
    assert faulty.faults.count("PUT") == 4
    assert faulty.store.read_small(blob) == data


@pytest.mark.parametrize(
    ("method", "path"), [("PUT", "/probes/"), ("GET", "/probes/"), ("GET", "list-type"), ("POST", "?delete")]
)
def test_the_check_needs_every_right(faulty, method, path):
    faulty.store.check()
    faulty.faults.add("status", method=method, path=path, status=403, code="AccessDenied", times=1000)
    with pytest.raises(InvalidInputError, match="AccessDenied.*AWS_ACCESS_KEY_ID"):
        faulty.store.check()


def test_the_check_insists_on_reading_back_what_was_written(faulty):
    faulty.faults.add("flip", method="GET", path="/probes/")
    with pytest.raises(UnavailableError, match="does not give back"):
        faulty.store.check()


def with_environment(monkeypatch, **variables: str) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("changed", "variables", "kind", "words"),
    [
        (("s3://", "s3://other-"), None, InvalidInputError, "does not exist.*create the bucket"),
        (
            None,
            {"AWS_ACCESS_KEY_ID": "A" * 20, "AWS_SECRET_ACCESS_KEY": "very-secret"},
            InvalidInputError,
            "AWS_ACCESS",
        ),
        (("http://127.0.0.1:", "http://127.0.0.1:1&profile="), None, InvalidInputError, "pip install boto3"),
        (None, {"AWS_PROFILE": "team"}, InvalidInputError, "pip install boto3"),
        (("?", "?ca=/no/such.pem&"), None, InvalidInputError, "/no/such.pem cannot be read"),
        (("http://", "https://"), None, UnavailableError, "TLS"),
        (("endpoint=", "ca=/dev/null&endpoint="), None, InvalidInputError, "certificates"),
    ],
)
def test_what_cannot_be_used_is_refused_at_the_start(s3, monkeypatch, changed, variables, kind, words):
    url = s3.url.replace(*changed, 1) if changed else s3.url
    monkeypatch.setitem(__import__("sys").modules, "boto3", None)
    monkeypatch.setattr(connect_module, "RETRIES", {**connect_module.RETRIES, "max_retries": 0})
    if variables is not None:
        with_environment(monkeypatch, **variables)
    with pytest.raises(CarnetError, match=words) as caught:
        open_store(url).check()
    assert type(caught.value) is kind
    assert caught.value.message.startswith("blobs: ")
    assert caught.value.metadata == {"field": "blobs"}
    assert "very-secret" not in caught.value.message

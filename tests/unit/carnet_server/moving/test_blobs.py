"""Blobs moved from one store to another: all of them, verified, resumed inside a large one, damaged ones named."""

from __future__ import annotations

import contextlib
import itertools
import random
import shutil
import threading
from pathlib import Path

import pytest

from carnet.canonical import sha256_hex
from carnet.errors import ConflictError, InvalidInputError, StorageFullError, UnavailableError
from carnet_server.blobs.directory.upload import Upload
from carnet_server.blobs.domain import Blob
from carnet_server.blobs.opening import open_store
from carnet_server.moving import blobs as blobs_module
from carnet_server.moving.blobs import NAMESPACE, BlobsMove
from carnet_server.moving.pairs import parse_pairs
from tests.support.backends import bucket_folder, bucket_url, s3_environment

PART = 8 << 20
SIZES = [0, 1, 700, 5_000, 300_000, PART, PART + 1, 2 * PART + 12345]


@pytest.fixture
def make_url(tmp_path, monkeypatch):
    """Makes URLs of fresh, empty places for blobs."""
    numbers, made = itertools.count(1), []

    def make(kind: str) -> str:
        if kind == "directory":
            return f"file:{tmp_path}/{next(numbers)}"
        for name, value in s3_environment().items():
            monkeypatch.setenv(name, value)
        made.append(bucket_url())
        return made[-1]

    yield make
    for url in made:
        shutil.rmtree(bucket_folder(url), ignore_errors=True)


@contextlib.contextmanager
def opened(url):
    store = open_store(url)
    try:
        yield store
    finally:
        store.close()


def put(url: str, *sizes: int, seed: int = 0) -> dict[str, bytes]:
    """Store blobs of these sizes; returns them by their digests."""
    made = {}
    with opened(url) as store:
        for number, size in enumerate(sizes):
            data = random.Random(f"{seed}/{number}").randbytes(size)
            made[sha256_hex(data)] = data
            with contextlib.closing(store.open_upload("risk", Blob(sha256_hex(data), size))) as upload:
                upload.append(data)
                upload.finish()
    return made


def contents(url: str, wanted: dict[str, bytes]) -> dict[str, bytes]:
    with opened(url) as store:
        return {digest: store.read_small(Blob(digest, len(data))) for digest, data in wanted.items()}


class Told:
    """Progress: what was told of each stage, in order."""

    def __init__(self, on_copying=lambda reached: None):
        self.stages: dict[str, list[tuple[int, int]]] = {}
        self._on_copying = on_copying

    @contextlib.contextmanager
    def __call__(self, unit: str):
        def progress(stage: str, done: int, total: int) -> None:
            self.stages.setdefault(stage, []).append((done, total))
            if stage == "copying":
                self._on_copying(done)

        yield progress


def move(source: str, target: str, told=None):
    (pair,) = parse_pairs([source], [target], Path("/"))
    with BlobsMove(pair) as moving:
        return moving.run(shown=told or Told())


class InterruptedMoveError(Exception):
    pass


def interrupt_at(size_bytes: int):
    def check(reached: int) -> None:
        if reached >= size_bytes:
            raise InterruptedMoveError

    return Told(check)


@pytest.mark.parametrize(
    ("start", "end"), [("directory", "directory"), ("directory", "s3"), ("s3", "directory"), ("s3", "s3")]
)
def test_every_blob_arrives_whole(make_url, start, end):
    source, target = make_url(start), make_url(end)
    blobs = put(source, *SIZES)
    told = Told()
    moved = move(source, target, told)
    assert contents(target, blobs) == blobs
    assert (moved.blobs, moved.copied_blobs, moved.damaged) == (len(SIZES), len(SIZES), ())
    assert moved.size_bytes == moved.copied_bytes == sum(SIZES)
    assert told.stages["looking"][-1] == (len(SIZES), len(SIZES))
    assert told.stages["copying"][-1] == (sum(SIZES), sum(SIZES))

    again = move(source, target)
    assert (again.blobs, again.copied_blobs, again.copied_bytes) == (len(SIZES), 0, 0)


def test_many_small_blobs_go_in_batches(make_url, monkeypatch):
    monkeypatch.setattr(blobs_module, "MAX_BATCH_BLOBS", 7)
    monkeypatch.setattr(blobs_module, "PAGE_BLOBS", 10)
    source, target = make_url("directory"), make_url("directory")
    blobs = put(source, *range(50))
    moved = move(source, target)
    assert moved.copied_blobs == 50
    assert contents(target, blobs) == blobs


def test_an_empty_store_is_moved(make_url):
    source, target = make_url("directory"), make_url("directory")
    put(source)
    assert move(source, target).blobs == 0


@pytest.mark.parametrize("end", ["directory", "s3"])
def test_an_interrupted_move_goes_on_inside_a_large_blob(make_url, end):
    source, target = make_url("directory"), make_url(end)
    blobs = put(source, 4 * PART)
    (digest,) = blobs
    with pytest.raises(InterruptedMoveError):
        move(source, target, interrupt_at(2 * PART + PART // 2))
    with opened(target) as store:
        assert store.find_missing([Blob(digest, 4 * PART)])
        held = store.uploaded_bytes(NAMESPACE, Blob(digest, 4 * PART))
    assert held >= 2 * PART
    moved = move(source, target)
    assert moved.copied_blobs == 1
    assert moved.copied_bytes == 4 * PART - held
    assert contents(target, blobs) == blobs


def test_an_interrupted_move_skips_what_has_arrived(make_url, monkeypatch):
    monkeypatch.setattr(blobs_module, "COPIES_AT_ONCE", 1)
    source, target = make_url("directory"), make_url("directory")
    blobs = put(source, *[500_000] * 6)
    with pytest.raises(InterruptedMoveError):
        move(source, target, interrupt_at(1_500_000))
    moved = move(source, target)
    assert moved.blobs == 6
    assert 1 <= moved.copied_blobs <= 4
    assert contents(target, blobs) == blobs


def test_what_an_earlier_run_left_is_not_believed(make_url, tmp_path):
    source, target = make_url("directory"), make_url("directory")
    blobs = put(source, 3_000_000)
    (digest,) = blobs
    with (
        opened(target) as store,
        contextlib.closing(store.open_upload(NAMESPACE, Blob(digest, 3_000_000))) as upload,
    ):
        upload.append(b"x" * 1_000_000)
    moved = move(source, target)
    assert moved.damaged == ()
    assert contents(target, blobs) == blobs


@pytest.mark.parametrize("start", ["directory", "s3"])
@pytest.mark.parametrize("size", [0, 3_000, 600_000, PART + 100])
def test_a_damaged_blob_is_named_and_the_rest_goes_on(make_url, start, size):
    source, target = make_url(start), make_url("directory")
    good = put(source, 10, 400_000, PART + 5)
    (bad,) = put(source, size, seed=1)
    damage(source, bad)
    moved = move(source, target)
    assert moved.damaged == (bad,)
    assert (moved.blobs, moved.copied_blobs) == (4, 3)
    assert moved.size_bytes == sum(map(len, good.values()))
    assert contents(target, good) == good
    with opened(target) as store:
        assert store.find(bad) is None


def damage(url: str, digest: str) -> None:
    """Flip a byte of what is stored of a blob; put one into an empty one."""
    root = Path(url.removeprefix("file:")) if url.startswith("file:") else bucket_folder(url)
    single = root / "blobs" / "sha256" / digest[:2] / digest[2:]
    paths = [single] if single.exists() else sorted(root.glob(f"parts/*/{digest}/*/*"))
    data = bytearray(paths[0].read_bytes()) or bytearray(b"x")
    data[-1] ^= 1
    paths[0].chmod(0o600)
    paths[0].write_bytes(data)


def test_a_damaged_half_of_a_large_blob_is_found_where_the_move_goes_on_behind_it(make_url):
    source, target = make_url("directory"), make_url("directory")
    (digest,) = put(source, 3_000_000)
    damage(source, digest)
    with pytest.raises(InterruptedMoveError):
        move(source, target, interrupt_at(1_000_000))
    assert move(source, target).damaged == (digest,)
    with opened(target) as store:
        assert store.find(digest) is None


@pytest.mark.parametrize("end", ["directory", "s3"])
def test_a_target_with_blobs_of_another_source_is_refused(make_url, end):
    source, target = make_url("directory"), make_url(end)
    put(source, 5)
    (theirs,) = put(target, 6, seed=1)
    with pytest.raises(
        InvalidInputError, match=f"^--to .*something else in it: blob {theirs}.*name an empty place"
    ):
        move(source, target)


def test_a_folder_with_anything_else_in_it_is_refused_and_left_alone(make_url, tmp_path):
    source = make_url("directory")
    put(source, 5)
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "notes.txt").touch()
    with pytest.raises(InvalidInputError, match=r"^--to .*something else in it \(notes.txt\)"):
        move(source, f"file:{folder}")
    assert [each.name for each in folder.iterdir()] == ["notes.txt"]


def test_a_file_is_no_folder(make_url, tmp_path):
    source = make_url("directory")
    put(source, 5)
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInputError, match="^--to .*Not a directory"):
        move(source, f"file:{tmp_path}/file")


@pytest.mark.parametrize("exists", [True, False])
def test_a_source_without_a_store_is_refused_and_none_is_made(make_url, tmp_path, exists):
    if exists:
        (tmp_path / "source").mkdir()
    with pytest.raises(InvalidInputError, match="^--from .*there is no store of blobs"):
        move(f"file:{tmp_path}/source", make_url("directory"))
    assert not (tmp_path / "1").exists()
    assert not (tmp_path / "source" / "blobs").exists()


def test_a_bucket_that_is_not_there_is_refused(make_url):
    source = make_url("directory")
    put(source, 5)
    missing = make_url("s3").replace("s3://test-", "s3://nobodys-")
    with pytest.raises((InvalidInputError, UnavailableError), match="^--to s3://nobodys-"):
        move(source, missing)
    with pytest.raises((InvalidInputError, UnavailableError), match="^--from s3://nobodys-"):
        move(missing, make_url("directory"))


def test_a_full_target_ends_the_move(make_url, monkeypatch):
    source, target = make_url("directory"), make_url("directory")
    put(source, *[400_000] * 10)

    def full(*_):
        raise StorageFullError("the disk is full")

    monkeypatch.setattr(Upload, "append", full)
    with pytest.raises(StorageFullError, match="^--to file:.*: the disk is full"):
        move(source, target)
    monkeypatch.undo()
    assert move(source, target).copied_blobs == 10


def test_two_moves_at_once_do_not_mix_their_bytes(make_url):
    source, target = make_url("directory"), make_url("directory")
    blobs = put(source, 20_000_000)
    reached, go_on = threading.Event(), threading.Event()

    def hold(done: int) -> None:
        if done > 1_000_000:
            reached.set()
            go_on.wait(30)

    first = threading.Thread(target=move, args=(source, target, Told(hold)))
    first.start()
    try:
        assert reached.wait(30)
        with pytest.raises(ConflictError, match="^--to "):
            move(source, target)
    finally:
        go_on.set()
        first.join()
    assert contents(target, blobs) == blobs

from __future__ import annotations

import os

import pytest

from carnet.bundle.files import CHUNK_BYTES, file_size, hash_file, list_files, open_file
from carnet.canonical import sha256_hex
from carnet.errors import FileUnreadableError, PathRefusedError


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES])
def test_size_and_digest_are_those_of_the_bytes(tmp_path, size: int) -> None:
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    (tmp_path / "a").write_bytes(data)
    pieces: list[int] = []

    assert hash_file(tmp_path, "a", on_bytes=pieces.append) == (size, sha256_hex(data))
    assert sum(pieces) == size
    assert all(piece <= CHUNK_BYTES for piece in pieces)
    assert file_size(tmp_path, "a") == size


def make_link(tmp_path) -> str:
    (tmp_path / "real").write_text("x")
    (tmp_path / "a").symlink_to("real")
    return "a"


def make_link_outside(tmp_path) -> str:
    (tmp_path / "a").symlink_to("/etc/passwd")
    return "a"


def make_broken_link(tmp_path) -> str:
    (tmp_path / "a").symlink_to("nothing")
    return "a"


def make_linked_folder(tmp_path) -> str:
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "real" / "deep" / "a").write_text("x")
    (tmp_path / "folder").symlink_to("real")
    return "folder/deep/a"


def make_folder(tmp_path) -> str:
    (tmp_path / "a").mkdir()
    return "a"


def make_pipe(tmp_path) -> str:
    os.mkfifo(tmp_path / "a")
    return "a"


@pytest.mark.parametrize(
    "make", [make_link, make_link_outside, make_broken_link, make_linked_folder, make_folder, make_pipe]
)
def test_what_is_no_regular_file_is_refused_and_named(tmp_path, make) -> None:
    path = make(tmp_path)

    with pytest.raises(PathRefusedError, match=path.split("/")[0]):
        open_file(tmp_path, path)


def test_the_root_may_be_reached_through_a_symlink(tmp_path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a").write_text("x")
    (tmp_path / "root").symlink_to("real")

    assert hash_file(tmp_path / "root", "a") == (1, sha256_hex(b"x"))


@pytest.mark.parametrize("path", ["nothing", "no/thing", "file/inside"])
def test_a_missing_file_is_named(tmp_path, path: str) -> None:
    (tmp_path / "file").write_text("x")

    with pytest.raises(FileUnreadableError, match=path):
        hash_file(tmp_path, path)


def test_a_missing_root_is_named(tmp_path) -> None:
    with pytest.raises(FileUnreadableError, match="nowhere"):
        hash_file(tmp_path / "nowhere", "a")
    with pytest.raises(FileUnreadableError, match="nowhere"):
        list_files(tmp_path / "nowhere")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_is_named(tmp_path) -> None:
    (tmp_path / "a").write_text("x")
    (tmp_path / "a").chmod(0)

    with pytest.raises(FileUnreadableError, match="a cannot be read"):
        hash_file(tmp_path, "a")


def test_no_descriptor_is_left_open(tmp_path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a").write_text("x")
    make_link_outside(tmp_path)
    before = os.dup(0)
    os.close(before)

    for path in ["folder/a", "folder/nothing", "a", "folder"]:
        try:
            hash_file(tmp_path, path)
        except (FileUnreadableError, PathRefusedError):
            continue

    # The lowest free number is given out next: a higher one would mean that a lower is still taken.
    after = os.dup(0)
    os.close(after)
    assert after == before


def test_all_files_are_listed_in_order_and_empty_folders_are_not(tmp_path) -> None:
    for path in ["b", "a/z", "a/b/c", ".hidden"]:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("x")
    (tmp_path / "empty").mkdir()

    assert list_files(tmp_path) == [".hidden", "a/b/c", "a/z", "b"]


@pytest.mark.parametrize(
    "make", [make_link, make_link_outside, make_broken_link, make_linked_folder, make_pipe]
)
def test_listing_refuses_what_is_neither_file_nor_folder(tmp_path, make) -> None:
    make(tmp_path)

    with pytest.raises(PathRefusedError):
        list_files(tmp_path)

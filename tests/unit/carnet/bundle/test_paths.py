from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.bundle.paths import check_path, check_paths
from carnet.errors import PathRefusedError

GOOD = [
    "a",
    "model.bin",
    "a/b/c",
    "...",
    "..a",
    "a b",
    "é/ü.txt",
    "模型.bin",
    ".hidden",
    "git",
    "x.git",
    "a" * 255,
]
BAD = {
    "empty": "",
    "absolute": "/a",
    "parent": "..",
    "climbing": "a/../b",
    "climbing at the end": "a/..",
    "dot": ".",
    "dot inside": "a/./b",
    "empty part": "a//b",
    "trailing slash": "a/",
    "backslash": "a\\b",
    "drive": "C:\\a",
    "NUL": "a\0b",
    "newline": "a\nb",
    "escape": "a\x1bb",
    "delete": "a\x7f",
    "C1 control": "a\x85",
    "line separator": "a\u2028b",
    "right-to-left override": "a\u202egpj.exe",
    "zero-width joiner in .git": ".g\u200cit/config",
    "surrogate": "a\udcff",
    "git": ".git/config",
    "git upper case": ".GIT/config",
    "gitignore": "a/.gitignore",
    "long part": "a" * 256,
    "long part in bytes": "é" * 128,
    "long": "/".join(["abcdefg"] * 129),
}


@pytest.mark.parametrize("path", GOOD)
def test_ordinary_paths_are_taken(path: str) -> None:
    assert check_path(path) == path
    check_paths([path])


@pytest.mark.parametrize("name", BAD)
def test_paths_that_mean_something_else_somewhere_are_refused(name: str) -> None:
    with pytest.raises(PathRefusedError):
        check_path(BAD[name])
    with pytest.raises(PathRefusedError):
        check_paths(["ok", BAD[name]])


def test_the_longest_path_is_taken_and_one_byte_more_is_not() -> None:
    longest = "/".join(["abcdefg"] * 128)
    assert len(longest) == 1023

    check_path(longest + "h")
    with pytest.raises(PathRefusedError):
        check_path(longest + "hh")


COLLIDING = {
    "the same": ["a", "a"],
    "case": ["Model.bin", "model.bin"],
    "case of a folder": ["Data/a", "data/b"],
    "case of a folder and a file": ["Data", "data/b"],
    "sharp s": ["straße", "STRASSE"],
    "composed and decomposed": ["é", unicodedata.normalize("NFD", "é")],
    "file and folder": ["a", "a/b"],
    "folder and file": ["a/b", "a"],
    "file and folder further down": ["x/a", "y", "x/a/b/c"],
    "the manifest": ["manifest.json"],
    "the manifest in capitals": ["Manifest.JSON"],
    "the signature": ["model.sig"],
    "a folder named as the manifest's file": ["ok", "MODEL.SIG"],
}


@pytest.mark.parametrize("name", COLLIDING)
def test_paths_that_meet_are_refused(name: str) -> None:
    for path in COLLIDING[name]:
        check_path(path)
    with pytest.raises(PathRefusedError):
        check_paths(COLLIDING[name])


def test_reserved_names_are_free_below_the_root() -> None:
    check_paths(["a/manifest.json", "a/model.sig", "b/manifest.json"])


def test_many_files_in_one_folder_are_taken() -> None:
    check_paths(f"folder/part-{number}" for number in range(5000))


@given(st.lists(st.text(alphabet="aAbBéÉ/.", min_size=1, max_size=6), max_size=6))
def test_paths_that_are_taken_together_stay_apart_when_case_and_form_are_lost(paths: list[str]) -> None:
    try:
        check_paths(paths)
    except PathRefusedError:
        return
    lost = {unicodedata.normalize("NFD", path).casefold() for path in paths}
    assert len(lost) == len(paths)
    assert not any(first != second and second.startswith(first + "/") for first in lost for second in lost)


@given(st.text(max_size=30))
def test_any_text_is_taken_or_refused_with_our_error(path: str) -> None:
    try:
        check_path(path)
    except PathRefusedError as error:
        error.message.encode()

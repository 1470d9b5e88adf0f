from __future__ import annotations

import json

import pytest

from carnet.errors import (
    CarnetError,
    DocumentInvalidError,
    FileUnreadableError,
    PathRefusedError,
    ReferenceInvalidError,
)
from carnet.importing.layout import read_store
from tests.support.folder_registry import (
    change_manifest,
    make_folder_store,
    make_folder_version,
    point,
    write_json,
)


@pytest.fixture
def store(tmp_path):
    return make_folder_store(tmp_path / "store")


def test_versions_come_in_the_order_of_their_numbers_with_files_checksums_and_pointer(tmp_path):
    found = read_store(make_folder_store(tmp_path / "store", versions=11, current=10, previous=9))

    assert [version.name for version in found.versions] == [f"v{number}" for number in range(1, 12)]
    first = found.versions[0]
    stated = json.loads((first.root / "manifest.json").read_text())
    assert first.checksums == {
        "model.pkl": stated["model_sha256"],
        "preprocessor.pkl": stated["preprocessor_sha256"],
    }
    assert (found.current, found.previous) == (10, 9)
    assert [found.pointed(number) for number in (8, 9, 10)] == ["", "previous", "current"]


def test_a_store_in_which_nothing_was_live_has_no_pointer(tmp_path):
    store = make_folder_store(tmp_path / "store", current=0, previous=0)
    assert read_store(store).current == 0

    (store / "active_version.json").unlink()
    found = read_store(store)
    assert (found.current, found.previous, found.pointed(1)) == (0, 0, "")


def test_what_is_hidden_or_a_plain_file_beside_the_versions_is_left_alone(store):
    (store / ".git").mkdir()
    (store / "README.md").write_text("ours")

    assert len(read_store(store).versions) == 3


def test_a_store_from_which_versions_were_purged_is_taken_if_gaps_are(tmp_path):
    store = tmp_path / "store"
    for number in (2, 5):
        make_folder_version(store, number)
    point(store, 5, 4)

    found = read_store(store, gaps=True)

    assert [version.number for version in found.versions] == [2, 5]
    assert (found.current, found.previous) == (5, 0)
    with pytest.raises(DocumentInvalidError, match="v1, v3, v4") as caught:
        read_store(store)
    assert caught.value.metadata["missing"] == "v1, v3, v4"


def _symlinked(path, to):
    path.unlink()
    path.symlink_to(to)


def _symlinked_folder(store):
    (store / "v3").rename(store.parent / "elsewhere")
    (store / "v3").symlink_to(store.parent / "elsewhere")


BAD = {
    "no manifest": (
        lambda store: (store / "v2" / "manifest.json").unlink(),
        FileUnreadableError,
        "manifest.json",
    ),
    "a manifest that is no JSON": (
        lambda store: (store / "v2" / "manifest.json").write_text("{"),
        DocumentInvalidError,
        "v2/manifest.json is not well-formed JSON",
    ),
    "a manifest that is a list": (
        lambda store: write_json(store / "v2" / "manifest.json", []),
        DocumentInvalidError,
        "not a JSON object",
    ),
    "a manifest over a megabyte": (
        lambda store: change_manifest(store / "v2", metadata={"text": "x" * (1 << 20)}),
        DocumentInvalidError,
        "at most",
    ),
    "a manifest of another version": (
        lambda store: change_manifest(store / "v2", version="v9"),
        DocumentInvalidError,
        "version: is 'v9'",
    ),
    "no version": (
        lambda store: change_manifest(store / "v2", version=None),
        DocumentInvalidError,
        "version",
    ),
    "no time": (
        lambda store: change_manifest(store / "v2", registered_at=None),
        DocumentInvalidError,
        "registered_at",
    ),
    "a time without a zone": (
        lambda store: change_manifest(store / "v2", registered_at="2026-05-01T08:05:47"),
        DocumentInvalidError,
        "registered_at",
    ),
    "an unknown status": (
        lambda store: change_manifest(store / "v2", status="live"),
        DocumentInvalidError,
        "status",
    ),
    "a metric that is NaN": (
        lambda store: change_manifest(store / "v2", metrics={"roc_auc": float("nan")}),
        DocumentInvalidError,
        "NaN",
    ),
    "a metric that is text": (
        lambda store: change_manifest(store / "v2", metrics={"roc_auc": "high"}),
        DocumentInvalidError,
        "metrics",
    ),
    "no checksums": (
        lambda store: change_manifest(store / "v2", model_sha256=None, preprocessor_sha256=None),
        DocumentInvalidError,
        "no checksums",
    ),
    "a file without a checksum": (
        lambda store: change_manifest(store / "v2", preprocessor_sha256=None),
        DocumentInvalidError,
        "v2/preprocessor.pkl has no checksum",
    ),
    "a checksum that is cut off": (
        lambda store: change_manifest(store / "v2", model_sha256="a3f1b2"),
        DocumentInvalidError,
        "model_sha256",
    ),
    "a checksum that is a number": (
        lambda store: change_manifest(store / "v2", model_sha256=7),
        DocumentInvalidError,
        "model_sha256",
    ),
    "a checksum that climbs out": (
        lambda store: change_manifest(store / "v2", **{"../v1/model_sha256": "0" * 64}),
        PathRefusedError,
        r"\.\./v1/model_sha256",
    ),
    "a checksum without a file": (
        lambda store: (store / "v2" / "preprocessor.pkl").unlink(),
        FileUnreadableError,
        "preprocessor is missing",
    ),
    "a checksum for two files": (
        lambda store: (store / "v2" / "model.pt").write_bytes(b"?"),
        DocumentInvalidError,
        "model.pkl and model.pt|model.pt and model.pkl",
    ),
    "a file in a folder of a version": (
        lambda store: (
            (store / "v2" / "more").mkdir(),
            (store / "v2" / "more" / "model.pkl").write_bytes(b"?"),
        ),
        DocumentInvalidError,
        "more/model.pkl has no checksum",
    ),
    "an artifact that is a symlink": (
        lambda store: _symlinked(store / "v2" / "model.pkl", store / "v1" / "model.pkl"),
        PathRefusedError,
        "symlink",
    ),
    "a manifest that is a symlink": (
        lambda store: _symlinked(store / "v2" / "manifest.json", store / "v1" / "manifest.json"),
        PathRefusedError,
        "symlink",
    ),
    "a version that is a symlink": (_symlinked_folder, PathRefusedError, "v3 is a symlink"),
    "a pointer that is a symlink": (
        lambda store: _symlinked(store / "active_version.json", store / "v1" / "manifest.json"),
        PathRefusedError,
        "symlink",
    ),
    "a version that is not a number": (
        lambda store: (store / "vlatest").mkdir(),
        DocumentInvalidError,
        "vlatest is no version",
    ),
    "a version with a leading zero": (
        lambda store: (store / "v04").mkdir(),
        DocumentInvalidError,
        "v04 is no version",
    ),
    "a version that is a file": (
        lambda store: (store / "v4").write_text("?"),
        DocumentInvalidError,
        "v4 is no version",
    ),
    "a version beyond what a number can be": (
        lambda store: (store / "v99999999999").mkdir(),
        ReferenceInvalidError,
        "99999999999",
    ),
    "a gap": (lambda store: make_folder_version(store, 5), DocumentInvalidError, "v4"),
    "a gap of millions": (
        lambda store: make_folder_version(store, 2_000_000_000, registered_at="2026-05-01T08:05:47Z"),
        DocumentInvalidError,
        "v4, v5",
    ),
    "a pointer that is no JSON": (
        lambda store: (store / "active_version.json").write_text("v2"),
        DocumentInvalidError,
        "active_version.json is not well-formed JSON",
    ),
    "a pointer with other fields": (
        lambda store: write_json(store / "active_version.json", {"live": "v2"}),
        DocumentInvalidError,
        "live",
    ),
    "a pointer to what is not there": (
        lambda store: point(store, 7, 1),
        DocumentInvalidError,
        "current: 'v7' is not a version that is there",
    ),
    "a previous pointer to what is not there": (
        lambda store: point(store, 2, 7),
        DocumentInvalidError,
        "previous: 'v7'",
    ),
    "a pointer that climbs out": (
        lambda store: write_json(store / "active_version.json", {"current": "../v1", "previous": None}),
        DocumentInvalidError,
        r"current: '\.\./v1'",
    ),
}


@pytest.mark.parametrize(("spoil", "family", "message"), BAD.values(), ids=BAD)
def test_what_breaks_the_layout_is_refused_with_its_name(store, spoil, family, message):
    spoil(store)

    with pytest.raises(CarnetError, match=message) as caught:
        read_store(store)

    assert type(caught.value) is family


@pytest.mark.parametrize(
    "make", [lambda path: None, lambda path: path.write_text("?"), lambda path: path.mkdir()]
)
def test_a_store_that_is_missing_or_a_file_or_empty_is_refused(tmp_path, make):
    make(tmp_path / "store")

    with pytest.raises(FileUnreadableError, match="store"):
        read_store(tmp_path / "store")

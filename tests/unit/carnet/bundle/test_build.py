from __future__ import annotations

import json

import pytest

from carnet.bundle import build
from carnet.bundle.build import build_manifest
from carnet.bundle.document import BundleDocument
from carnet.bundle.manifest import Manifest, parse_manifest
from carnet.canonical import sha256_hex
from carnet.errors import DocumentInvalidError, FileUnreadableError, PathRefusedError
from tests.support.bundles import make_bundle_directory, make_document


def document_of(**arguments) -> BundleDocument:
    return BundleDocument.model_validate_json(json.dumps(make_document(**arguments)))


def manifest_of(document: BundleDocument, root, **arguments) -> Manifest:
    fields = {"home": "dev", "namespace": "risk", "model": "fraud", "version": 3}
    return build_manifest(document, root, **(fields | arguments))


def test_the_manifest_names_every_file_with_its_size_and_digest(tmp_path) -> None:
    folder = make_bundle_directory(tmp_path, files=4)

    manifest = manifest_of(document_of(files=4), folder)

    assert [file.path for file in manifest.files] == [
        "model.bin",
        "parts/1.bin",
        "parts/2.bin",
        "parts/3.bin",
    ]
    for file in manifest.files:
        data = (folder / file.path).read_bytes()
        assert (file.size_bytes, file.digest) == (len(data), sha256_hex(data))
    assert parse_manifest(manifest.to_bytes()) == manifest
    assert manifest.subject_name == "dev/risk/fraud@3"
    assert manifest.owner == "risk-team"


def test_the_order_in_the_document_does_not_matter(tmp_path) -> None:
    folder = make_bundle_directory(tmp_path, files=3)
    document = document_of(files=3)
    turned = document.model_copy(update={"files": document.files[::-1]})

    assert turned != document
    assert manifest_of(turned, folder).to_bytes() == manifest_of(document, folder).to_bytes()


def test_the_same_content_has_the_same_digest_anywhere(tmp_path) -> None:
    folders = [make_bundle_directory(tmp_path / name) for name in ("a", "b")]

    digests = {manifest_of(document_of(), folder).digest for folder in folders}

    assert len(digests) == 1


def test_files_that_are_not_named_are_left_out(tmp_path) -> None:
    folder = make_bundle_directory(tmp_path)
    (folder / "notes.txt").write_text("x")

    assert "notes.txt" not in [file.path for file in manifest_of(document_of(), folder).files]


def test_the_number_of_the_call_counts_not_that_of_the_document(tmp_path) -> None:
    folder = make_bundle_directory(tmp_path)

    assert manifest_of(document_of(version=9), folder, version=4).version == 4


def test_progress_tells_bytes_done_of_all(tmp_path) -> None:
    folder = make_bundle_directory(tmp_path, files=3)
    told: list[tuple[int, int]] = []

    manifest = manifest_of(
        document_of(files=3), folder, progress=lambda done, total: told.append((done, total))
    )

    total = sum(file.size_bytes for file in manifest.files)
    assert told[-1] == (total, total)
    assert told == sorted(told)


def test_a_missing_file_is_named_before_anything_is_hashed(tmp_path) -> None:
    folder = make_bundle_directory(tmp_path, files=3)
    (folder / "parts" / "2.bin").unlink()
    told: list[int] = []

    with pytest.raises(FileUnreadableError, match=r"parts/2\.bin"):
        manifest_of(document_of(files=3), folder, progress=lambda done, total: told.append(done))
    assert told == []


def test_a_symlink_is_refused_and_named(tmp_path) -> None:
    folder = make_bundle_directory(tmp_path)
    (folder / "model.bin").rename(folder / "real.bin")
    (folder / "model.bin").symlink_to("real.bin")

    with pytest.raises(PathRefusedError, match=r"model\.bin"):
        manifest_of(document_of(), folder)


def test_a_file_that_grows_while_it_is_read_is_named(tmp_path, monkeypatch) -> None:
    folder = make_bundle_directory(tmp_path)
    real = build.file_size

    def size_before_growth(root, path):
        size = real(root, path)
        with (root / path).open("ab") as file:
            file.write(b"more")
        return size

    monkeypatch.setattr(build, "file_size", size_before_growth)

    with pytest.raises(FileUnreadableError, match=r"model\.bin changed while it was read"):
        manifest_of(document_of(), folder)


@pytest.mark.parametrize("fields", [{"home": "Dev"}, {"namespace": ""}, {"model": "a/b"}, {"version": 0}])
def test_a_name_that_is_none_is_refused(tmp_path, fields) -> None:
    folder = make_bundle_directory(tmp_path)

    with pytest.raises(DocumentInvalidError, match=next(iter(fields))):
        manifest_of(document_of(), folder, **fields)


def test_a_manifest_over_the_limit_is_refused(tmp_path) -> None:
    folder = make_bundle_directory(tmp_path)

    with pytest.raises(DocumentInvalidError, match="1048576"):
        manifest_of(document_of(caveats=["x" * 60_000] * 20), folder)

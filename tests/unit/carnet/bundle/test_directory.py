from __future__ import annotations

import errno
import json
import os

import pytest

from carnet.bundle import directory
from carnet.bundle.directory import verify_directory, write_metadata
from carnet.bundle.manifest import parse_manifest
from carnet.canonical import canonical_json, sha256_hex
from carnet.errors import (
    DigestMismatchError,
    FileUnreadableError,
    IntegrityError,
    KeyUntrustedError,
    StatementInvalidError,
    StorageFullError,
)
from carnet.signing.keys import SigningKey
from carnet.signing.model_signature import sign_model
from tests.support.bundles import make_signed_directory

KEY = SigningKey.generate()
KEYS = {KEY.key_id: KEY.verification_key}


@pytest.fixture
def folder(tmp_path):
    return make_signed_directory(tmp_path, KEY, files=3)


def test_a_folder_as_written_verifies(folder) -> None:
    told: list[int] = []

    verified = verify_directory(folder, KEYS, progress=told.append)

    data = (folder / "manifest.json").read_bytes()
    assert verified.manifest == parse_manifest(data)
    assert verified.digest == sha256_hex(data)
    assert verified.key_id == KEY.key_id
    assert sum(told) == sum(file.size_bytes for file in verified.manifest.files)


def flip(path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def grow(folder) -> None:
    with (folder / "model.bin").open("ab") as file:
        file.write(b"x")


def replace_by_link(folder) -> None:
    (folder.parent / "elsewhere").write_bytes((folder / "model.bin").read_bytes())
    (folder / "model.bin").unlink()
    (folder / "model.bin").symlink_to(folder.parent / "elsewhere")


def replace_by_folder(folder) -> None:
    (folder / "model.bin").unlink()
    (folder / "model.bin").mkdir()


TAMPER = {
    "a byte of a file": (lambda folder: flip(folder / "parts" / "1.bin"), r"parts/1\.bin"),
    "a file longer": (grow, r"model\.bin"),
    "a file empty": (lambda folder: (folder / "model.bin").write_bytes(b""), r"model\.bin"),
    "a file gone": (lambda folder: (folder / "model.bin").unlink(), r"model\.bin' is missing"),
    "a file more": (lambda folder: (folder / "evil.py").write_text("x"), r"evil\.py"),
    "a hidden file more": (lambda folder: (folder / ".git").write_text("x"), r"\.git"),
    "a file more with a strange name": (lambda folder: (folder / "a\nb").write_text("x"), r"a\\nb"),
    "a file renamed": (lambda folder: (folder / "model.bin").rename(folder / "Model.bin"), r"model\.bin"),
    "a link for a file": (replace_by_link, r"model\.bin"),
    "a folder for a file": (replace_by_folder, r"model\.bin"),
    "a link more": (lambda folder: (folder / "more").symlink_to("model.bin"), "more"),
    "a pipe more": (lambda folder: os.mkfifo(folder / "pipe"), "pipe"),
    "a byte of the manifest": (lambda folder: flip(folder / "manifest.json"), r"manifest\.json"),
    "the manifest empty": (lambda folder: (folder / "manifest.json").write_bytes(b""), r"manifest\.json"),
    "the manifest gone": (lambda folder: (folder / "manifest.json").unlink(), r"manifest\.json"),
    "the manifest huge": (
        lambda folder: (folder / "manifest.json").write_bytes(b" " * 2_000_000),
        r"manifest\.json",
    ),
    "a byte of the signature": (lambda folder: flip(folder / "model.sig"), "signature"),
    "the signature empty": (lambda folder: (folder / "model.sig").write_bytes(b""), "signature"),
    "the signature gone": (lambda folder: (folder / "model.sig").unlink(), r"model\.sig"),
    "the signature huge": (
        lambda folder: (folder / "model.sig").write_bytes(b" " * 5_000_000),
        r"model\.sig",
    ),
}


@pytest.mark.parametrize("name", TAMPER)
def test_what_was_changed_is_found_and_named(name: str, folder) -> None:
    tamper, named = TAMPER[name]
    tamper(folder)

    with pytest.raises(IntegrityError, match=named):
        verify_directory(folder, KEYS)


def test_every_changed_byte_of_a_file_is_found(folder) -> None:
    path = folder / "model.bin"
    data = path.read_bytes()
    for at in range(0, len(data), 97):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x80]) + data[at + 1 :])
        with pytest.raises(DigestMismatchError):
            verify_directory(folder, KEYS)


def test_a_bundle_signed_by_somebody_else_is_refused(folder) -> None:
    other = SigningKey.generate()

    with pytest.raises(KeyUntrustedError):
        verify_directory(folder, {other.key_id: other.verification_key})
    with pytest.raises(KeyUntrustedError):
        verify_directory(folder, {})


def resign(folder, manifest: bytes, names: list[str]) -> None:
    covered = [(name, sha256_hex((folder / name).read_bytes())) for name in names]
    covered.append(("manifest.json", sha256_hex(manifest)))
    write_metadata(folder, manifest, sign_model("fraud", covered, KEY))


def test_a_well_signed_manifest_that_is_none_is_refused(folder) -> None:
    value = json.loads((folder / "manifest.json").read_bytes()) | {"version": 0}

    resign(folder, canonical_json(value), ["model.bin", "parts/1.bin", "parts/2.bin"])

    with pytest.raises(StatementInvalidError, match="version"):
        verify_directory(folder, KEYS)


def test_a_well_signed_file_that_the_manifest_does_not_name_is_refused(folder) -> None:
    (folder / "evil.py").write_text("x")

    resign(
        folder,
        (folder / "manifest.json").read_bytes(),
        ["model.bin", "parts/1.bin", "parts/2.bin", "evil.py"],
    )

    with pytest.raises(StatementInvalidError, match=r"evil\.py"):
        verify_directory(folder, KEYS)


def test_a_signature_without_the_manifest_is_refused(folder) -> None:
    names = ["model.bin", "parts/1.bin", "parts/2.bin"]
    covered = [(name, sha256_hex((folder / name).read_bytes())) for name in names]
    write_metadata(folder, (folder / "manifest.json").read_bytes(), sign_model("fraud", covered, KEY))

    with pytest.raises(IntegrityError, match=r"manifest\.json"):
        verify_directory(folder, KEYS)


def test_empty_folders_do_no_harm(folder) -> None:
    (folder / "empty").mkdir()

    assert verify_directory(folder, KEYS).key_id == KEY.key_id


def test_a_folder_that_is_no_bundle_is_said_to_be_none(tmp_path) -> None:
    with pytest.raises(FileUnreadableError, match="no bundle"):
        verify_directory(tmp_path, KEYS)
    with pytest.raises(FileUnreadableError, match="nowhere"):
        verify_directory(tmp_path / "nowhere", KEYS)


def test_metadata_is_replaced_and_readable_by_all(tmp_path) -> None:
    write_metadata(tmp_path, b"one", b"two")
    write_metadata(tmp_path, b"three", b"four")

    assert sorted(path.name for path in tmp_path.iterdir()) == ["manifest.json", "model.sig"]
    assert (tmp_path / "manifest.json").read_bytes() == b"three"
    assert (tmp_path / "model.sig").stat().st_mode & 0o777 == 0o644


def test_a_full_disk_is_said_to_be_full_and_nothing_is_left(tmp_path, monkeypatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(directory.os, "fsync", full)

    with pytest.raises(StorageFullError):
        write_metadata(tmp_path, b"one", b"two")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_named(tmp_path) -> None:
    with pytest.raises(FileUnreadableError, match="nowhere"):
        write_metadata(tmp_path / "nowhere", b"one", b"two")

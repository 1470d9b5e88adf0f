"""A pulled directory is a whole, verified bundle, or is not there."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from carnet import errors
from carnet.bundle.directory import verify_directory
from carnet.client import pulling
from carnet.client.federation import Federation
from tests.support.bundles import make_bundle_directory


async def test_what_was_pulled_verifies_by_itself(federation, client, fraud, tmp_path):
    told = []
    bundle = await client.pull(
        "dev/risk/fraud@1", tmp_path / "a" / "b", progress=lambda *each: told.append(each)
    )
    found = verify_directory(bundle.path, Federation.load(federation.folder).keys)
    assert found.digest == fraud.digest == bundle.bundle_digest
    assert not bundle.already_there
    total = sum(file.size_bytes for file in fraud.files)
    assert told[-1] == ("receiving", total, total)
    assert [each.name for each in bundle.path.parent.iterdir()] == ["b"]


async def test_a_registry_that_is_older_than_stamps_gives_none_and_the_client_says_so(
    client, fraud, tmp_path
):
    bundle = await client.pull("dev/risk/fraud@1", tmp_path / "fraud")
    assert (bundle.stamps, bundle.stamps_path) == (None, None)
    assert "older than stamps" in bundle.stamps_problem
    quiet = await client.pull("dev/risk/fraud@1", tmp_path / "other", stamps=False)
    assert quiet.stamps_problem == ""


async def test_a_directory_without_stamps_verifies_and_fails_only_where_they_are_asked_for(
    client, fraud, tmp_path
):
    bundle = await client.pull("dev/risk/fraud@1", tmp_path / "fraud")
    assert (await client.verify(bundle.path)).stamps is None
    with pytest.raises(errors.IntegrityError, match="no stamps"):
        await client.verify(bundle.path, require="dev")
    with pytest.raises(errors.FileUnreadableError):
        await client.verify(bundle.path, stamps=tmp_path / "nowhere")
    with pytest.raises(errors.InvalidInputError, match="in a registry"):
        await client.verify("dev/risk/fraud@1", require="dev")


async def test_pulling_again_changes_nothing(client, fraud, tmp_path):
    first = await client.pull("dev/risk/fraud@1", tmp_path / "fraud")
    stamp = (first.path / "model.bin").stat().st_mtime_ns
    second = await client.pull("dev/risk/fraud@1", tmp_path / "fraud")
    assert second.already_there
    assert (second.path / "model.bin").stat().st_mtime_ns == stamp


async def test_a_directory_that_is_something_else_is_left_alone(federation, client, fraud, tmp_path):
    federation.publish(tmp_path, seed=2, version=2)
    await client.pull("dev/risk/fraud@2", tmp_path / "second")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("precious")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("second", "mine", "empty", "file", "link"):
        with pytest.raises(errors.AlreadyExistsError, match="left alone"):
            await client.pull("dev/risk/fraud@1", tmp_path / name)
    assert (tmp_path / "mine" / "notes.txt").read_text() == "precious"
    assert (tmp_path / "file").read_text() == "precious"


async def test_a_pulled_bundle_that_was_changed_is_not_taken_for_it(client, fraud, tmp_path):
    bundle = await client.pull("dev/risk/fraud@1", tmp_path / "fraud")
    (bundle.path / "model.bin").write_bytes(b"other")
    with pytest.raises(errors.AlreadyExistsError):
        await client.pull("dev/risk/fraud@1", tmp_path / "fraud")


async def test_other_bytes_from_the_registry_leave_nothing_behind(federation, client, fraud, tmp_path):
    key = ("namespaces/risk", fraud.files[0].digest)
    federation.dev.blobs[key] = b"x" * fraud.files[0].size_bytes
    with pytest.raises(errors.DigestMismatchError):
        await client.pull("dev/risk/fraud@1", tmp_path / "out" / "fraud")
    assert list((tmp_path / "out").iterdir()) == []


async def test_a_full_disk_leaves_nothing_behind(client, fraud, tmp_path, monkeypatch):
    def no_space(self, target):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "rename", no_space)
    with pytest.raises(errors.StorageFullError):
        await client.pull("dev/risk/fraud@1", tmp_path / "out" / "fraud")
    assert list((tmp_path / "out").iterdir()) == []


async def test_a_directory_that_appears_meanwhile_is_left_alone(client, fraud, tmp_path, monkeypatch):
    write = pulling.write_metadata

    def somebody_is_quicker(staging, manifest, signature):
        write(staging, manifest, signature)
        (tmp_path / "fraud").mkdir()

    monkeypatch.setattr(pulling, "write_metadata", somebody_is_quicker)
    with pytest.raises(errors.AlreadyExistsError):
        await client.pull("dev/risk/fraud@1", tmp_path / "fraud")
    assert list((tmp_path / "fraud").iterdir()) == []


async def test_a_place_that_cannot_be_written_is_named(client, fraud, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.FileUnreadableError, match="cannot be written"):
        await client.pull("dev/risk/fraud@1", tmp_path / "file" / "below")


async def test_verifying_a_directory_and_a_version(federation, client, fraud, tmp_path):
    bundle = await client.pull("dev/risk/fraud@1", tmp_path / "fraud")
    local = await client.verify(bundle.path)
    remote = await client.verify("dev/risk/fraud@1")
    assert local.bundle_digest == remote.bundle_digest == fraud.digest
    assert local.receipt is None
    assert remote.receipt is not None
    assert remote.evidence_count == 1
    assert (await client.verify(str(bundle.path))).where == str(bundle.path)


async def test_verifying_a_damaged_directory_names_the_file(client, fraud, tmp_path):
    bundle = await client.pull("dev/risk/fraud@1", tmp_path / "fraud")
    path = bundle.path / fraud.files[1].path
    path.write_bytes(b"x" * path.stat().st_size)
    with pytest.raises(errors.DigestMismatchError, match=fraud.files[1].path):
        await client.verify(bundle.path)


async def test_verifying_a_version_hashes_what_the_registry_stores(federation, client, tmp_path):
    folder = make_bundle_directory(tmp_path)
    large = folder / "model.bin"
    large.write_bytes(b"m" * 1_000_000)
    await client.push("dev/risk/fraud", folder)
    assert (await client.verify("dev/risk/fraud@1")).size_bytes > 1_000_000
    for key, data in federation.dev.blobs.items():
        if len(data) == 1_000_000:
            federation.dev.blobs[key] = data[:-1] + b"n"
    with pytest.raises(errors.DigestMismatchError):
        await client.verify("dev/risk/fraud@1")
    for key, data in federation.dev.blobs.items():
        if len(data) == 1_000_000:
            federation.dev.blobs[key] = data[:-1]
    with pytest.raises(errors.DigestMismatchError, match="999999 bytes"):
        await client.verify("dev/risk/fraud@1")


async def test_what_is_neither_on_disk_nor_a_reference_says_both(client, tmp_path):
    with pytest.raises(errors.ReferenceInvalidError, match="nothing on this disk"):
        await client.verify(str(tmp_path / "nothing"))

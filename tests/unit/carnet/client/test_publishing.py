"""Publishing: hash, number, sign, send, publish."""

from __future__ import annotations

import pytest

from carnet import errors
from carnet.references import parse_reference
from tests.support.bundles import make_bundle_directory


async def test_a_push_publishes_what_a_pull_brings_back(federation, client, tmp_path):
    folder = make_bundle_directory(tmp_path, files=3)
    told = []
    result = await client.push(
        "dev/risk/fraud", folder, progress=lambda stage, done, total: told.append((stage, done == total))
    )
    assert result.reference == parse_reference("dev/risk/fraud@1")
    assert not result.already_published
    assert {("hashing", True), ("sending", True)} <= set(told)
    pulled = await client.pull("dev/risk/fraud@1", tmp_path / "pulled")
    assert pulled.bundle_digest == result.bundle_digest
    for path in ("model.bin", "parts/1.bin", "parts/2.bin"):
        assert (pulled.path / path).read_bytes() == (folder / path).read_bytes()


async def test_a_second_identical_push_says_so_and_sends_nothing(federation, client, tmp_path):
    folder = make_bundle_directory(tmp_path)
    first = await client.push("dev/risk/fraud", folder)
    federation.dev.calls.clear()
    second = await client.push("dev/risk/fraud", folder)
    assert second.already_published
    assert second.reference == first.reference
    assert second.bundle_digest == first.bundle_digest
    assert "BatchWriteBlobs" not in federation.dev.calls


async def test_the_next_content_gets_the_next_number(client, tmp_path):
    await client.push("dev/risk/fraud", make_bundle_directory(tmp_path, seed=1))
    second = await client.push("dev/risk/fraud", make_bundle_directory(tmp_path, seed=2))
    assert second.reference.version == 2


async def test_a_race_for_the_number_is_run_again(federation, client, tmp_path):
    federation.dev.conflicts_to_come = 4
    result = await client.push("dev/risk/fraud", make_bundle_directory(tmp_path))
    assert result.reference.version == 1
    assert federation.dev.calls.count("ProposeVersion") == 5
    assert federation.dev.calls.count("BatchWriteBlobs") == 1


async def test_a_race_that_is_lost_five_times_is_a_conflict(federation, client, tmp_path):
    federation.dev.conflicts_to_come = 5
    with pytest.raises(errors.ConflictError):
        await client.push("dev/risk/fraud", make_bundle_directory(tmp_path))


async def test_blobs_that_were_collected_under_a_push_are_sent_again(federation, client, tmp_path):
    federation.dev.collections_to_come = 2
    result = await client.push("dev/risk/fraud", make_bundle_directory(tmp_path))
    assert result.reference.version == 1
    assert federation.dev.calls.count("BatchWriteBlobs") == 3
    federation.dev.collections_to_come = 5
    with pytest.raises(errors.BlobsMissingError):
        await client.push("dev/risk/fraud", make_bundle_directory(tmp_path, seed=2))


async def test_a_number_that_was_asked_for_is_not_asked_again(federation, client, tmp_path):
    federation.dev.conflicts_to_come = 1
    with pytest.raises(errors.ConflictError):
        await client.push("dev/risk/fraud", make_bundle_directory(tmp_path), version=7)
    result = await client.push("dev/risk/fraud", make_bundle_directory(tmp_path), version=7)
    assert result.reference.version == 7
    assert "ProposeVersion" not in federation.dev.calls


async def test_the_documents_number_counts_and_its_file_may_be_elsewhere(client, tmp_path):
    folder = make_bundle_directory(tmp_path, version=4)
    elsewhere = tmp_path / "description.yaml"
    (folder / "carnet.yaml").rename(elsewhere)
    result = await client.push("dev/risk/fraud", folder, manifest_file=elsewhere)
    assert result.reference.version == 4


async def test_a_registry_that_publishes_something_else_is_caught(federation, client, tmp_path):
    def another(answer):
        answer.version.bundle_digest = "0" * 64

    federation.dev.lies["PublishVersion"] = another
    with pytest.raises(errors.DigestMismatchError, match="was sent the bundle"):
        await client.push("dev/risk/fraud", make_bundle_directory(tmp_path))


async def test_a_publication_without_a_receipt_is_not_believed(federation, client, tmp_path):
    def unproven(answer):
        answer.ClearField("receipt")

    federation.dev.lies["PublishVersion"] = unproven
    with pytest.raises(errors.ProofInvalidError):
        await client.push("dev/risk/fraud", make_bundle_directory(tmp_path))


async def test_bad_input_is_found_before_anything_is_sent(federation, client, tmp_path):
    folder = make_bundle_directory(tmp_path)
    cases = [
        ("dev/risk/fraud@1", folder, errors.ReferenceInvalidError),
        ("nowhere/risk/fraud", folder, errors.NotFoundError),
        ("dev/risk/fraud", tmp_path / "nothing", errors.FileUnreadableError),
        ("dev/risk/fraud", folder / "model.bin", errors.FileUnreadableError),
        ("dev/risk/fraud", folder / "parts", errors.FileUnreadableError),
    ]
    for reference, path, error in cases:
        with pytest.raises(error):
            await client.push(reference, path)
    (folder / "model.bin").unlink()
    with pytest.raises(errors.FileUnreadableError, match=r"model\.bin"):
        await client.push("dev/risk/fraud", folder)
    with pytest.raises(errors.ReferenceInvalidError):
        await client.push("dev/risk/fraud", make_bundle_directory(tmp_path), version=0)
    (folder / "carnet.yaml").write_text("owner: me\nfiles: {}\nmetrik: []\n")
    with pytest.raises(errors.DocumentInvalidError, match="carnet.yaml:3:1"):
        await client.push("dev/risk/fraud", folder)
    assert federation.dev.calls == []

"""What a reference resolves to is believed only with proof."""

from __future__ import annotations

import pytest

import carnet
from carnet import errors
from carnet.registry.v1 import models_pb2
from tests.unit.carnet.client.fake_federation import signing_key


async def test_resolving_a_number_gives_the_verified_version(client, fraud):
    found = await client.resolve("dev/risk/fraud@1")
    assert found.manifest == fraud
    assert found.bundle_digest == fraud.digest
    assert found.signer == "spiffe://carnet.internal/service/ci (alice)"
    assert found.alias is None
    assert found.receipt.entry.subject["bundle_digest"] == fraud.digest


async def test_resolving_an_alias_gives_the_receipt_of_its_last_move(client, fraud):
    await client.set_alias("dev/risk/fraud@champion", 1)
    found = await client.resolve("dev/risk/fraud@champion")
    assert found.alias.revision == 1
    assert str(found.reference) == "dev/risk/fraud@1"
    assert str(found.receipt.entry.type) == "alias.moved"


def _other_manifest(answer):
    answer.version.canonical_manifest += b" "


def _other_digest(answer):
    answer.version.bundle_digest = "0" * 64


def _no_receipt(answer):
    answer.ClearField("receipt")


def _receipt_of_another_entry(answer):
    answer.receipt.log_index -= 1


def _edited_entry(answer):
    answer.receipt.entry = answer.receipt.entry.replace(b"fraud", b"freud")


def _edited_checkpoint(answer):
    answer.receipt.checkpoint = answer.receipt.checkpoint.replace("\n3\n", "\n4\n", 1)


def _no_signature(answer):
    answer.version.signature = b""


LIES = [
    (_other_manifest, errors.DigestMismatchError),
    (_other_digest, errors.DigestMismatchError),
    (_no_receipt, errors.ProofInvalidError),
    (_receipt_of_another_entry, errors.ProofInvalidError),
    (_edited_entry, errors.ProofInvalidError),
    (_edited_checkpoint, errors.ProofInvalidError),
    (_no_signature, errors.SignatureInvalidError),
]


@pytest.mark.parametrize(("lie", "error"), LIES, ids=lambda each: each.__name__)
async def test_an_answer_that_is_not_what_was_signed_and_logged_is_refused(
    federation, client, fraud, lie, error
):
    federation.dev.lies["ResolveVersion"] = lie
    with pytest.raises(error):
        await client.resolve("dev/risk/fraud@1")


async def test_another_version_than_was_asked_for_is_refused(federation, client, fraud, tmp_path):
    federation.publish(tmp_path, seed=2, version=2)
    other = federation.dev.versions["risk", "fraud", 2]

    def answer_with_the_second(answer):
        answer.version.CopyFrom(federation.dev.version_message(other))
        answer.receipt.CopyFrom(federation.dev.log.receipt(other.log_index))

    federation.dev.lies["ResolveVersion"] = answer_with_the_second
    with pytest.raises(errors.InternalError, match="answered with dev/risk/fraud@2"):
        await client.resolve("dev/risk/fraud@1")


async def test_an_alias_whose_row_was_edited_is_noticed(federation, client, fraud, tmp_path):
    federation.publish(tmp_path, seed=2, version=2)
    await client.set_alias("dev/risk/fraud@champion", 1)
    row = next(iter(federation.dev.aliases.values()))
    row.version = 2
    with pytest.raises(errors.LogTamperedError, match="says '1', and the answer says '2'"):
        await client.resolve("dev/risk/fraud@champion")


async def test_a_bundle_signed_by_a_key_that_is_not_pinned_is_refused(federation, client, tmp_path):
    federation.publish(tmp_path, signer="reader")
    with pytest.raises(errors.KeyUntrustedError):
        await client.resolve("dev/risk/fraud@1")
    assert signing_key("reader").key_id not in client.federation.keys


async def test_a_log_signed_by_another_key_than_is_pinned_is_refused(federation, fraud):
    vkey = federation.staging.log.key.verifier.vkey
    text = (federation.folder / "federation.yaml").read_text()
    swapped = text.replace(federation.dev.log.key.verifier.vkey, vkey)
    (federation.folder / "federation.yaml").write_text(swapped)
    async with carnet.connect_async(federation.folder) as client:
        with pytest.raises(errors.KeyUntrustedError):
            await client.resolve("dev/risk/fraud@1")


async def test_lists_are_read_to_their_last_page(federation, client, fraud, tmp_path):
    for number in (2, 3):
        federation.publish(tmp_path, seed=number, version=number)
    versions = await client.versions("dev/risk/fraud")
    assert [each.reference.version for each in versions] == [3, 2, 1]
    (model,) = await client.models("dev")
    assert (str(model.reference), model.version_count) == ("dev/risk/fraud", 3)
    assert await client.models("dev", namespace="other") == ()
    assert (await client.model("dev/risk/fraud")).latest_version == 3


async def test_a_list_that_never_ends_is_given_up(federation, client, fraud):
    def same_page_again(answer):
        answer.next_page_token = "0"

    federation.dev.lies["ListVersions"] = same_page_again
    with pytest.raises(errors.InternalError, match="same page twice"):
        await client.versions("dev/risk/fraud")


async def test_comparing_tells_what_differs(federation, client, fraud, tmp_path):
    federation.publish(tmp_path, seed=2, version=2)
    found = await client.compare("dev/risk/fraud@1", "dev/risk/fraud@2")
    assert {each.name for each in found.metrics} == {"roc_auc", "log_loss"}
    assert found.files


async def test_revoking_comes_back_with_the_receipt(client, fraud):
    result = await client.revoke("dev/risk/fraud@1", "leaked labels")
    assert result.version.stage == "revoked"
    assert result.receipt.entry.subject["version"] == 1
    assert (await client.resolve("dev/risk/fraud@1")).version.stage == "revoked"


async def test_revoking_an_alias_is_refused_because_it_may_move(client, fraud):
    with pytest.raises(errors.ReferenceInvalidError, match="needs a version's number"):
        await client.revoke("dev/risk/fraud@champion", "no")


@pytest.mark.parametrize(
    ("reference", "error"),
    [
        ("dev/risk/fraud@9", errors.NotFoundError),
        ("dev/risk/fraud@champion", errors.NotFoundError),
        ("nowhere/risk/fraud@1", errors.NotFoundError),
        ("dev/risk/fraud", errors.ReferenceInvalidError),
        ("dev/risk", errors.ReferenceInvalidError),
        ("", errors.ReferenceInvalidError),
        ("dev/risk/fraud@0", errors.ReferenceInvalidError),
    ],
)
async def test_what_cannot_be_resolved_says_why(client, fraud, reference, error):
    with pytest.raises(error):
        await client.resolve(reference)


async def test_a_stage_that_this_client_does_not_know_is_no_crash(federation, client, fraud):
    def new_stage(answer):
        answer.version.stage = 77

    federation.dev.lies["ResolveVersion"] = new_stage
    assert (await client.resolve("dev/risk/fraud@1")).version.stage == "unknown_77"
    assert models_pb2.STAGE_REGISTERED != 77

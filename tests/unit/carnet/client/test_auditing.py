"""Copying logs, verifying them, and remembering what was verified."""

from __future__ import annotations

import json

import pytest
import yaml

from carnet import errors
from carnet.audit.report import Verdict
from carnet.canonical import sha256_hex
from carnet.client.audit_memory import (
    earlier_checkpoints,
    federation_pins,
    read_pins,
    remember,
    verify_offline,
)
from carnet.client.federation import Federation
from carnet.translog.entry import EntryType


@pytest.fixture
def pins(federation):
    return federation_pins(Federation.load(federation.folder))


async def test_an_export_verifies_with_no_server(federation, client, fraud, tmp_path, pins):
    told = []
    result = await client.audit_export(tmp_path / "export", progress=lambda *each: told.append(each))
    assert result.entries == {"dev": 3, "staging": 1, "prod": 1}
    assert result.documents == {"dev": 2, "staging": 1, "prod": 1}
    assert ("copying dev", 3, 3) in told
    for server in federation.servers.values():
        server.stop(None).wait()
    report = verify_offline(tmp_path / "export", pins)
    assert report.findings == ()
    assert report.environments["dev"].published == 1
    assert (await client.audit_verify(offline=tmp_path / "export")).ok


async def test_an_export_has_the_manifests_that_this_identity_may_read(federation, client, fraud, tmp_path):
    (version,) = federation.dev.versions.values()
    manifest = tmp_path / "export" / "dev" / "envelopes" / version.manifest.digest
    await client.audit_export(tmp_path / "export", environments=["dev"], manifests=False)
    assert not manifest.exists()
    await client.audit_export(tmp_path / "export", environments=["dev"])
    assert manifest.read_bytes() == version.manifest.to_bytes()
    kept = dict(federation.dev.versions)
    federation.dev.versions.clear()
    await client.audit_export(tmp_path / "export", environments=["dev"])
    federation.dev.versions.update(kept)
    assert not manifest.exists()


async def test_an_audit_keeps_the_checkpoints_and_insists_on_them(federation, client, fraud, pins):
    report = await client.audit_verify()
    assert report.ok
    kept = earlier_checkpoints(federation.folder / "verified", pins)
    assert {name: each.size for name, each in kept.items()} == {"dev": 3, "staging": 1, "prod": 1}
    federation.dev.log.append(EntryType.ALIAS_REMOVED, {"alias": "challenger"})
    assert (await client.audit_verify()).ok
    assert earlier_checkpoints(federation.folder / "verified", pins)["dev"].size == 4


async def test_a_rewritten_history_is_found_though_its_log_is_signed_anew(federation, client, fraud):
    assert (await client.audit_verify()).ok
    federation.dev.log.entries[0] = federation.dev.log.entries[0].replace(b"service/ci", b"service/xx")
    report = await client.audit_verify()
    assert {each.verdict for each in report.findings} >= {Verdict.TAMPERED}
    assert {each.environment for each in report.findings} == {"dev"}
    checkpoint = (federation.folder / "verified" / "dev.checkpoint").read_text()
    assert checkpoint.split("\n")[1] == "3"


async def test_a_document_that_is_damaged_or_gone_is_found(federation, client, fraud):
    digest = next(iter(federation.dev.log.documents))
    kept = federation.dev.log.documents[digest]
    federation.dev.log.documents[digest] = kept + b"x"
    damaged = await client.audit_verify(environments=["dev"])
    assert not damaged.ok
    del federation.dev.log.documents[digest]
    gone = await client.audit_verify(environments=["dev"])
    assert digest in " ".join(each.message for each in gone.findings)


async def test_entries_that_are_held_back_are_found(federation, client, fraud):
    def hold_back(answer):
        del answer.entries[:]

    federation.dev.lies["ListEntries"] = hold_back
    report = await client.audit_verify(environments=["dev"])
    assert not report.ok
    assert set(report.environments) == {"dev"}


async def test_entries_of_other_indices_are_as_if_they_were_missing(federation, client, fraud):
    def shift(answer):
        answer.entries[0].index += 1

    federation.dev.lies["ListEntries"] = shift
    report = await client.audit_verify(environments=["dev"])
    assert not report.ok
    assert {each.environment for each in report.findings} == {"dev"}


async def test_documents_too_many_for_a_message_are_fetched_in_halves(federation, client, fraud, tmp_path):
    refused = []

    def too_large(answer):
        if len(answer.documents) > 1:
            refused.append(len(answer.documents))
            raise errors.ResourceExhaustedError("message larger than max")

    federation.dev.lies["BatchGetDocuments"] = too_large
    result = await client.audit_export(tmp_path / "export", environments=["dev"])
    assert result.documents == {"dev": 2}
    assert refused == [2]


async def test_what_an_answer_leaves_out_is_asked_for_again(federation, client, fraud, tmp_path):
    def two_mebibytes_at_most(answer):
        del answer.documents[1:]

    federation.dev.lies["BatchGetDocuments"] = two_mebibytes_at_most
    result = await client.audit_export(tmp_path / "export", environments=["dev"])
    assert result.documents == {"dev": 2}
    assert verify_offline(tmp_path / "export", federation_pins(client.federation)).ok


async def test_a_document_erased_while_it_is_copied_is_not_missed(federation, client, fraud, tmp_path, pins):
    log = federation.dev.log
    digest = sha256_hex(b"a note")
    log.documents[digest] = b"a note"
    log.append(EntryType.ALIAS_REMOVED, {"alias": "challenger"}, envelope_digest=digest)

    def erase_now(answer):
        if log.documents.pop(digest, None) is not None:
            kept = [each for each in answer.documents if each.digest != digest]
            del answer.documents[:]
            answer.documents.extend(kept)
            log.append(EntryType.DOCUMENT_ERASED, {"document": digest}, new="person-request")

    federation.dev.lies["BatchGetDocuments"] = erase_now
    result = await client.audit_export(tmp_path / "export", environments=["dev"])
    assert result.entries == {"dev": 5}
    report = verify_offline(tmp_path / "export", pins)
    assert report.ok, report.findings
    assert [(each.digest, each.index, each.entries) for each in report.erasures] == [(digest, 4, (3,))]


async def test_an_audit_of_some_environments_leaves_the_others_alone(federation, client, fraud):
    assert (await client.audit_verify()).ok
    federation.servers["prod"].stop(None).wait()
    assert (await client.audit_verify(environments=["dev", "staging"])).ok
    with pytest.raises(errors.UnavailableError):
        await client.audit_verify(environments=["prod"])
    with pytest.raises(errors.NotFoundError):
        await client.audit_verify(environments=["nowhere"])


async def test_pins_are_read_from_a_file_of_their_own(federation, client, fraud, tmp_path):
    await client.audit_export(tmp_path / "export")
    document = yaml.safe_load((federation.folder / "federation.yaml").read_text())
    (tmp_path / "pins.json").write_text(json.dumps(document))
    pins = read_pins(tmp_path / "pins.json")
    assert pins.person_of_subject("spiffe://carnet.internal/service/ci") == "alice"
    assert verify_offline(tmp_path / "export", pins).ok
    del document["environments"]["dev"]
    (tmp_path / "pins.yaml").write_text(yaml.safe_dump(document))
    report = await client.audit_verify(offline=tmp_path / "export", trust=tmp_path / "pins.yaml")
    assert [each.verdict for each in report.findings] == [Verdict.CANNOT_VERIFY]


BAD_PINS = ["[]", "environments: {}\npeople: 3", "environments: {dev: {log_key: x, signing_key: y}}", "a: ["]


@pytest.mark.parametrize("text", BAD_PINS)
def test_a_file_that_has_no_pins_says_so(tmp_path, text):
    (tmp_path / "pins.yaml").write_text(text)
    with pytest.raises(errors.DocumentInvalidError, match=r"pins\.yaml"):
        read_pins(tmp_path / "pins.yaml")


def test_a_kept_checkpoint_that_is_damaged_is_no_memory(federation, pins):
    memory = federation.folder / "verified"
    memory.mkdir()
    (memory / "dev.checkpoint").write_text("carnet.internal/dev\n5\n")
    with pytest.raises(errors.ProofInvalidError):
        earlier_checkpoints(memory, pins)


async def test_an_older_checkpoint_never_replaces_a_newer_one(federation, client, fraud, pins):
    older = await client.audit_verify()
    federation.dev.log.append(EntryType.ALIAS_REMOVED, {"alias": "challenger"})
    assert (await client.audit_verify()).ok
    remember(federation.folder / "verified", older)
    assert earlier_checkpoints(federation.folder / "verified", pins)["dev"].size == 4


async def test_a_memory_that_cannot_be_written_is_said(federation, client, fraud, tmp_path):
    report = await client.audit_verify()
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.FileUnreadableError, match="cannot be kept"):
        remember(tmp_path / "file" / "verified", report)

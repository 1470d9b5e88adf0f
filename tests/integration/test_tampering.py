"""Whoever edits what is stored is found out: ``carnet verify`` and ``carnet audit verify`` end with exit code 6
and name the thing.

The edits are made under a running registry, in its own database and files, by somebody who has its disk and
none of its keys; each test puts back what it changed.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

import carnet
from carnet.audit.export import ExportWriter
from carnet.bundle.manifest import parse_manifest
from carnet.canonical import sha256_hex
from carnet.cli.exit_codes import ExitCode
from carnet.cli.main import main
from carnet.client.results import PromotionState
from carnet.signing.keys import SigningKey
from carnet.signing.model_signature import sign_model
from carnet.translog.checkpoint import Checkpoint, sign_checkpoint, unverified_checkpoint
from carnet.translog.entry import parse_entry
from carnet.translog.keys import LogKey
from carnet.translog.tree import Frontier, leaf_hash
from carnet_server.demo.tampering import copy_environment, serving
from carnet_server.replaying.command import replay
from tests.support.bundles import make_bundle_directory
from tests.support.federation import LocalFederation

MODEL = "risk/fraud"
IN_PROD = f"prod/{MODEL}@champion"
LARGE_BYTES = 300_000  # more than travels in a batch


@dataclass
class Story:
    """A federation with a history: two versions in dev, the first of which is prod's champion."""

    federation: LocalFederation
    promotion: str
    folder: Path

    def run(self, *arguments: str) -> int:
        """Run a command of ``carnet`` as an auditor, and return its exit code."""
        return main(["--dir", str(self.federation.folder), "--as", "dave", *arguments])

    def manifest(self):
        ((data,),) = self.federation.query("prod", "SELECT manifest FROM versions")
        return parse_manifest(data)


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tampering")
    federation = LocalFederation(folder / "carnet")
    federation.start()
    bundle = make_bundle_directory(folder, seed=1)
    (bundle / "model.bin").write_bytes(os.urandom(LARGE_BYTES))
    with federation.client("ci") as ci:
        first = ci.push(f"dev/{MODEL}", bundle).reference
        assert federation.to_staging(first, alias="champion").state is PromotionState.SUCCEEDED
        federation.test_integration(f"staging/{MODEL}@1")
        promotion = ci.promote(f"staging/{MODEL}@1", "prod", alias="champion").id
        federation.wait_for_dossier(ci, promotion)
        federation.approve(promotion, "bob", "carol")
        assert ci.wait(promotion, timeout=60).state is PromotionState.SUCCEEDED
        federation.publish(folder, MODEL, seed=2)
        ci.set_alias(f"dev/{MODEL}@live", 1)
        ci.pull(IN_PROD, folder / "pulled")
    with federation.client("dave") as auditor:
        auditor.audit_export(folder / "export")
    story = Story(federation, promotion, folder)
    yield story
    federation.stop()


@pytest.fixture(autouse=True)
def genuine_but_for_the_test(story, capsys):
    """Before and after each test everything verifies: what a test finds, it put there itself."""
    yield
    assert story.run("verify", IN_PROD) == ExitCode.DONE, capsys.readouterr().err
    assert story.run("audit", "verify") == ExitCode.DONE, capsys.readouterr().out


@pytest.fixture
def edited(story):
    """Edits rows of an environment's database as its administrator could, and puts them back."""
    with contextlib.ExitStack() as undo:

        def edit(environment: str, table: str, where: str, **columns) -> None:
            uri = story.federation.database(environment)
            names = ", ".join(f'"{name}"' for name in columns)
            setting = ", ".join(f'"{name}" = ?' for name in columns)

            ((row, *before),) = story.federation.query(
                environment, f"SELECT rowid, {names} FROM {table} WHERE {where}"
            )

            def put(values) -> None:
                with contextlib.closing(sqlite3.connect(uri, timeout=10)) as database, database:
                    database.execute(f"UPDATE {table} SET {setting} WHERE rowid = ?", (*values, row))

            after = [
                change(value) if callable(change) else change
                for change, value in zip(columns.values(), before, strict=True)
            ]
            assert after != before
            put(after)
            undo.callback(put, before)

        yield edit


@pytest.fixture
def rewritten():
    """Rewrites files as whoever has the disk could, and puts them back."""
    with contextlib.ExitStack() as undo:

        def rewrite(path: Path, change) -> None:
            before = path.read_bytes()
            undo.callback(path.write_bytes, before)
            path.write_bytes(change(before))

        yield rewrite


def with_a_flipped_byte(data: bytes, at: int | None = None) -> bytes:
    at = len(data) // 2 if at is None else at
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def replacing(old: bytes, new: bytes):
    """Return an edit that keeps the length, as one of a single field would."""
    assert len(old) == len(new)

    def change(data: bytes) -> bytes:
        assert data.count(old) >= 1
        return data.replace(old, new, 1)

    return change


def resigned(data: bytes) -> bytes:
    """Return a model signature over the same manifest by a key that nobody trusts."""
    payload = base64.b64decode(json.loads(data)["dsseEnvelope"]["payload"])
    resources = json.loads(payload)["predicate"]["resources"]
    covered = [(each["name"], each["digest"]) for each in resources]
    return sign_model("fraud", covered, SigningKey.generate())


def with_another_signature(data: bytes) -> bytes:
    """Return a signature document whose signature has one byte changed, and is base64 still."""
    document = json.loads(data)
    for signature in (document.get("dsseEnvelope") or document)["signatures"]:
        made = base64.b64decode(signature["sig"])
        signature["sig"] = base64.b64encode(with_a_flipped_byte(made, len(made) - 1)).decode()
    return json.dumps(document).encode()


# --- what a registry stores ------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["model.bin", "parts/1.bin"])
@pytest.mark.parametrize("damage", [with_a_flipped_byte, lambda data: data[:-1], lambda _: b""])
def test_a_stored_blob_that_was_changed_is_found(path, damage, story, rewritten, capsys):
    file = next(each for each in story.manifest().files if each.path == path)
    rewritten(story.federation.blob_file("prod", file.digest), damage)
    assert story.run("verify", IN_PROD) == ExitCode.INTEGRITY
    assert file.digest in capsys.readouterr().err


def test_a_stored_blob_that_was_removed_is_found(story, capsys):
    file = story.manifest().files[0]
    stored = story.federation.blob_file("prod", file.digest)
    hidden = stored.with_suffix(".hidden")
    stored.rename(hidden)
    try:
        assert story.run("verify", IN_PROD) == ExitCode.INTEGRITY
    finally:
        hidden.rename(stored)
    assert file.digest in capsys.readouterr().err


def test_nothing_of_a_changed_blob_is_pulled(story, rewritten, tmp_path, capsys):
    file = story.manifest().files[0]
    rewritten(story.federation.blob_file("prod", file.digest), with_a_flipped_byte)
    assert story.run("pull", IN_PROD, "--to", str(tmp_path / "pulled")) == ExitCode.INTEGRITY
    assert file.digest in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_stored_manifest_that_was_changed_is_found(story, edited, capsys):
    edited("prod", "versions", "version = 1", manifest=replacing(b"risk-team", b"evil-team"))
    assert story.run("verify", IN_PROD) == ExitCode.INTEGRITY
    message = capsys.readouterr().err
    assert "manifest" in message
    assert f"prod/{MODEL}@1" in message


def test_a_stored_manifest_that_was_changed_with_its_digest_is_found(story, edited, capsys):
    change = replacing(b"risk-team", b"evil-team")
    ((manifest,),) = story.federation.query("prod", "SELECT manifest FROM versions")
    edited(
        "prod",
        "versions",
        "version = 1",
        manifest=change(manifest),
        bundle_digest=sha256_hex(change(manifest)),
    )
    for reference in (IN_PROD, f"prod/{MODEL}@1"):
        assert story.run("verify", reference) == ExitCode.INTEGRITY
        assert "manifest" in capsys.readouterr().err


@pytest.mark.parametrize("change", [resigned, with_another_signature])
def test_a_stored_signature_that_was_changed_is_found(change, story, edited, capsys):
    edited("prod", "versions", "version = 1", signature=change)
    assert story.run("verify", IN_PROD) == ExitCode.INTEGRITY
    message = capsys.readouterr().err
    assert "signature" in message or "signed by" in message


def test_stored_evidence_that_was_changed_is_found(story, edited, capsys):
    ((digest,),) = story.federation.query("prod", "SELECT digest FROM evidence WHERE suite = 'integration'")
    edited("prod", "evidence", f"digest = '{digest}'", envelope=with_another_signature)
    assert story.run("verify", IN_PROD) == ExitCode.INTEGRITY
    message = capsys.readouterr().err
    assert "evidence" in message
    assert digest[:16] in message


def test_an_alias_that_was_moved_behind_the_logs_back_is_found(story, edited, capsys):
    ((other,),) = story.federation.query("dev", "SELECT bundle_digest FROM versions WHERE version = 2")
    edited("dev", "aliases", "alias = 'live'", version=2, bundle_digest=other)
    assert story.run("verify", f"dev/{MODEL}@live") == ExitCode.INTEGRITY
    assert "log" in capsys.readouterr().err


# --- approvals -------------------------------------------------------------------------------------------------


def approvals_of(story: Story) -> list[tuple[int, str, str]]:
    """The approvals of prod: log index, the digest of the envelope, and who gave it."""
    return story.federation.query(
        "prod", "SELECT log_index, digest, person FROM approvals ORDER BY log_index"
    )


def test_an_approval_that_was_changed_is_found_by_the_audit(story, edited, capsys):
    index, digest, _ = approvals_of(story)[0]
    edited("prod", "documents", f"digest = '{digest}'", data=with_another_signature)
    assert story.run("audit", "verify") == ExitCode.INTEGRITY
    found = capsys.readouterr().out
    assert digest in found
    assert f"entry {index}" in found
    assert story.promotion in found


def test_an_approval_that_was_removed_is_found_by_the_audit(story, edited, capsys):
    index, digest, _ = approvals_of(story)[1]
    edited("prod", "documents", f"digest = '{digest}'", digest="0" * 64)
    assert story.run("audit", "verify") == ExitCode.INTEGRITY
    found = capsys.readouterr().out
    assert "INCOMPLETE" in found
    assert digest in found
    assert f"entry {index}" in found


def test_an_approval_that_was_put_in_anothers_place_is_found_by_the_audit(story, edited, capsys):
    (_, first, _), (index, second, _) = approvals_of(story)
    ((data,),) = story.federation.query("prod", "SELECT data FROM documents WHERE digest = ?", first)
    edited("prod", "documents", f"digest = '{second}'", data=data)
    assert story.run("audit", "verify") == ExitCode.INTEGRITY
    found = capsys.readouterr().out
    assert second in found
    assert f"entry {index}" in found


def test_an_approval_that_was_changed_is_shown_to_no_approver(story, edited, capsys):
    _, digest, _ = approvals_of(story)[0]
    edited("prod", "approvals", f"digest = '{digest}'", envelope=with_another_signature)
    assert story.run("approve", story.promotion, "--reason", "in order", "--yes") == ExitCode.INTEGRITY
    assert digest[:16] in capsys.readouterr().err


# --- the log ---------------------------------------------------------------------------------------------------


def entries_of(story: Story, kind: str, environment: str = "prod") -> list[tuple[int, bytes]]:
    rows = story.federation.query(environment, 'SELECT "index", entry FROM log_entries ORDER BY "index"')
    return [(index, entry) for index, entry in rows if parse_entry(entry).type == kind]


@pytest.mark.parametrize("kind", ["version.admitted", "decision.made", "approval.recorded", "alias.moved"])
def test_an_entry_that_was_changed_is_found_and_named(kind, story, edited, capsys):
    index, _ = entries_of(story, kind)[-1]
    edited("prod", "log_entries", f'"index" = {index}', entry=with_a_flipped_byte)
    assert story.run("audit", "verify") == ExitCode.INTEGRITY
    found = capsys.readouterr().out
    assert "TAMPERED" in found
    assert f"entry {index} was changed" in found


def test_an_entry_that_was_changed_with_its_hash_is_found(story, edited, capsys):
    index, entry = entries_of(story, "decision.made")[-1]
    after = with_a_flipped_byte(entry)
    edited("prod", "log_entries", f'"index" = {index}', entry=after, leaf_hash=leaf_hash(after))
    assert story.run("audit", "verify") == ExitCode.INTEGRITY
    found = capsys.readouterr().out
    assert "TAMPERED" in found
    assert "do not lead to the signed root" in found


def test_the_entry_of_an_admission_that_was_changed_is_found_by_who_pulls(story, edited, capsys):
    index, _ = entries_of(story, "version.admitted")[-1]
    edited("prod", "log_entries", f'"index" = {index}', entry=with_a_flipped_byte)
    assert story.run("verify", f"prod/{MODEL}@1") == ExitCode.INTEGRITY
    assert capsys.readouterr().err.startswith("error: ")


def test_two_entries_that_changed_places_are_found(story, edited, capsys):
    (first, one), (second, other) = entries_of(story, "approval.recorded")
    edited("prod", "log_entries", f'"index" = {first}', entry=other, leaf_hash=leaf_hash(other))
    edited("prod", "log_entries", f'"index" = {second}', entry=one, leaf_hash=leaf_hash(one))
    assert story.run("audit", "verify") == ExitCode.INTEGRITY
    assert "TAMPERED" in capsys.readouterr().out


def test_an_entry_that_was_taken_out_is_found(story, edited, capsys):
    index, _ = entries_of(story, "alias.moved")[-1]
    edited("prod", "log_entries", f'"index" = {index}', index=1_000_000)
    assert story.run("audit", "verify") == ExitCode.INTEGRITY
    assert "prod" in capsys.readouterr().out


@pytest.fixture
def copied(story, tmp_path):
    """A copy of dev, with its own keys, to be served from one history after another."""
    copy = tmp_path / "copy"
    copy_environment(story.federation.folder, "dev", copy)
    here = yaml.safe_load((copy / "federation.yaml").read_text())
    pinned = yaml.safe_load((story.federation.folder / "federation.yaml").read_text())
    here["environments"] = pinned["environments"] | here["environments"]
    (copy / "federation.yaml").write_text(yaml.safe_dump(here))
    return copy


def test_a_log_that_was_cut_or_rewritten_with_its_own_key_is_found_by_who_audited_it_before(copied, capsys):
    database = copied / "environments" / "dev" / "data" / "registry.db"
    beginning = database.read_bytes()
    audit = ["--dir", str(copied), "--as", "dave", "audit", "verify", "--environment", "dev"]

    def move_an_alias(name: str, *versions: int) -> None:
        with carnet.connect(copied, identity="ci") as ci:
            for version in versions:
                ci.set_alias(f"dev/{MODEL}@{name}", version)

    with serving(copied, "dev"):
        assert main(audit) == ExitCode.DONE
        move_an_alias("shadow", 1, 2)
        assert main(audit) == ExitCode.DONE
    for leftover in database.parent.glob("registry.db*"):
        leftover.unlink()
    database.write_bytes(beginning)
    with serving(copied, "dev"):
        capsys.readouterr()
        assert main(audit) == ExitCode.INTEGRITY
        assert "the log was cut" in capsys.readouterr().out
        move_an_alias("challenger", 1, 2, 1)
        for _ in range(2):  # what was found once is not forgotten
            assert main(audit) == ExitCode.INTEGRITY
            found = capsys.readouterr().out
            assert "TAMPERED" in found
            assert "history was rewritten" in found


# --- an export, with no server and no federation ----------------------------------------------------------------


@pytest.fixture
def export(story, tmp_path, monkeypatch):
    """A copy of the export, and the pinned keys in a file of their own, beside nothing else."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CARNET_DIR", str(tmp_path / "nowhere"))
    shutil.copy(story.federation.folder / "federation.yaml", tmp_path / "pins.yaml")
    shutil.copytree(story.folder / "export", tmp_path / "export")
    return tmp_path / "export"


def audit_offline(export: Path) -> int:
    return main(["audit", "verify", "--offline", str(export), "--trust", str(export.parent / "pins.yaml")])


def edit_file(path: Path, change) -> None:
    path.write_bytes(change(path.read_bytes()))


def test_a_genuine_export_verifies_without_any_server(export):
    assert audit_offline(export) == ExitCode.DONE


def test_every_decision_in_a_genuine_export_is_what_its_policy_says(export, capsys):
    asked = [str(export), "--trust", str(export.parent / "pins.yaml"), "-o", "json"]
    assert replay.main(asked, standalone_mode=False) is None
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"]
    assert all(count > 0 for count in answer["replayed"].values())
    assert set(answer["replayed"]) == {"dev", "staging", "prod"}
    shutil.rmtree(export / "prod" / "bundles")
    assert replay.main(asked[:-2], standalone_mode=False) == ExitCode.INTEGRITY
    assert "is not in the export" in capsys.readouterr().out


def test_an_entry_that_was_changed_in_an_export_is_named(story, export, capsys):
    index, entry = entries_of(story, "approval.recorded")[0]
    (bundle,) = (path for path in export.glob("prod/tile/entries/**/*") if path.is_file())
    edit_file(bundle, replacing(entry, with_a_flipped_byte(entry)))
    assert audit_offline(export) == ExitCode.INTEGRITY
    found = capsys.readouterr().out
    assert "TAMPERED" in found
    assert f"entry {index} was changed" in found


@pytest.mark.parametrize("change", [with_another_signature, lambda data: data + b" ", None])
def test_an_approval_that_was_changed_in_an_export_is_named(change, story, export, capsys):
    index, digest, _ = approvals_of(story)[0]
    document = export / "prod" / "envelopes" / digest
    if change is None:
        document.unlink()
    else:
        edit_file(document, change)
    assert audit_offline(export) == ExitCode.INTEGRITY
    found = capsys.readouterr().out
    assert ("INCOMPLETE" if change is None else "TAMPERED") in found
    assert digest[:16] in found
    assert f"entry {index}" in found


def test_every_document_of_an_export_is_needed_unchanged(export, capsys):
    documents = [path for path in export.glob("*/envelopes/*") if path.is_file()]
    assert len(documents) > 15
    for document in documents:
        before = document.read_bytes()
        document.write_bytes(with_a_flipped_byte(before))
        assert audit_offline(export) == ExitCode.INTEGRITY, document
        assert document.name[:16] in capsys.readouterr().out
        document.write_bytes(before)


def test_a_checkpoint_of_somebody_else_proves_nothing(export, capsys):
    checkpoint = unverified_checkpoint((export / "prod" / "checkpoint").read_bytes())
    other = LogKey.generate(checkpoint.origin)
    (export / "prod" / "checkpoint").write_text(sign_checkpoint(checkpoint, other))
    assert audit_offline(export) == ExitCode.INTEGRITY
    assert "CANNOT VERIFY" in capsys.readouterr().out


def test_a_checkpoint_whose_root_was_changed_is_found(export, capsys):
    size = unverified_checkpoint((export / "prod" / "checkpoint").read_bytes()).size
    edit_file(
        export / "prod" / "checkpoint", lambda data: data.replace(b"\n%d\n" % size, b"\n%d\n" % (size - 1))
    )
    assert audit_offline(export) == ExitCode.INTEGRITY
    assert "TAMPERED" in capsys.readouterr().out


def test_an_admission_that_its_environment_hides_is_in_its_sources_log(story, export, capsys):
    honest = unverified_checkpoint((export / "prod" / "checkpoint").read_bytes())
    rows = story.federation.query("prod", 'SELECT entry FROM log_entries ORDER BY "index"')
    entries = [entry for (entry,) in rows]
    first_of_promotion = next(
        index for index, entry in enumerate(entries) if story.promotion.encode() in entry
    )
    kept = entries[:first_of_promotion]
    frontier = Frontier()
    for entry in kept:
        frontier.append(leaf_hash(entry))
    key = LogKey.load(honest.origin, story.federation.folder / "environments" / "prod" / "log-key.pem")
    forged = sign_checkpoint(Checkpoint(honest.origin, frontier.size, frontier.root()), key)
    documents = [path.read_bytes() for path in (export / "prod" / "envelopes").iterdir()]
    with ExportWriter(export).environment("prod") as prod:
        prod.write_log(kept, forged)
        for document in documents:
            prod.add_document(document)
    assert audit_offline(export) == ExitCode.INTEGRITY
    found = capsys.readouterr().out
    assert story.promotion in found
    assert "staging" in found


# --- a directory that was pulled --------------------------------------------------------------------------------


@pytest.fixture
def pulled(story, tmp_path):
    return Path(shutil.copytree(story.folder / "pulled", tmp_path / "pulled"))


@pytest.fixture(scope="module")
def other(story):
    """Another genuine version, pulled."""
    with story.federation.client("ci") as ci:
        return ci.pull(f"dev/{MODEL}@2", story.folder / "other").path


def change_a_byte(pulled, other):
    edit_file(pulled / "model.bin", with_a_flipped_byte)


def change_the_last_byte_of_a_small_file(pulled, other):
    edit_file(pulled / "parts" / "1.bin", lambda data: data[:-1] + bytes([data[-1] ^ 1]))


def cut_a_file(pulled, other):
    edit_file(pulled / "model.bin", lambda data: data[:-1])


def add_a_file(pulled, other):
    (pulled / "parts" / "evil.py").write_text("print('loaded')")


def add_a_hidden_file(pulled, other):
    (pulled / ".evil").write_text("")


def remove_a_file(pulled, other):
    (pulled / "parts" / "1.bin").unlink()


def link_a_file(pulled, other):
    (pulled / "parts" / "1.bin").rename(pulled.parent / "elsewhere.bin")
    (pulled / "parts" / "1.bin").symlink_to(pulled.parent / "elsewhere.bin")


def change_the_manifest(pulled, other):
    edit_file(pulled / "manifest.json", replacing(b"risk-team", b"evil-team"))


def swap_the_manifest(pulled, other):
    shutil.copy(other / "manifest.json", pulled / "manifest.json")


def swap_the_signature(pulled, other):
    shutil.copy(other / "model.sig", pulled / "model.sig")


def swap_manifest_and_signature(pulled, other):
    swap_the_manifest(pulled, other)
    swap_the_signature(pulled, other)


def break_the_signature(pulled, other):
    edit_file(pulled / "model.sig", with_another_signature)


def sign_as_a_stranger(pulled, other):
    edit_file(pulled / "model.sig", resigned)


def remove_the_signature(pulled, other):
    (pulled / "model.sig").unlink()


@pytest.mark.parametrize(
    ("tamper", "named"),
    [
        (change_a_byte, "model.bin"),
        (change_the_last_byte_of_a_small_file, "parts/1.bin"),
        (cut_a_file, "model.bin"),
        (add_a_file, "parts/evil.py"),
        (add_a_hidden_file, ".evil"),
        (remove_a_file, "parts/1.bin"),
        (link_a_file, "parts/1.bin"),
        (change_the_manifest, "manifest.json"),
        (swap_the_manifest, "manifest.json"),
        (swap_the_signature, "manifest.json"),
        (swap_manifest_and_signature, ".bin"),
        (break_the_signature, "signature"),
        (sign_as_a_stranger, "signed by"),
        (remove_the_signature, "model.sig"),
    ],
)
def test_a_pulled_directory_that_was_changed_is_found(tamper, named, story, pulled, other, capsys):
    assert story.run("verify", str(pulled)) == ExitCode.DONE
    tamper(pulled, other)
    assert story.run("verify", str(pulled)) == ExitCode.INTEGRITY
    assert named in capsys.readouterr().err


def test_the_command_itself_ends_with_the_code_for_integrity(story, pulled):
    change_a_byte(pulled, None)
    done = story.federation.cli("verify", str(pulled), identity="dave", check=ExitCode.INTEGRITY)
    assert done.stdout == ""
    assert "error: model.bin: " in done.stderr

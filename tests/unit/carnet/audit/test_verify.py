from __future__ import annotations

import json
import os
import shutil
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carnet.audit.export import ExportWriter
from carnet.audit.report import Verdict
from carnet.audit.verify import verify_export
from carnet.errors import FileUnreadableError
from carnet.translog.checkpoint import Checkpoint, LogKey, sign_checkpoint
from carnet.translog.entry import EntryType
from carnet.translog.tiles import encode_bundle
from carnet.translog.tree import leaf_hash, root_of
from tests.support.fuzzing import examples

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def write_bundle(path: Path, entries: list[bytes]) -> None:
    path.write_bytes(encode_bundle(entries))


def test_a_genuine_export_is_ok(tmp_path: Path, world: Any) -> None:
    world.promote()
    report = world.audit(tmp_path)
    assert report.findings == ()
    assert report.ok
    prod = report.environments["prod"]
    assert (prod.size, prod.published, prod.admitted, prod.refused) == (len(world.prod.entries), 0, 1, 0)
    assert prod.root == world.prod.checkpoint().root.hex()
    assert prod.checkpoint == world.prod.signed_checkpoint()
    assert prod.documents == 8
    assert report.environments["dev"].published == 1
    assert json.loads(json.dumps(report.to_json()))["environments"]["prod"]["admitted"] == 1
    assert report.to_json()["ok"] is True


def test_progress_is_told_to_the_last_entry(tmp_path: Path, world: Any) -> None:
    told: list[tuple[str, int, int]] = []
    world.audit(tmp_path, progress=lambda *step: told.append(step))
    sizes = {name: len(log.entries) for name, log in (("dev", world.dev), ("prod", world.prod))}
    assert told == [(name, size, size) for name, size in sizes.items()]


def test_one_environment_alone_can_be_verified(tmp_path: Path, world: Any) -> None:
    world.promote()
    world.export(tmp_path, "prod")
    report = verify_export(tmp_path, world.pins())
    assert report.ok
    assert list(report.environments) == ["prod"]


def test_a_log_of_several_tiles_is_verified(tmp_path: Path, world: Any) -> None:
    for _ in range(600):
        world.dev.add(EntryType.ALIAS_MOVED, {"alias": "champion"}, old="1", new="2")
    assert world.audit(tmp_path).ok
    path = tmp_path / "dev/tile/entries/001"
    path.write_bytes(path.read_bytes().replace(b'"old":"1"', b'"old":"3"', 1))
    (finding,) = verify_export(tmp_path, world.pins()).findings
    assert (finding.verdict, finding.index) == (Verdict.TAMPERED, 256)


def test_an_empty_log_is_verified(tmp_path: Path, world: Any) -> None:
    world.dev.entries.clear()
    world.dev.documents.clear()
    assert world.audit(tmp_path).ok


# --- what the files hold ------------------------------------------------------------------------------------


def test_an_edited_entry_is_named_with_what_it_affects(
    tmp_path: Path, world: Any, only: Callable[..., Any]
) -> None:
    world.promote()
    world.export(tmp_path)
    index = next(i for i, each in enumerate(world.prod.entries) if b'"decision.made"' in each)
    entries = list(world.prod.entries)
    entries[index] = entries[index].replace(b'"PASSED"', b'"FAILED"')
    write_bundle(tmp_path / f"prod/tile/entries/000.p/{len(entries)}", entries)
    finding = only(verify_export(tmp_path, world.pins()))
    assert (finding.verdict, finding.environment, finding.index) == (Verdict.TAMPERED, "prod", index)
    assert "changed after it was logged" in finding.message
    assert "lead to the signed root" in finding.message
    assert finding.affects == ("version risk/fraud@1", f"promotion {'ab' * 16}", "alias champion")


def test_an_edit_in_the_servers_database_is_named_by_its_stored_hashes(
    tmp_path: Path, world: Any, only: Callable[..., Any]
) -> None:
    world.promote()
    entries = list(world.dev.entries)
    hashes = [leaf_hash(entry) for entry in entries]
    entries[3] = entries[3].replace(b"fraud", b"frauds")
    with ExportWriter(tmp_path).environment("dev") as export:
        export.write_log(entries, world.dev.signed_checkpoint(), hashes)
        for document in world.dev.documents:
            export.add_document(document)
    finding = only(verify_export(tmp_path, world.pins()))
    assert (finding.verdict, finding.index) == (Verdict.TAMPERED, 3)
    assert "version risk/frauds@1" in finding.affects


def test_an_edit_with_its_stored_hashes_redone_is_still_found(
    tmp_path: Path, world: Any, only: Callable[..., Any]
) -> None:
    entries = list(world.dev.entries)
    entries[3] = entries[3].replace(b"fraud", b"frauds")
    with ExportWriter(tmp_path).environment("dev") as export:
        export.write_log(entries, world.dev.signed_checkpoint())
        for document in world.dev.documents:
            export.add_document(document)
    earlier = {"dev": world.dev.checkpoint(2)}
    finding = only(verify_export(tmp_path, world.pins(), earlier=earlier))
    assert (finding.verdict, finding.index) == (Verdict.TAMPERED, None)
    assert "from 2 on" in finding.message


def test_an_entry_that_was_made_unreadable_is_named_though_its_hash_was_redone(
    tmp_path: Path, world: Any, only: Callable[..., Any]
) -> None:
    entries = [*world.dev.entries[:3], b"gone", *world.dev.entries[4:]]
    with ExportWriter(tmp_path).environment("dev") as export:
        export.write_log(entries, world.dev.signed_checkpoint())
        for document in world.dev.documents:
            export.add_document(document)
    finding = only(verify_export(tmp_path, world.pins()))
    assert (finding.verdict, finding.index) == (Verdict.TAMPERED, 3)


def test_an_unreadable_entry_affects_whatever_it_told(
    tmp_path: Path, world: Any, only: Callable[..., Any]
) -> None:
    world.export(tmp_path, "dev")
    entries = [*world.dev.entries[:3], b"gone", *world.dev.entries[4:]]
    write_bundle(tmp_path / f"dev/tile/entries/000.p/{len(entries)}", entries)
    assert only(verify_export(tmp_path, world.pins())).affects == ("whatever entry 3 told",)


def test_an_edit_before_a_missing_bundle_is_named_too(tmp_path: Path, world: Any) -> None:
    for _ in range(300):
        world.dev.add(EntryType.ALIAS_MOVED, {"alias": "champion"}, old="1", new="2")
    world.export(tmp_path, "dev")
    path = tmp_path / "dev/tile/entries/000"
    path.write_bytes(path.read_bytes().replace(b'"old":"1"', b'"old":"3"', 1))
    shutil.rmtree(tmp_path / "dev/tile/entries/001.p")
    findings = verify_export(tmp_path, world.pins()).findings
    assert [(each.verdict, each.index) for each in findings] == [
        (Verdict.TAMPERED, 5),
        (Verdict.INCOMPLETE, 256),
    ]


def test_a_hash_tile_of_another_length_is_tampered(
    tmp_path: Path, world: Any, only: Callable[..., Any]
) -> None:
    world.export(tmp_path, "dev")
    path = tmp_path / "dev/tile/0/000.p/5"
    path.write_bytes(path.read_bytes() + b"more")
    assert only(verify_export(tmp_path, world.pins())).verdict is Verdict.TAMPERED


def test_files_that_belong_to_no_log_are_passed_over(tmp_path: Path, world: Any) -> None:
    world.export(tmp_path)
    for path in ("README", "dev/notes", "dev/tile/.index", "dev/envelopes/notes"):
        (tmp_path / path).write_text("made by a file manager")
    (tmp_path / ".dev.partial").mkdir()
    assert verify_export(tmp_path, world.pins()).ok


def test_entries_that_change_places_are_found(tmp_path: Path, world: Any, only: Callable[..., Any]) -> None:
    world.export(tmp_path, "dev")
    entries = list(world.dev.entries)
    entries[1], entries[2] = entries[2], entries[1]
    write_bundle(tmp_path / f"dev/tile/entries/000.p/{len(entries)}", entries)
    assert only(verify_export(tmp_path, world.pins())).index == 1


@pytest.mark.parametrize(
    ("path", "verdict", "index"),
    [
        ("checkpoint", Verdict.INCOMPLETE, None),
        ("tile/entries/000.p/5", Verdict.INCOMPLETE, 0),
        ("tile/0/000.p/5", Verdict.INCOMPLETE, None),
    ],
)
def test_a_missing_file_is_incomplete(
    tmp_path: Path, world: Any, only: Callable[..., Any], path: str, verdict: Verdict, index: int | None
) -> None:
    world.export(tmp_path, "dev")
    (tmp_path / "dev" / path).unlink()
    finding = only(verify_export(tmp_path, world.pins()))
    assert (finding.verdict, finding.index) == (verdict, index)


def test_a_missing_document_is_incomplete_and_names_its_entry(
    tmp_path: Path, world: Any, only: Callable[..., Any]
) -> None:
    world.export(tmp_path, "dev")
    (tmp_path / "dev/envelopes" / world.evidence.digest).unlink()
    finding = only(verify_export(tmp_path, world.pins()))
    assert (finding.verdict, finding.index) == (Verdict.INCOMPLETE, 4)
    assert world.evidence.digest in finding.message


def test_a_changed_document_is_tampered_and_names_its_entry(
    tmp_path: Path, world: Any, only: Callable[..., Any]
) -> None:
    world.export(tmp_path, "dev")
    path = tmp_path / "dev/envelopes" / world.evidence.digest
    path.write_bytes(path.read_bytes() + b" ")
    finding = only(verify_export(tmp_path, world.pins()))
    assert (finding.verdict, finding.index) == (Verdict.TAMPERED, 4)


def test_a_document_that_no_entry_names_must_still_be_whole(
    tmp_path: Path, world: Any, only: Callable[..., Any]
) -> None:
    world.export(tmp_path, "dev")
    (tmp_path / "dev/envelopes" / ("0" * 64)).write_bytes(b"smuggled")
    assert only(verify_export(tmp_path, world.pins())).verdict is Verdict.TAMPERED


def test_a_hash_tile_that_is_not_of_the_entries_is_tampered(
    tmp_path: Path, world: Any, only: Callable[..., Any]
) -> None:
    world.export(tmp_path, "dev")
    path = tmp_path / "dev/tile/0/000.p/5"
    path.write_bytes(path.read_bytes()[::-1])
    finding = only(verify_export(tmp_path, world.pins()))
    assert (finding.verdict, finding.index) == (Verdict.TAMPERED, None)


@pytest.mark.parametrize("make", ["link", "pipe", "directory", "large"])
def test_files_that_are_no_plain_files_are_neither_followed_nor_waited_for(
    tmp_path: Path, world: Any, make: str
) -> None:
    world.export(tmp_path, "dev")
    path = tmp_path / "dev/checkpoint"
    path.rename(tmp_path / "elsewhere")
    if make == "link":
        path.symlink_to(tmp_path / "elsewhere")
    elif make == "pipe":
        os.mkfifo(path)
    elif make == "directory":
        path.mkdir()
    else:
        path.write_bytes((tmp_path / "elsewhere").read_bytes() + b"\n" * 70_000)
    report = verify_export(tmp_path, world.pins())
    assert [finding.verdict for finding in report.findings] == [Verdict.TAMPERED]


# --- what the auditor holds ---------------------------------------------------------------------------------


def test_a_checkpoint_by_an_unknown_key_cannot_be_verified(
    tmp_path: Path, world: Any, only: Callable[..., Any]
) -> None:
    world.export(tmp_path, "dev")
    forged = sign_checkpoint(world.dev.checkpoint(), LogKey.generate("example.com/dev"))
    (tmp_path / "dev/checkpoint").write_text(forged)
    report = verify_export(tmp_path, world.pins())
    assert only(report).verdict is Verdict.CANNOT_VERIFY
    assert report.environments == {}


def test_a_checkpoint_of_another_environment_is_refused(
    tmp_path: Path, world: Any, only: Callable[..., Any]
) -> None:
    world.export(tmp_path)
    shutil.copy(tmp_path / "prod/checkpoint", tmp_path / "dev/checkpoint")
    assert only(verify_export(tmp_path, world.pins())).environment == "dev"


def test_an_environment_without_pins_cannot_be_verified(
    tmp_path: Path, world: Any, only: Callable[..., Any]
) -> None:
    world.export(tmp_path)
    (tmp_path / "prod").rename(tmp_path / "staging")
    finding = only(verify_export(tmp_path, world.pins()))
    assert (finding.verdict, finding.environment) == (Verdict.CANNOT_VERIFY, "staging")


def test_a_log_that_goes_on_from_the_earlier_checkpoint_is_ok(tmp_path: Path, world: Any) -> None:
    earlier = {"dev": world.dev.checkpoint(), "prod": world.prod.checkpoint(0)}
    world.promote()
    assert world.audit(tmp_path, earlier=earlier).ok
    assert world.audit(tmp_path, earlier={"dev": world.dev.checkpoint()}).ok


def test_a_history_that_was_rewritten_with_the_logs_own_key_is_found(
    tmp_path: Path, world: Any, only: Callable[..., Any]
) -> None:
    earlier = {"dev": world.dev.checkpoint()}
    world.dev.entries[3] = world.dev.entries[3].replace(b"fraud", b"frauds")
    world.dev.add(EntryType.ALIAS_MOVED, {"alias": "champion"}, old="", new="1")
    assert world.audit(tmp_path).ok
    finding = only(world.audit(tmp_path, earlier=earlier))
    assert finding.verdict is Verdict.TAMPERED
    assert "rewritten" in finding.message


def test_a_log_that_was_cut_with_its_own_key_is_found(
    tmp_path: Path, world: Any, only: Callable[..., Any]
) -> None:
    earlier = {"dev": world.dev.checkpoint()}
    world.dev.entries.pop()
    finding = only(world.audit(tmp_path, earlier=earlier))
    assert (finding.verdict, finding.index) == (Verdict.TAMPERED, 4)
    assert "cut" in finding.message


def test_an_older_checkpoint_put_back_leaves_its_tiles_behind(tmp_path: Path, world: Any) -> None:
    for _ in range(300):
        world.dev.add(EntryType.ALIAS_MOVED, {"alias": "champion"}, old="1", new="2")
    world.export(tmp_path, "dev")
    (tmp_path / "dev/checkpoint").write_text(world.dev.signed_checkpoint(256))
    report = verify_export(tmp_path, world.pins())
    strays = [finding for finding in report.findings if "replaced" in finding.message]
    assert {finding.verdict for finding in strays} == {Verdict.TAMPERED}
    assert len(strays) == 2


def test_an_earlier_checkpoint_of_another_log_cannot_be_compared(
    tmp_path: Path, world: Any, only: Callable[..., Any]
) -> None:
    earlier = {"dev": Checkpoint("example.com/other", 2, world.dev.checkpoint(2).root)}
    assert only(world.audit(tmp_path, earlier=earlier)).verdict is Verdict.CANNOT_VERIFY


def test_an_environment_that_was_audited_before_must_be_there(
    tmp_path: Path, world: Any, only: Callable[..., Any]
) -> None:
    world.export(tmp_path, "prod")
    finding = only(verify_export(tmp_path, world.pins(), earlier={"dev": world.dev.checkpoint()}))
    assert (finding.verdict, finding.environment) == (Verdict.INCOMPLETE, "dev")


def test_an_export_of_nothing_is_not_ok(tmp_path: Path, world: Any, only: Callable[..., Any]) -> None:
    assert only(verify_export(tmp_path, world.pins())).verdict is Verdict.INCOMPLETE


def test_a_directory_that_cannot_be_read_gets_a_typed_error(tmp_path: Path, world: Any) -> None:
    with pytest.raises(FileUnreadableError):
        verify_export(tmp_path / "absent", world.pins())


# --- what was logged ----------------------------------------------------------------------------------------


def test_what_was_logged_and_is_no_entry_is_named(
    tmp_path: Path, world: Any, only: Callable[..., Any]
) -> None:
    world.dev.entries.append(b'{"free": "text"}')
    finding = only(world.audit(tmp_path))
    assert (finding.verdict, finding.index) == (Verdict.POLICY_VIOLATED, 5)


def test_an_entry_of_another_environment_is_named(
    tmp_path: Path, world: Any, only: Callable[..., Any]
) -> None:
    index = world.dev.add(EntryType.ALIAS_MOVED, {"alias": "champion"}, environment="prod", old="", new="1")
    finding = only(world.audit(tmp_path))
    assert (finding.verdict, finding.index) == (Verdict.POLICY_VIOLATED, index)
    assert finding.affects == ("alias champion",)


@pytest.mark.parametrize(("seconds", "ok"), [(30, True), (90, False)])
def test_time_goes_back_by_no_more_than_a_small_skew(
    tmp_path: Path, world: Any, seconds: int, ok: bool
) -> None:
    time = world.now - timedelta(seconds=seconds)
    world.dev.add(EntryType.ALIAS_MOVED, {"alias": "champion"}, time=time, old="", new="1")
    report = world.audit(tmp_path)
    assert report.ok is ok
    assert all("time" in finding.message for finding in report.findings)


# --- whatever is done to the files --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pristine")


MUTATIONS: dict[str, Callable[[bytes, int, bytes], bytes]] = {
    "truncate": lambda data, at, _: data[:at],
    "insert": lambda data, at, junk: data[:at] + junk + data[at:],
    "flip": lambda data, at, junk: data[:at] + bytes([data[at] ^ (1 << junk[0] % 8)]) + data[at + 1 :],
    "plus one": lambda data, at, _: data[:at] + bytes([(data[at] + 1) % 256]) + data[at + 1 :],
    "minus one": lambda data, at, _: data[:at] + bytes([(data[at] - 1) % 256]) + data[at + 1 :],
    "remove": lambda data, at, _: data[:at] + data[at + 1 :],
    "swap": lambda data, at, _: data[at:] + data[:at],
    "trailing": lambda data, _, junk: data + junk,
    "replace": lambda _data, _at, junk: junk,
    "empty": lambda _data, _at, _junk: b"",
    "double": lambda data, _at, _junk: data * 2,
}


@settings(
    max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_no_mutation_of_any_file_is_ok_or_crashes(pristine: Path, world: Any, data: st.DataObject) -> None:
    export = pristine / "export"
    if not export.exists():
        world.promote()
        assert world.audit(export).ok
    paths = sorted(path for path in export.rglob("*") if path.is_file())
    path = data.draw(st.sampled_from(paths))
    original = path.read_bytes()
    mutate = MUTATIONS[data.draw(st.sampled_from(sorted(MUTATIONS)))]
    at = data.draw(st.integers(0, len(original) - 1))
    changed = mutate(original, at, data.draw(st.binary(min_size=1, max_size=8)))
    if changed == original:
        return
    path.write_bytes(changed)
    try:
        report = verify_export(export, world.pins())
    finally:
        path.write_bytes(original)
    assert not report.ok
    assert json.dumps(report.to_json())


@settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_no_two_files_can_change_places(pristine: Path, world: Any, data: st.DataObject) -> None:
    export = pristine / "swapped"
    if not export.exists():
        world.promote()
        assert world.audit(export).ok
    paths = sorted(path for path in export.rglob("*") if path.is_file())
    one, other = data.draw(st.lists(st.sampled_from(paths), min_size=2, max_size=2, unique=True))
    originals = one.read_bytes(), other.read_bytes()
    if originals[0] == originals[1]:
        return
    one.write_bytes(originals[1])
    other.write_bytes(originals[0])
    try:
        report = verify_export(export, world.pins())
    finally:
        one.write_bytes(originals[0])
        other.write_bytes(originals[1])
    assert not report.ok


@settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(entries=st.lists(st.binary(max_size=60), max_size=6), document=st.binary(max_size=60))
def test_garbage_that_is_well_signed_neither_passes_nor_crashes(
    pristine: Path, world: Any, log_keys: dict[str, LogKey], entries: list[bytes], document: bytes
) -> None:
    root = root_of(leaf_hash(entry) for entry in entries)
    checkpoint = sign_checkpoint(Checkpoint("example.com/dev", len(entries), root), log_keys["dev"])
    with ExportWriter(pristine / "garbage").environment("dev") as export:
        export.write_log(entries, checkpoint)
        export.add_document(document)
    report = verify_export(pristine / "garbage", world.pins())
    assert report.ok is (not entries)
    assert len(report.findings) == len(entries)

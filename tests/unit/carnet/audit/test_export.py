from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from carnet.audit.export import ExportWriter
from carnet.audit.verify import verify_export
from carnet.canonical import sha256_hex
from carnet.errors import (
    FileUnreadableError,
    InvalidInputError,
    ProofInvalidError,
    ReferenceInvalidError,
    StorageFullError,
)
from carnet.translog.checkpoint import Checkpoint, LogKey, sign_checkpoint
from carnet.translog.tiles import encode_bundle, entry_bundles, hash_tiles
from carnet.translog.tree import leaf_hash, root_of


def files(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}


def signed(entries: list[bytes]) -> str:
    root = root_of(leaf_hash(entry) for entry in entries)
    return sign_checkpoint(
        Checkpoint("example.com/dev", len(entries), root), LogKey.generate("example.com/dev")
    )


def test_the_layout_is_that_of_tiles(tmp_path: Path) -> None:
    entries = [b"entry %d" % index for index in range(600)]
    with ExportWriter(tmp_path).environment("dev") as export:
        assert export.write_log(iter(entries), signed(entries)) == 600
        digest = export.add_document(b"a document")
    assert digest == sha256_hex(b"a document")
    tiles = {tile.path for tile in [*entry_bundles(600), *hash_tiles(600)]}
    assert files(tmp_path / "dev") == tiles | {"checkpoint", f"envelopes/{digest}"}
    assert (tmp_path / "dev/tile/entries/002.p/88").read_bytes() == encode_bundle(entries[512:])
    assert (tmp_path / "dev/tile/0/000").read_bytes()[:32] == leaf_hash(b"entry 0")
    assert (tmp_path / "dev/envelopes" / digest).read_bytes() == b"a document"


def test_stored_hashes_are_written_as_they_are(tmp_path: Path) -> None:
    hashes = [bytes([index]) * 32 for index in range(3)]
    with ExportWriter(tmp_path).environment("dev") as export:
        export.write_log([b"a", b"b", b"c"], signed([b"a", b"b", b"c"]), hashes)
    assert (tmp_path / "dev/tile/0/000.p/3").read_bytes() == b"".join(hashes)


def test_entries_beyond_the_checkpoint_are_left_alone(tmp_path: Path) -> None:
    with ExportWriter(tmp_path).environment("dev") as export:
        assert export.write_log([b"a", b"b", b"c"], signed([b"a", b"b"])) == 2
    assert (tmp_path / "dev/tile/entries/000.p/2").read_bytes() == encode_bundle([b"a", b"b"])


def test_a_log_that_is_held_back_is_written_as_far_as_it_goes(tmp_path: Path, world: Any) -> None:
    with ExportWriter(tmp_path).environment("dev") as export:
        assert export.write_log(world.dev.entries[:3], world.dev.signed_checkpoint()) == 3
    report = verify_export(tmp_path, world.pins())
    assert [finding.verdict for finding in report.findings] == ["incomplete"]


def test_a_second_export_replaces_the_first_and_leaves_others(tmp_path: Path) -> None:
    for name, document in [("dev", b"old"), ("prod", b"other"), ("dev", b"new")]:
        with ExportWriter(tmp_path).environment(name) as export:
            export.write_log([b"a"], signed([b"a"]))
            export.add_document(document)
    assert f"envelopes/{sha256_hex(b'old')}" not in files(tmp_path / "dev")
    assert f"envelopes/{sha256_hex(b'new')}" in files(tmp_path / "dev")
    assert f"envelopes/{sha256_hex(b'other')}" in files(tmp_path / "prod")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dev", "prod"]


def test_an_export_that_breaks_off_leaves_the_one_before(tmp_path: Path) -> None:
    with ExportWriter(tmp_path).environment("dev") as export:
        export.write_log([b"a"], signed([b"a"]))
    before = files(tmp_path)

    def breaking_off() -> Any:
        yield b"b"
        raise ConnectionError

    with pytest.raises(ConnectionError), ExportWriter(tmp_path).environment("dev") as export:
        export.write_log(breaking_off(), signed([b"b", b"c"]))
    assert files(tmp_path) == before


def test_what_a_killed_export_left_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / ".dev.partial/tile").mkdir(parents=True)
    (tmp_path / ".dev.partial/tile/junk").write_bytes(b"junk")
    (tmp_path / ".dev.replaced").mkdir()
    (tmp_path / ".dev.replaced/checkpoint").write_bytes(b"the whole copy before")
    with ExportWriter(tmp_path).environment("dev") as export:
        assert (tmp_path / "dev/checkpoint").read_bytes() == b"the whole copy before"
        export.write_log([b"a"], signed([b"a"]))
    assert files(tmp_path) == {"dev/checkpoint", "dev/tile/entries/000.p/1", "dev/tile/0/000.p/1"}


def test_a_log_without_a_checkpoint_is_not_shown(tmp_path: Path) -> None:
    with (
        pytest.raises(InvalidInputError, match="not finished"),
        ExportWriter(tmp_path).environment("dev") as export,
    ):
        export.append_entry(b"a")
    assert files(tmp_path) == set()


def test_a_checkpoint_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProofInvalidError), ExportWriter(tmp_path).environment("dev") as export:
        export.write_log([b"a"], "junk")


@pytest.mark.parametrize(("entries", "hashes"), [([bytes(65_536)], None), ([b"a"], [b"short"]), ([b"a"], [])])
def test_what_cannot_be_in_a_log_is_refused(tmp_path: Path, entries: list[bytes], hashes: Any) -> None:
    with pytest.raises(InvalidInputError), ExportWriter(tmp_path).environment("dev") as export:
        export.write_log(entries, signed([b"a"]), hashes)


@pytest.mark.parametrize("name", ["", "..", "a/b", ".dev"])
def test_a_name_that_is_no_environments_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ReferenceInvalidError):
        ExportWriter(tmp_path).environment(name)


@pytest.mark.parametrize(
    ("code", "expected"), [(errno.ENOSPC, StorageFullError), (errno.EACCES, FileUnreadableError)]
)
def test_a_disk_that_refuses_gets_a_typed_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, expected: type[Exception]
) -> None:
    def refuse(*_: Any) -> int:
        raise OSError(code, "refused")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(expected), ExportWriter(tmp_path).environment("dev") as export:
        export.write_log([b"a"], signed([b"a"]))
    assert not (tmp_path / "dev").exists()


def test_a_place_that_is_a_file_gets_a_typed_error(tmp_path: Path) -> None:
    (tmp_path / "export").write_bytes(b"")
    with pytest.raises(FileUnreadableError), ExportWriter(tmp_path / "export").environment("dev"):
        pass

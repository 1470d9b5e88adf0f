"""An export whose tiles and documents lie on other storage, behind links to folders: it verifies, or it does not."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from carnet.audit.report import Verdict
from carnet.audit.verify import verify_export
from carnet.translog.entry import EntryType
from carnet.translog.tiles import Tile

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def export(tmp_path: Path, world: Any) -> Path:
    """A copy with full tiles; its `tile` and `envelopes` were moved to `archive`, and linked to."""
    world.promote()
    moved = dict(world.prod_subject()) | {"alias": "champion"}
    del moved["promotion"]
    for _ in range(300):
        world.prod.add(EntryType.ALIAS_MOVED, moved, old="1", new="1")
    export = tmp_path / "export"
    world.export(export)
    assert (export / "prod" / "tile" / "entries" / "000").is_file()
    for name in ("dev", "prod"):
        (tmp_path / "archive" / name).mkdir(parents=True)
        for part in ("tile", "envelopes"):
            place, beyond = export / name / part, tmp_path / "archive" / name / part
            shutil.move(place, beyond)
            place.symlink_to(beyond, target_is_directory=True)
    return export


def test_it_verifies_where_its_tiles_and_documents_were_moved(export: Path, world: Any) -> None:
    report = verify_export(export, world.pins())
    assert report.findings == ()
    assert report.environments["prod"].size == len(world.prod.entries)


@pytest.mark.parametrize("path", ["prod/tile/entries/000", "prod/tile/0/000", "dev/envelopes"])
def test_what_was_changed_there_is_found(path: str, export: Path, world: Any, tmp_path: Path) -> None:
    place = tmp_path / "archive" / path
    if place.is_dir():
        place = min(place.iterdir())
    data = bytearray(place.read_bytes())
    data[len(data) // 2] ^= 1
    place.write_bytes(data)
    report = verify_export(export, world.pins())
    assert not report.ok
    assert Verdict.TAMPERED in {finding.verdict for finding in report.findings}


def test_a_tile_of_another_tree_is_found_there(export: Path, world: Any, tmp_path: Path) -> None:
    beyond = tmp_path / "archive" / "prod" / Tile(0, 5).path
    beyond.write_bytes(b"\0" * 8192)
    report = verify_export(export, world.pins())
    assert [finding.verdict for finding in report.findings] == [Verdict.TAMPERED]


def test_storage_that_is_not_there_is_never_a_pass(export: Path, world: Any, tmp_path: Path) -> None:
    (tmp_path / "archive").rename(tmp_path / "elsewhere")
    report = verify_export(export, world.pins())
    assert not report.ok
    assert {finding.verdict for finding in report.findings} == {Verdict.INCOMPLETE}
    assert {finding.environment for finding in report.findings} == {"dev", "prod"}


def test_a_new_copy_leaves_what_was_moved_alone(export: Path, world: Any, tmp_path: Path) -> None:
    kept = {path: path.read_bytes() for path in (tmp_path / "archive").rglob("*") if path.is_file()}
    world.export(export)
    assert not (export / "prod" / "tile").is_symlink()
    assert verify_export(export, world.pins()).ok
    assert {path: path.read_bytes() for path in (tmp_path / "archive").rglob("*") if path.is_file()} == kept

"""The mutation catalogue: every file of a real export, changed in every way, is refused with a verdict."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from carnet.audit.codes import Code
from carnet.audit.report import Verdict
from carnet.audit.verify import verify_export
from carnet.translog.entry import EntryType
from carnet.translog.tiles import parse_bundle
from tests.unit.carnet.audit.conftest import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from carnet.audit.report import AuditReport


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, World]:
    """An export with a promotion, full bundles and open ones, and hash tiles of two levels."""
    world = World()
    world.promote()
    for number in range(505):
        world.prod.add(EntryType.ALIAS_MOVED, {"alias": "canary"}, old="", new=str(number % 7 + 1))
    directory = tmp_path_factory.mktemp("catalogue") / "export"
    assert world.audit(directory).ok
    return directory, world


def places(data: bytes) -> Iterator[int]:
    """Where a file is changed: at its ends, and between."""
    return iter(sorted({0, len(data) // 2, len(data) - 1}))


def at_each(change: Callable[[bytes, int], bytes]) -> Callable[[bytes], Iterator[bytes]]:
    return lambda data: (change(data, at) for at in places(data))


CATALOGUE: dict[str, Callable[[bytes], Iterator[bytes]]] = {
    "truncate": at_each(lambda data, at: data[:at]),
    "insert": at_each(lambda data, at: data[:at] + b"\0" + data[at:]),
    "swap": at_each(lambda data, at: data[at:] + data[:at]),
    "flip": at_each(lambda data, at: data[:at] + bytes([data[at] ^ 0x01]) + data[at + 1 :]),
    "flip the high bit": at_each(lambda data, at: data[:at] + bytes([data[at] ^ 0x80]) + data[at + 1 :]),
    "remove": at_each(lambda data, at: data[:at] + data[at + 1 :]),
    "size + 1": lambda data: iter([data + b"\n", data + b"\0"]),
    "size - 1": lambda data: iter([data[:-1], data[1:]]),
    "x 2": lambda data: iter([data * 2]),
    "trailing bytes": lambda data: iter([data + b"trailing", data + data[:32]]),
    "line ends": lambda data: iter([data.replace(b"\n", b"\r\n")]),
}


def refused(report: AuditReport, what: str) -> None:
    assert not report.ok, f"{what} passed"
    assert report.findings
    for finding in report.findings:
        assert finding.verdict in set(Verdict)
        assert finding.code in set(Code)
        assert finding.message
    assert json.loads(json.dumps(report.to_json()))["ok"] is False


def files(directory: Path) -> list[Path]:
    """Return every file of the chains, and some of the documents, which are all read in one way."""
    found = sorted(path for path in directory.rglob("*") if path.is_file())
    documents = [path for path in found if path.parent.name == "envelopes"]
    return [path for path in found if path not in documents] + documents[::6]


@pytest.mark.parametrize("way", CATALOGUE)
def test_no_file_can_be_changed(export: tuple[Path, World], way: str) -> None:
    directory, world = export
    pins = world.pins()
    for path in files(directory):
        original = path.read_bytes()
        for changed in CATALOGUE[way](original):
            if changed == original:
                continue
            path.write_bytes(changed)
            try:
                report = verify_export(directory, pins)
            finally:
                path.write_bytes(original)
            refused(report, f"{way} of {path.relative_to(directory)}")
    assert verify_export(directory, pins).ok


def test_no_file_can_be_missing_or_empty(export: tuple[Path, World]) -> None:
    directory, world = export
    for path in files(directory):
        original = path.read_bytes()
        for take_away in (path.unlink, lambda path=path: path.write_bytes(b"")):
            take_away()
            try:
                report = verify_export(directory, world.pins())
            finally:
                path.write_bytes(original)
            refused(report, f"{path.relative_to(directory)}")


def test_no_file_of_another_environment_is_taken(export: tuple[Path, World]) -> None:
    directory, world = export
    for path in files(directory / "prod"):
        other = directory / "dev" / path.relative_to(directory / "prod")
        original = path.read_bytes()
        if not other.exists() or other.read_bytes() == original:
            continue
        shutil.copy(other, path)
        try:
            report = verify_export(directory, world.pins())
        finally:
            path.write_bytes(original)
        refused(report, f"dev's {path.relative_to(directory)}")
        assert {each.environment for each in report.findings} == {"prod"}


def test_an_environment_in_the_place_of_another_is_refused(export: tuple[Path, World]) -> None:
    directory, world = export
    (directory / "prod").rename(directory / ".prod")
    shutil.copytree(directory / "dev", directory / "prod")
    try:
        refused(verify_export(directory, world.pins()), "dev in the place of prod")
    finally:
        shutil.rmtree(directory / "prod")
        (directory / ".prod").rename(directory / "prod")


@pytest.mark.parametrize("kind", ["entries", "0"])
def test_bundles_cannot_change_places(export: tuple[Path, World], kind: str) -> None:
    directory, world = export
    one, other = (directory / f"prod/tile/{kind}/00{number}" for number in range(2))
    one.rename(one.with_suffix(".away"))
    other.rename(one)
    one.with_suffix(".away").rename(other)
    try:
        report = verify_export(directory, world.pins())
    finally:
        one.rename(one.with_suffix(".away"))
        other.rename(one)
        one.with_suffix(".away").rename(other)
    refused(report, "reordered")
    if kind == "entries":
        assert (report.findings[0].code, report.findings[0].index) == (Code.ENTRY_CHANGED, 0)


def test_a_bundle_that_changes_between_the_passes_is_refused(
    export: tuple[Path, World], tmp_path: Path
) -> None:
    """What was hashed must be what is judged, though somebody else writes to the files meanwhile."""
    directory, world = tmp_path / "export", export[1]
    shutil.copytree(export[0], directory)
    path = directory / "prod/tile/entries/001"
    changed = path.read_bytes().replace(b'"new":"1"', b'"new":"9"')
    assert len(parse_bundle(changed, width=256)) == 256

    def meanwhile(name: str, record: Any) -> None:
        if (name, record.index) == ("prod", 3):
            path.write_bytes(changed)

    report = verify_export(directory, world.pins(), watch=meanwhile)
    refused(report, "a change between the passes")
    (finding,) = report.findings
    assert (finding.code, finding.index, finding.environment) == (Code.CHANGED_WHILE_READ, 256, "prod")

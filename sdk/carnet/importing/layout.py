"""A registry that is a folder: what stands in it, read and checked, and never changed.

Responsible for the layout: a folder ``v1``, ``v2``, … for each version, with its artifacts and a
``manifest.json`` that gives a SHA-256 for each of them, and ``active_version.json`` beside them, which says
which version is current and which was before. Invariants: nothing is reached through a symlink; every file of
a version has a checksum, and every checksum a file. Does not hash the artifacts.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from carnet.bundle.files import list_files, open_file
from carnet.bundle.paths import MANIFEST_NAME
from carnet.errors import DocumentInvalidError, FileUnreadableError, PathRefusedError
from carnet.importing.folder_manifest import FolderManifest, Pointer, parse_folder_manifest, parse_pointer
from carnet.references import check_version_number

if TYPE_CHECKING:
    from pathlib import Path

POINTER_NAME = "active_version.json"
MAX_JSON_BYTES = 1 << 20
_SHOWN_GAPS = 20
_VERSION = re.compile(r"v([1-9][0-9]*)")
_LIKE_A_VERSION = re.compile(r"[vV]?[0-9]+.*")


@dataclass(frozen=True, slots=True)
class FolderVersion:
    """One version of a folder registry.

    Attributes:
        number: Its number.
        root: Its folder.
        manifest: What its manifest says.
        artifacts: The file of each artifact, by the artifact's name.
    """

    number: int
    root: Path
    manifest: FolderManifest
    artifacts: dict[str, str]

    @property
    def name(self) -> str:
        """Its name there, such as ``v3``."""
        return f"v{self.number}"

    @property
    def checksums(self) -> dict[str, str]:
        """The SHA-256 that is stated for each file."""
        stated = self.manifest.checksums
        return {path: stated[artifact] for artifact, path in self.artifacts.items()}


@dataclass(frozen=True, slots=True)
class FolderStore:
    """A folder registry.

    Attributes:
        root: Its folder.
        versions: Its versions, by number.
        current: The number of the version that is live; 0 for none.
        previous: The number of the one that was live before; 0 for none.
    """

    root: Path
    versions: tuple[FolderVersion, ...]
    current: int
    previous: int

    def pointed(self, number: int) -> str:
        """Return how the pointer names a version: ``current``, ``previous``, or empty for not at all."""
        return {self.previous: "previous", self.current: "current"}.get(number, "")


def read_store(root: Path, *, gaps: bool = False) -> FolderStore:
    """Read a folder registry.

    Args:
        root: Its folder.
        gaps: Whether numbers may be missing, as they are where old versions were purged; a pointer to a
            previous version that is gone then counts for nothing.

    Returns:
        What is in it.

    Raises:
        FileUnreadableError: It is no folder, has no versions, or something in it cannot be read.
        PathRefusedError: Something in it is a symlink, or a name climbs out of it.
        DocumentInvalidError: A manifest or the pointer is malformed, a folder is no version, a number is
            missing, a file has no checksum, or the pointer names a version that is not there.
    """
    numbers = _version_numbers(root)
    if not numbers:
        raise FileUnreadableError(f"{root} has no versions: v1, v2, … are wanted, each a folder")
    there = set(numbers)
    if not gaps:
        _refuse_gaps(root, there, numbers[-1])
    versions = tuple(_read_version(root, number) for number in numbers)
    pointer = _read_pointer(root)
    current = _pointed(root, "current", pointer.current, there)
    gone_is_fine = gaps and pointer.previous is not None and _number(pointer.previous) not in there
    previous = 0 if gone_is_fine else _pointed(root, "previous", pointer.previous, there)
    return FolderStore(root, versions, current, previous if previous != current else 0)


def _version_numbers(root: Path) -> list[int]:
    found = []
    try:
        with os.scandir(root) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_symlink():
                    raise PathRefusedError(
                        f"{root / entry.name} is a symlink: put the folder or the file itself there",
                        metadata={"path": ascii(entry.name)},
                    )
                if entry.is_dir() or _LIKE_A_VERSION.fullmatch(entry.name):
                    found.append(_number_of_folder(root, entry))
    except OSError as error:
        raise FileUnreadableError(f"{root} cannot be read as a folder: {error.strerror or error}") from error
    return sorted(found)


def _refuse_gaps(root: Path, there: set[int], newest: int) -> None:
    absent = (f"v{number}" for number in range(1, newest) if number not in there)
    names = ", ".join(islice(absent, _SHOWN_GAPS))
    if names:
        raise DocumentInvalidError(
            f"{root}: missing below v{newest}: {names}: numbers are given without gaps here; put the "
            "versions back, or have new numbers given (--renumber)",
            metadata={"field": "version", "missing": names},
        )


def _number_of_folder(root: Path, entry: os.DirEntry[str]) -> int:
    number = _number(entry.name)
    if number and entry.is_dir(follow_symlinks=False):
        return check_version_number(number)
    raise DocumentInvalidError(
        f"{root / entry.name} is no version: a version is a folder whose name is v and a number, such as v3",
        metadata={"field": "version", "path": ascii(entry.name)},
    )


def _number(name: str) -> int:
    """Return the number in a version's name; 0 where it is none."""
    match = _VERSION.fullmatch(name[:12])
    return int(match[1]) if match else 0


def _read_version(root: Path, number: int) -> FolderVersion:
    folder = root / f"v{number}"
    present = [path for path in list_files(folder) if path != MANIFEST_NAME]
    manifest = parse_folder_manifest(
        _read(folder, MANIFEST_NAME), what=str(folder / MANIFEST_NAME), name=folder.name
    )
    artifacts: dict[str, str] = {}
    for path in present:
        artifact = path.partition(".")[0]
        if artifact not in manifest.checksums:
            field = f"{ascii(artifact)[1:-1]}_sha256"
            raise DocumentInvalidError(
                f"{folder / path} has no checksum: {MANIFEST_NAME} should have {field}",
                metadata={"field": field, "path": ascii(path)},
            )
        if artifact in artifacts:
            raise DocumentInvalidError(
                f"{folder}: {artifacts[artifact]} and {path} can both be what {artifact}_sha256 is of; "
                "take one away",
                metadata={"field": f"{artifact}_sha256", "path": ascii(path)},
            )
        artifacts[artifact] = path
    lost = sorted(manifest.checksums.keys() - artifacts.keys())
    if lost:
        raise FileUnreadableError(
            f"{folder}: {', '.join(lost)} is missing: {MANIFEST_NAME} has a checksum for it",
            metadata={"path": ",".join(lost)},
        )
    return FolderVersion(number, folder, manifest, artifacts)


def _read_pointer(root: Path) -> Pointer:
    if not (root / POINTER_NAME).exists():
        return Pointer()
    return parse_pointer(_read(root, POINTER_NAME), what=str(root / POINTER_NAME))


def _pointed(root: Path, field: str, name: str | None, there: set[int]) -> int:
    if name is None:
        return 0
    number = _number(name)
    if number not in there:
        raise DocumentInvalidError(
            f"{root / POINTER_NAME}: {field}: {name[:80]!r} is not a version that is there",
            metadata={"field": field},
        )
    return number


def _read(folder: Path, name: str) -> bytes:
    with open_file(folder, name) as file:
        try:
            data = file.read(MAX_JSON_BYTES + 1)
        except OSError as error:
            raise FileUnreadableError(f"{folder / name} cannot be read: {error.strerror or error}") from error
    return data or b""

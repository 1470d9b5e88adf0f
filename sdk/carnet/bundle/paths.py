"""Which paths a bundle may have.

Responsible for the rules by which a path names the same file, inside the bundle, on every system that a
bundle may come to. They are pure: nothing here touches a disk (``carnet.bundle.files`` does, and refuses
symlinks).

Invariants: a path that passes is relative, has ``/`` between its parts and no part that climbs; of paths that
pass together, no two meet on a file system that folds case or normalises Unicode.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from carnet.errors import PathRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable

MANIFEST_NAME = "manifest.json"
SIGNATURE_NAME = "model.sig"
RESERVED_NAMES = frozenset({MANIFEST_NAME, SIGNATURE_NAME})
MAX_PATH_BYTES = 1024
_MAX_PART_BYTES = 255
# Control, format (zero-width and direction marks), surrogate, and line or paragraph separator characters.
_REFUSED_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def check_path(path: str) -> str:
    """Return a path if it may stand in a bundle.

    Args:
        path: The path below the bundle's root, with ``/`` between its parts.

    Raises:
        PathRefusedError: It is empty, absolute, or too long; has an empty part, ``.``, ``..`` or one that
            begins with ``.git``; or has a backslash, a control character or an invisible one.
    """
    problem = _problem_of(path)
    if problem:
        raise _refused(path, problem)
    return path


def check_paths(paths: Iterable[str]) -> None:
    """Insist that paths are fit to be the files of one bundle together.

    Args:
        paths: The paths of all files, without the reserved ``manifest.json`` and ``model.sig``.

    Raises:
        PathRefusedError: One may not stand in a bundle, is reserved, is given twice, equals another after
            case folding and Unicode normalisation, or is both a file and a folder.
    """
    names: dict[str, str] = {}
    files: set[str] = set()
    folders: set[str] = set()
    for path in paths:
        check_path(path)
        folded = fold(path)
        if folded in RESERVED_NAMES:
            raise _refused(path, "this name is reserved for what Carnet writes itself; rename the file")
        if names.get(folded) == path and folded in files:
            raise _refused(path, "given twice")
        for prefix in _prefixes(path):
            first = names.setdefault(fold(prefix), prefix)
            if first != prefix:
                raise _refused(path, f"{prefix!r} and {first!r} are the same name where case does not count")
        above = {fold(prefix) for prefix in _prefixes(path)[:-1]}
        if folded in folders or above & files:
            raise _refused(path, "would make one name a file and a folder at once")
        files.add(folded)
        folders |= above


def fold(path: str) -> str:
    """Return what a path is compared by: NFC, case folding, NFC again."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def _prefixes(path: str) -> list[str]:
    """Return the folders on the way to a path, and the path."""
    parts = path.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]


def _problem_of(path: str) -> str:
    parts = path.split("/")
    sizes = [len(part.encode("utf-8", "surrogatepass")) for part in parts]
    problems = (
        (not path, "empty"),
        (path.startswith("/"), "absolute; write it relative to the bundle's folder"),
        ("\\" in path, "has a backslash; write '/' between its parts"),
        (
            any(unicodedata.category(character) in _REFUSED_CATEGORIES for character in path),
            "has a control character or an invisible one",
        ),
        (".." in parts, "climbs out with '..'"),
        ("" in parts or "." in parts, "has a part that is empty or '.'"),
        (
            any(part.casefold().startswith(".git") for part in parts),
            "has a part that begins with '.git', which other tools leave out of signatures",
        ),
        (
            sum(sizes) + len(parts) - 1 > MAX_PATH_BYTES or max(sizes) > _MAX_PART_BYTES,
            f"longer than {MAX_PATH_BYTES} bytes, or {_MAX_PART_BYTES} in one part",
        ),
    )
    return next((problem for found, problem in problems if found), "")


def _refused(path: str, problem: str) -> PathRefusedError:
    shown = ascii(path[:160])
    return PathRefusedError(f"path {shown} refused: {problem}", metadata={"field": "path", "path": shown})

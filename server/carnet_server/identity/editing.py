"""Changing a document that people wrote, and leaving all of it as they wrote it but for what is added.

Responsible for adding to a list or a mapping of a YAML document as text, so that comments and order stay.
What comes out is read again and compared with what it must say; where that is not so, nothing is written.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from typing import TYPE_CHECKING, Any

from carnet.documents import YamlSource, read_file
from carnet.errors import DocumentInvalidError, FileUnreadableError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def flow(value: Mapping[str, Any]) -> str:
    """Return a mapping on one line, as YAML's flow form has it."""
    return "{" + ", ".join(f"{key}: {_scalar(each)}" for key, each in value.items()) + "}"


def _scalar(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_scalar, value)) + "]"
    if isinstance(value, dict):
        return flow(value)
    if isinstance(value, str) and re.fullmatch(r"[a-z][a-z0-9_/-]*(://[A-Za-z0-9/._-]+)?", value):
        return value if value not in {"true", "false", "null"} else json.dumps(value)
    return json.dumps(value, ensure_ascii=False)


def with_entry(text: str, key: str, entry: Mapping[str, Any] | tuple[str, str], *, name: str) -> str:
    """Return a document's text with an entry added at the top of one of its lists or mappings.

    Args:
        text: The document.
        key: The list or mapping, at the document's outermost level; it is made where it is missing.
        entry: An item for a list; for a mapping a key and its value.
        name: What to call the document in messages.

    Raises:
        DocumentInvalidError: It is not written in a form that can be added to; the message has the line.
    """
    line = f"{entry[0]}: {_scalar(entry[1])}" if isinstance(entry, tuple) else f"- {flow(entry)}"
    lines = text.splitlines(keepends=True)
    wanted = re.compile(rf"({re.escape(key)}:)(?:[ \t]*(?:\[\]|\{{\}}))?([ \t]*(?:#.*)?)\r?\n?")
    found = [(i, match) for i, each in enumerate(lines) if (match := wanted.fullmatch(each))]
    if not found:
        end = "" if not text or text.endswith("\n") else "\n"
        changed = f"{text}{end}{key}:\n  {line}\n"
    else:
        at, heading = found[0]
        following = next((each for each in lines[at + 1 :] if each.strip() and each.strip()[0] != "#"), "")
        is_inside = following.startswith((" ", "-"))
        indent = following[: len(following) - len(following.lstrip())] if is_inside else "  "
        lines[at : at + 1] = [f"{heading[1]}{heading[2]}\n", f"{indent}{line}\n"]
        changed = "".join(lines)
    before, after = YamlSource(text.encode(), name=name).value, None
    with contextlib.suppress(DocumentInvalidError):
        after = YamlSource(changed.encode(), name=name).value
    if after != _expected(before, key, entry):
        raise DocumentInvalidError(f"{name}: {key}: cannot be added to as it is written; add by hand: {line}")
    return changed


def _expected(before: dict[str, Any], key: str, entry: Mapping[str, Any] | tuple[str, str]) -> Any:
    if isinstance(entry, tuple):
        return before | {key: {entry[0]: entry[1]} | (before.get(key) or {})}
    return before | {key: [_plain(entry), *(before.get(key) or [])]}


def _plain(entry: Mapping[str, Any]) -> Any:
    return json.loads(json.dumps(entry))


def with_next_version(text: str, *, name: str) -> str:
    """Return a document's text with the next version.

    Raises:
        DocumentInvalidError: It has no line with its version.
    """
    changed, count = re.subn(
        r"^(version:[ \t]*)(\d+)",
        lambda found: f"{found[1]}{int(found[2]) + 1}",
        text,
        count=1,
        flags=re.MULTILINE,
    )
    if not count:
        raise DocumentInvalidError(f"{name}: version: no line has it; raise it by hand")
    return changed


def read_text(path: Path, *, what: str) -> str:
    """Read a document as text.

    Raises:
        FileUnreadableError: It is missing or cannot be read.
        DocumentInvalidError: It is not UTF-8.
    """
    try:
        return read_file(path, what=what).decode()
    except UnicodeDecodeError as error:
        raise DocumentInvalidError(f"{path}: not UTF-8 text at byte {error.start}") from error


def replace_text(path: Path, text: str) -> None:
    """Replace a file by another text, in one step: whoever reads it sees the old one or the new one.

    Raises:
        FileUnreadableError: It cannot be written.
    """
    fresh = path.with_name(f".{path.name}.new")
    try:
        fresh.write_text(text, encoding="utf-8")
        fresh.chmod(path.stat().st_mode & 0o777)
        os.replace(fresh, path)  # noqa: PTH105  the name says what it does
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise FileUnreadableError(f"{path} cannot be written: {error.strerror or error}") from error

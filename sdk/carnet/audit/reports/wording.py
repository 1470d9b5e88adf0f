"""How reports name things: versions, aliases, and what entries are about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.audit.fold import alias_of, version_of

if TYPE_CHECKING:
    from carnet.audit.fold import AliasName, VersionName
    from carnet.translog.entry import Entry


def name_version(name: VersionName) -> str:
    """Return ``NAMESPACE/MODEL@VERSION``; without the number for a model, and empty for none."""
    if not name.model:
        return ""
    return f"{name.namespace}/{name.model}" + (f"@{name.version}" if name.version else "")


def name_alias(name: AliasName) -> str:
    """Return ``NAMESPACE/MODEL@ALIAS``."""
    return f"{name.namespace}/{name.model}@{name.alias}"


def subject_of(entry: Entry) -> str:
    """Return what an entry is about, in a line: ``risk/fraud@3 alias champion``."""
    subject = entry.subject
    parts = [name_version(version_of(entry))]
    if not parts[0] and "namespace" in subject:
        parts[0] = f"namespace {subject['namespace']}"
    if "alias" in subject:
        parts.append(f"alias {alias_of(entry).alias}")
    parts += [f"{key} {subject[key]}" for key in ("rollout", "hold", "promotion", "key") if key in subject]
    return " ".join(each for each in parts if each)

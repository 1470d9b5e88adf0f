"""What a walk forward begins at: a dataset or a commit.

Responsible for reading ``dataset:NAME[@DIGEST]`` and ``commit:SHA``, for the filter that finds the versions
that state it, and for telling from a verified manifest whether it does. Does no I/O.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from carnet.canonical import DIGEST_PATTERN
from carnet.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from carnet.bundle.manifest import Manifest
    from carnet.lineage.graph import Kind, Relation

_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_SHORTEST_COMMIT = 7
_NAME_MAX_LENGTH = 1024


@dataclass(frozen=True, slots=True)
class Origin:
    """A dataset by its name and, if it is known, its SHA-256; or a commit by 7 digits or more."""

    dataset: str = ""
    digest: str = ""
    commit: str = ""

    @property
    def kind(self) -> Kind:
        """The kind of its node."""
        return "dataset" if self.dataset else "code"

    @property
    def relation(self) -> Relation:
        """How a bundle that was made of it is linked to it."""
        return "trained_on" if self.dataset else "built_from"

    @property
    def label(self) -> str:
        """What it is, for a person."""
        if self.commit:
            return f"commit {self.commit}"
        return f"dataset {self.dataset}" + (f" {self.digest[:12]}" if self.digest else "")

    @property
    def key(self) -> str:
        """What tells it from others."""
        return self.commit or (f"{self.dataset}@{self.digest}" if self.digest else self.dataset)

    @property
    def query(self) -> str:
        """The filter that finds the versions whose manifests may state it (AIP-160)."""
        if self.commit:
            return f'lineage.code.commit = "{self.commit[:_SHORTEST_COMMIT]}*"'
        found = f"lineage.datasets.name = {quoted(self.dataset)}"
        return f'{found} AND lineage.datasets.digest = "{self.digest}"' if self.digest else found

    def is_stated_by(self, manifest: Manifest) -> bool:
        """Whether a manifest states it.

        Of two commits of different lengths, the shorter one must begin the longer one.
        """
        lineage = manifest.lineage
        if self.commit:
            stated = lineage.code.commit if lineage.code else ""
            return bool(stated) and (stated.startswith(self.commit) or self.commit.startswith(stated))
        return any(
            each.name == self.dataset and self.digest in ("", each.digest) for each in lineage.datasets
        )


def dataset_origin(text: str) -> Origin:
    """Read ``NAME`` or ``NAME@DIGEST``; a name may have an ``@`` itself.

    Raises:
        InvalidInputError: There is no name, or it is longer than 1,024 characters.
    """
    name, at, digest = text.rpartition("@")
    if not (at and DIGEST_PATTERN.fullmatch(digest)):
        name, digest = text, ""
    if not name.strip() or len(name) > _NAME_MAX_LENGTH or not name.isprintable():
        raise InvalidInputError(
            f"dataset: {text[:80]!r} is no dataset: write its NAME, or NAME@DIGEST with its SHA-256",
            metadata={"field": "dataset"},
        )
    return Origin(dataset=name, digest=digest)


def commit_origin(text: str) -> Origin:
    """Read a commit.

    Raises:
        InvalidInputError: It is not 7 to 64 hexadecimal digits.
    """
    if not _COMMIT.fullmatch(text.lower()):
        raise InvalidInputError(
            f"commit: {text[:80]!r} is no commit: write 7 to 64 hexadecimal digits of it",
            metadata={"field": "commit"},
        )
    return Origin(commit=text.lower())


def parse_origin(text: str) -> Origin:
    """Read ``dataset:NAME[@DIGEST]`` or ``commit:SHA``.

    Raises:
        InvalidInputError: The text is neither.
    """
    kind, colon, rest = text.partition(":")
    if colon and kind == "dataset":
        return dataset_origin(rest)
    if colon and kind == "commit":
        return commit_origin(rest)
    raise InvalidInputError(
        f"{text[:80]!r} is nothing to walk forward from: write dataset:NAME, dataset:NAME@DIGEST or "
        "commit:SHA",
        metadata={"field": "from"},
    )


def descendants_query(digests: Iterable[str]) -> str:
    """Return the filter that finds the versions that name one of some bundles as a parent."""
    return " OR ".join(f'lineage.parents.digest = "{digest}"' for digest in digests)


def quoted(text: str) -> str:
    r"""Return text as a filter takes it literally: in quotes, with ``\"``, ``\\`` and ``\*``."""
    escaped = "".join(f"\\{each}" if each in '"\\*' else each for each in text)
    return f'"{escaped}"'

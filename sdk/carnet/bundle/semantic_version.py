"""Semantic versions: what a publisher says of a release beside its number.

Responsible for the form and the order of Semantic Versioning 2.0.0 (https://semver.org/spec/v2.0.0.html), and
for the next number of each kind. Does not know what may change between two of them; ``contract`` does.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator

from carnet.errors import InvalidInputError
from carnet.signing.fields import problem

Level = Literal["patch", "minor", "major"]
MAX_LENGTH = 128
_NUMBER = r"(?:0|[1-9][0-9]*)"
_PRERELEASE = rf"(?:{_NUMBER}|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)"
_FORM = re.compile(
    rf"(?P<major>{_NUMBER})\.(?P<minor>{_NUMBER})\.(?P<patch>{_NUMBER})"
    rf"(?:-(?P<prerelease>{_PRERELEASE}(?:\.{_PRERELEASE})*))?"
    r"(?:\+(?P<build>[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?"
)


@functools.total_ordering
@dataclass(frozen=True, slots=True, eq=False)
class SemanticVersion:
    """A semantic version; compared by precedence, for which the build counts for nothing (§10, §11).

    Attributes:
        major: Raised by what breaks those who use the model.
        minor: Raised by what only widens.
        patch: Raised by what changes no contract.
        prerelease: The identifiers behind ``-``; empty for a release.
        build: The identifiers behind ``+``.
    """

    major: int
    minor: int
    patch: int
    prerelease: tuple[str, ...] = ()
    build: tuple[str, ...] = ()

    @property
    def core(self) -> tuple[int, int, int]:
        """Major, minor and patch."""
        return (self.major, self.minor, self.patch)

    @property
    def is_prerelease(self) -> bool:
        """Whether it comes before a release and promises nothing (§9)."""
        return bool(self.prerelease)

    @property
    def _order(self) -> tuple[object, ...]:
        identifiers = tuple(
            (0, int(each), "") if each.isdecimal() else (1, 0, each) for each in self.prerelease
        )
        return (self.core, not self.prerelease, identifiers)

    def next(self, level: Level) -> SemanticVersion:
        """Return the least release above this one that raises a number."""
        if level == "major":
            stays = self.is_prerelease and self.minor == self.patch == 0
            return SemanticVersion(self.major if stays else self.major + 1, 0, 0)
        if level == "minor":
            stays = self.is_prerelease and self.patch == 0
            return SemanticVersion(self.major, self.minor if stays else self.minor + 1, 0)
        return SemanticVersion(self.major, self.minor, self.patch if self.is_prerelease else self.patch + 1)

    def level_above(self, earlier: SemanticVersion) -> Level:
        """Return which number was raised since an earlier version; ``patch`` where none of them was."""
        if self.major != earlier.major:
            return "major"
        return "minor" if self.minor != earlier.minor else "patch"

    def __eq__(self, other: object) -> bool:
        return self._order == other._order if isinstance(other, SemanticVersion) else NotImplemented

    def __lt__(self, other: SemanticVersion) -> bool:
        return self._order < other._order

    def __hash__(self) -> int:
        return hash(self._order)

    def __str__(self) -> str:
        """Return the version as it is written."""
        text = ".".join(map(str, self.core))
        text += "-" + ".".join(self.prerelease) if self.prerelease else ""
        return text + ("+" + ".".join(self.build) if self.build else "")


def parse_semantic_version(value: str, *, field: str = "semantic_version") -> SemanticVersion:
    """Parse a semantic version.

    Args:
        value: The text, such as ``1.2.0`` or ``2.0.0-rc.1+build.5``; 128 characters at most.
        field: What it is, for the message.

    Raises:
        InvalidInputError: It is none; ``metadata["field"]`` names the field.
    """
    match = _FORM.fullmatch(value) if len(value) <= MAX_LENGTH else None
    if match is None:
        raise InvalidInputError(
            f"{field}: {value[:MAX_LENGTH]!r} is not a semantic version: write MAJOR.MINOR.PATCH like 1.2.0 "
            f"or 2.0.0-rc.1, without leading zeros, {MAX_LENGTH} characters at most (https://semver.org)",
            metadata={"field": field},
        )
    parts = match.groupdict()
    return SemanticVersion(
        int(parts["major"]),
        int(parts["minor"]),
        int(parts["patch"]),
        tuple(parts["prerelease"].split(".")) if parts["prerelease"] else (),
        tuple(parts["build"].split(".")) if parts["build"] else (),
    )


def _check(value: str) -> str:
    if value:
        try:
            parse_semantic_version(value)
        except InvalidInputError as error:
            raise problem(
                "should be a semantic version like 1.2.0 or 2.0.0-rc.1 (https://semver.org)"
            ) from error
    return value


OptionalSemanticVersion = Annotated[str, AfterValidator(_check)]

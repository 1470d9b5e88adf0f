"""Where a blob's objects are.

::

    blobs/sha256/ab/cdef…                                      a blob of at most PART_BYTES, whole
    indexes/sha256/ab/cdef…                                    a larger one's index: what makes it visible
    parts/<namespace>/<digest>/<attempt>/<number>-<sha256>     a part; numbers are six digits
    parts/<namespace>/<digest>/<attempt>/spoiled               says that an attempt came out wrong
    probes/<random>                                            an object of the check at start

A part's name says what its bytes must be, so whoever writes a part again writes the same.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass

from carnet.canonical import DIGEST_PATTERN

PART_BYTES = 8 << 20
ATTEMPT_PATTERN = re.compile(r"[0-9a-f]{16}")
PARTS = "parts"
PROBES = "probes"
_HASH_NAME = hashlib.sha256().name
STORED_PREFIXES = (f"blobs/{_HASH_NAME}", f"indexes/{_HASH_NAME}")
_SPOILED = "spoiled"
_PART_NAME = re.compile(rf"(?P<number>[0-9]{{6}})-(?P<digest>{DIGEST_PATTERN.pattern})")


def single_path(digest: str) -> str:
    """Return where a small blob is."""
    return f"{STORED_PREFIXES[0]}/{digest[:2]}/{digest[2:]}"


def index_path(digest: str) -> str:
    """Return where a large blob's index is."""
    return f"{STORED_PREFIXES[1]}/{digest[:2]}/{digest[2:]}"


def digest_of(path: str) -> str | None:
    """Return the digest of the blob whose single object or index is at a path; None for any other path."""
    folder, _, rest = path.rpartition("/")
    prefix, _, first = folder.rpartition("/")
    digest = first + rest
    return (
        digest if prefix in STORED_PREFIXES and len(first) == 2 and DIGEST_PATTERN.fullmatch(digest) else None
    )


def probe_path() -> str:
    """Return a place for a probe that no other process uses."""
    return f"{PROBES}/{secrets.token_hex(8)}"


def part_size(number: int, size_bytes: int, part_bytes: int = PART_BYTES) -> int:
    """Return how many bytes a part has: all are full but the last."""
    return min(part_bytes, size_bytes - number * part_bytes)


def count_parts(size_bytes: int, part_bytes: int = PART_BYTES) -> int:
    """Return how many parts a blob has."""
    return -(-size_bytes // part_bytes)


@dataclass(frozen=True, slots=True, order=True)
class Attempt:
    """One go at storing a large blob, by one process or by several after one another.

    Attributes:
        namespace: Whose upload it is.
        digest: The blob's.
        token: What tells it from others; 16 hexadecimal digits.
    """

    namespace: str
    digest: str
    token: str

    @classmethod
    def new(cls, namespace: str, digest: str) -> Attempt:
        """Return an attempt that nobody else makes."""
        return cls(namespace, digest, secrets.token_hex(8))

    @property
    def prefix(self) -> str:
        """What the paths of its objects begin with."""
        return f"{PARTS}/{self.namespace}/{self.digest}/{self.token}"

    @property
    def spoiled_path(self) -> str:
        """Where it is said that the parts are not the blob's."""
        return f"{self.prefix}/{_SPOILED}"

    def part_path(self, number: int, digest: str) -> str:
        """Return where a part is.

        Args:
            number: Which part; the first is 0.
            digest: The SHA-256 of its bytes.
        """
        return f"{self.prefix}/{number:06}-{digest}"


@dataclass(frozen=True, slots=True)
class PartName:
    """What the last segment of a part's path says.

    Attributes:
        number: Which part; the first is 0.
        digest: The SHA-256 of its bytes.
    """

    number: int
    digest: str


def parse_attempt(path: str) -> tuple[Attempt, PartName | None] | None:
    """Tell what an object below ``parts`` is.

    Args:
        path: Its path.

    Returns:
        Its attempt, and which part it is (None for anything else in the attempt); None for a foreign object.
    """
    segments = path.split("/")
    if len(segments) != 5 or segments[0] != PARTS:
        return None
    _, namespace, digest, token, name = segments
    if not (DIGEST_PATTERN.fullmatch(digest) and ATTEMPT_PATTERN.fullmatch(token)):
        return None
    match = _PART_NAME.fullmatch(name)
    return Attempt(namespace, digest, token), PartName(
        int(match["number"]), match["digest"]
    ) if match else None

"""The index of a blob that is stored in parts: which parts, where, and what their bytes must be.

Responsible for its one form: canonical JSON that carries the digest of the rest of itself, so that a flipped
bit is found before anything it says is believed. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from carnet.canonical import DIGEST_PATTERN, canonical_json, parse_canonical_json, sha256_hex
from carnet.errors import DataLossError, InvalidInputError
from carnet.references import check_name
from carnet_server.blobs.domain import MAX_BLOB_BYTES
from carnet_server.blobs.objects.names import ATTEMPT_PATTERN, PART_BYTES, Attempt, count_parts, part_size
from carnet_server.blobs.ranges import data_loss

MAX_INDEX_BYTES = 16 << 20
MAX_PART_BYTES = 64 << 20
_FORMAT = 1
_FIELDS = frozenset(
    {"attempt", "digest", "format", "namespace", "part_bytes", "parts", "sha256", "size_bytes"}
)


@dataclass(frozen=True, slots=True)
class Index:
    """What an index says.

    Attributes:
        attempt: Whose upload made the parts; it names the blob.
        size_bytes: How many bytes the blob has.
        parts: The SHA-256 of each part, in order.
        part_bytes: How many bytes each part has, but the last, which may have fewer.
    """

    attempt: Attempt
    size_bytes: int
    parts: tuple[str, ...]
    part_bytes: int = PART_BYTES

    def size_of(self, number: int) -> int:
        """Return how many bytes a part has."""
        return part_size(number, self.size_bytes, self.part_bytes)

    def path_of(self, number: int) -> str:
        """Return where a part is."""
        return self.attempt.part_path(number, self.parts[number])


def encode_index(index: Index) -> bytes:
    """Return an index's one form."""
    content = {
        "attempt": index.attempt.token,
        "digest": index.attempt.digest,
        "format": _FORMAT,
        "namespace": index.attempt.namespace,
        "part_bytes": index.part_bytes,
        "parts": list(index.parts),
        "size_bytes": index.size_bytes,
    }
    return canonical_json({**content, "sha256": sha256_hex(canonical_json(content))})


def parse_index(data: bytes | memoryview, digest: str) -> Index:
    """Read the index of a blob.

    Args:
        data: The stored bytes.
        digest: The blob's.

    Returns:
        What it says.

    Raises:
        DataLossError: The bytes are not what `encode_index` wrote for this blob.
    """
    try:
        value = parse_canonical_json(bytes(data), what="the index")
    except InvalidInputError as error:
        raise _damaged(digest, error.message) from error
    if not isinstance(value, dict) or value.keys() != _FIELDS:
        raise _damaged(digest, "it has not the fields of one")
    stated = value.pop("sha256")
    if stated != sha256_hex(canonical_json(value)):
        raise _damaged(digest, "it is not what was written")
    return _check(value, digest)


def _check(value: dict[str, Any], digest: str) -> Index:
    """Insist that every field is one; whoever can write to the bucket can also make a digest fit."""
    size_bytes, part_bytes, parts = value["size_bytes"], value["part_bytes"], value["parts"]
    if type(value["format"]) is not int or value["format"] != _FORMAT:
        raise _damaged(digest, f"it is of format {value['format']!r:.40}, which this release does not read")
    if value["digest"] != digest:
        raise _damaged(digest, "it is another blob's")
    if type(part_bytes) is not int or not 0 < part_bytes <= MAX_PART_BYTES:
        raise _damaged(digest, f"parts of {part_bytes!r:.40} bytes are none")
    if type(size_bytes) is not int or not part_bytes < size_bytes <= MAX_BLOB_BYTES:
        raise _damaged(digest, f"{size_bytes!r:.40} is not the size of a blob in parts")
    if not isinstance(parts, list) or len(parts) != count_parts(size_bytes, part_bytes):
        raise _damaged(digest, "its parts do not make up its size")
    if not all(isinstance(part, str) and DIGEST_PATTERN.fullmatch(part) for part in parts):
        raise _damaged(digest, "a part has no digest")
    token = value["attempt"]
    if not isinstance(token, str) or not ATTEMPT_PATTERN.fullmatch(token):
        raise _damaged(digest, "it names no attempt")
    try:
        namespace = check_name(str(value["namespace"]), field="namespace")
    except InvalidInputError as error:
        raise _damaged(digest, error.message) from error
    return Index(Attempt(namespace, digest, token), size_bytes, tuple(parts), part_bytes)


def _damaged(digest: str, problem: str) -> DataLossError:
    return data_loss(digest, f"their index is damaged ({problem})")

"""The digest of a set of evidence.

Responsible for the one number that an approval and a decision pin a whole set of envelopes with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.canonical import canonical_json, check_digest, sha256_hex

if TYPE_CHECKING:
    from collections.abc import Iterable


def evidence_set_digest(digests: Iterable[str]) -> str:
    """Return the SHA-256 of the canonical JSON of the sorted list of digests, each once.

    Args:
        digests: The digests of the envelopes, in any order.

    Raises:
        InvalidInputError: One of them is not a digest.
    """
    return sha256_hex(canonical_json(sorted({check_digest(digest, field="evidence") for digest in digests})))

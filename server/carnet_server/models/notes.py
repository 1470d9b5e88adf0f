"""Notes: what people write, kept out of the log.

A log entry carries only the digest of a note's document. The document is salted, so that the digest gives
nothing away of a short text, and can be erased without touching the log.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass

from carnet.canonical import canonical_json, sha256_hex
from carnet.errors import InvalidInputError

NOTE_MEDIA_TYPE = "application/vnd.carnet.note+json"
NOTE_MAX_LENGTH = 2000
ERASED = "(erased)"
"""What is shown of a note, or of a reason, that was erased; nobody can write just this."""
_SALT_BYTES = 16


@dataclass(frozen=True, slots=True)
class Note:
    """A note's document: canonical JSON of ``salt`` and ``note``.

    Where they are given, ``reason_code`` and ``accepted_untested`` stand beside them.
    """

    data: bytes

    @property
    def digest(self) -> str:
        """The SHA-256 of the document."""
        return sha256_hex(self.data)


def make_note(text: str, *, reason_code: str = "", accepted_untested: bool = False) -> Note | None:
    """Make the document of a note.

    Args:
        text: What a person wrote; may be empty.
        reason_code: A code for reports; may be empty.
        accepted_untested: That a version was accepted without the smoke test that the policy requires.

    Returns:
        The document; None where there is nothing to say.

    Raises:
        InvalidInputError: The text is longer than ``NOTE_MAX_LENGTH`` characters, or just ``ERASED``.
    """
    if text == ERASED:
        raise InvalidInputError(
            f"note: {ERASED!r} stands for what was erased: write another", metadata={"field": "note"}
        )
    if len(text) > NOTE_MAX_LENGTH:
        raise InvalidInputError(
            f"note: {len(text)} characters; {NOTE_MAX_LENGTH} at most", metadata={"field": "note"}
        )
    if not text and not reason_code and not accepted_untested:
        return None
    document: dict[str, str | bool] = {"salt": secrets.token_hex(_SALT_BYTES), "note": text}
    if reason_code:
        document["reason_code"] = reason_code
    if accepted_untested:
        document["accepted_untested"] = True
    return Note(canonical_json(document))


def read_note(data: bytes | None) -> str:
    """Return the text of a note's document; empty where there is none, ``ERASED`` where it was erased."""
    return str(json.loads(data).get("note", ERASED)) if data is not None else ""


def read_accepted_untested(data: bytes | None) -> bool:
    """Return whether a note's document says that a version was accepted untested; not where it is gone."""
    return data is not None and bool(json.loads(data).get("accepted_untested"))

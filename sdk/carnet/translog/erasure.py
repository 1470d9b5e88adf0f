"""Which documents of a log may be erased, and how an entry says so.

Responsible for the one list that the registry refuses by and the verifier judges by: by the types of the
entries that name a document. What proves something to others, or is needed to judge other entries, is never
erased: policies, trust documents, requests, dossiers, decisions, evidence, certificates, anchors, alarms,
counts of refused calls, and what rollouts rest on.

Invariant: a document may go only if *every* entry that names it is of a type in ``ERASABLE``: a decision that
an alias also moved by stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from carnet.errors import InvalidInputError
from carnet.translog.entry import EntryType, parse_entry

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from carnet.translog.entry import Entry

NOTES: Final = frozenset(
    {
        EntryType.ALIAS_MOVED,
        EntryType.ALIAS_REMOVED,
        EntryType.ALIAS_MARKED,
        EntryType.VERSION_STAGE_CHANGED,
        EntryType.VERSION_REVOKED,
        EntryType.VERSION_PURGED,
        EntryType.HOLD_PLACED,
        EntryType.HOLD_RELEASED,
        EntryType.DOCUMENT_ERASED,
    }
)
"""What rests on a note: it tells people why, and proves nothing."""
STATEMENTS: Final = frozenset(
    {
        EntryType.APPROVAL_RECORDED,
        EntryType.BREAK_GLASS_RECORDED,
        EntryType.BREAK_GLASS_REVIEWED,
        EntryType.PROMOTION_CANCELLED,
    }
)
"""What rests on a person's signed word with its reason: it proved that somebody agreed."""
ERASABLE: Final = NOTES | STATEMENTS
NOTING: Final = frozenset({EntryType.ROLLOUT_STARTED, EntryType.ROLLOUT_CHANGED})
"""What rests on a document that may name a note in turn, by ``note_digest``; the note alone may go."""
# In an entry's one form, only its type can be written like this: quotation marks in a text are escaped.
_TYPE_TEXT: Final = f'"type":"{EntryType.DOCUMENT_ERASED}"'.encode()


def erased_document(entry: Entry) -> str | None:
    """Return the digest of the document that an entry says was erased; None for an entry that says none."""
    if entry.type is not EntryType.DOCUMENT_ERASED or "document" not in entry.subject:
        return None
    return str(entry.subject["document"])


def find_erased(bundle: bytes, entries: Sequence[bytes]) -> Iterator[tuple[int, str]]:
    """Find what a bundle of entries says was erased, at the price of a search where that is nothing.

    Args:
        bundle: The bundle's bytes.
        entries: Its entries.

    Yields:
        The position of each entry that says so, and the digest of its document; what is no entry is left out.
    """
    if _TYPE_TEXT not in bundle:
        return
    for position, data in enumerate(entries):
        if _TYPE_TEXT not in data:
            continue
        try:
            digest = erased_document(parse_entry(data))
        except InvalidInputError:
            continue
        if digest is not None:
            yield position, digest

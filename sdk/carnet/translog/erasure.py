"""Which documents of a log may be erased, and how an entry says so.

Responsible for the one list that the registry refuses by and the verifier judges by: by the types of the
entries that name a document. What proves something to others, or is needed to judge other entries, is never
erased: policies, trust documents, requests, dossiers, decisions, evidence, certificates, anchors, alarms,
counts of refused calls, and what rollouts rest on.

Invariant: a document may go only if *every* entry that names it is of a type in ``ERASABLE``: a decision that
an alias also moved by stays.
"""

from __future__ import annotations

from typing import Final

from carnet.translog.entry import EntryType

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

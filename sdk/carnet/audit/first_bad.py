"""Naming the first bad entry of a chain that does not lead to its signed root, and what it affects.

Responsible for what a finding about a broken chain says. It reads the entries again, and believes none of
them: they prove nothing, and only tell a reader where to look.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from carnet.audit.codes import Code
from carnet.audit.layout import read_tile
from carnet.audit.report import Finding, Verdict, describe_subject
from carnet.errors import CarnetError, InvalidInputError
from carnet.translog.entry import Entry, parse_entry
from carnet.translog.tiles import TILE_WIDTH, parse_bundle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from carnet.audit.chain import Chain, Reading

_AFFECTED_MAX: Final = 20


def name_first_bad(chain: Chain, reading: Reading) -> Finding:
    """Name the first bad entry, if the stored hashes allow it.

    Args:
        chain: The chain.
        reading: What was read of it.

    Returns:
        The finding.
    """
    name, size, index = chain.environment, reading.checkpoint.size, reading.first_differing
    if index is not None:
        leads = "the stored hashes lead" if reading.stored_fits else "neither leads"
        message = (
            f"entry {index} was changed after it was logged: its bytes do not hash to its stored hash, and "
            f"{leads} to the signed root"
        )
        affected = _affected(reading, index)
        return Finding(Verdict.TAMPERED, Code.ENTRY_CHANGED, name, index, message, affected)
    trusted = reading.earlier.size if reading.earlier and reading.earlier_root == reading.earlier.root else 0
    trusted = max(trusted, chain.start)
    message = (
        f"the {size} entries do not lead to the signed root, and neither do the stored hashes: one of the "
        f"entries from {trusted} on was changed, added or removed"
    )
    unreadable = next((at for at, entry in _entries(reading, trusted) if entry is None), None)
    if unreadable is not None:
        message += f"; entry {unreadable} is no entry at all"
    affects = (f"every entry from {trusted} on",)
    return Finding(Verdict.TAMPERED, Code.ROOT_MISMATCH, name, unreadable, message, affects)


def _affected(reading: Reading, index: int) -> tuple[str, ...]:
    """Say what the bad entry is about, and which later entries build on the same version or promotion."""
    entries = _entries(reading, index)
    _, entry = next(entries, (index, None))
    if entry is None:
        return (f"whatever entry {index} told",)
    keys = {(key, entry.subject[key]) for key in ("bundle_digest", "promotion") if key in entry.subject}
    affected = dict.fromkeys(describe_subject(entry))
    for _, later in entries:
        if len(affected) >= _AFFECTED_MAX:
            break
        if later is not None and keys & set(later.subject.items()):
            affected |= dict.fromkeys(describe_subject(later))
    return tuple(affected)[:_AFFECTED_MAX]


def _entries(reading: Reading, start: int) -> Iterator[tuple[int, Entry | None]]:
    """Yield the entries from an index on, None for what is no entry, as far as they can be read."""
    for bundle in reading.chain.bundles():
        if bundle.first_index + TILE_WIDTH <= start:
            continue
        try:
            entries = parse_bundle(read_tile(reading.directory, bundle), width=bundle.width)
        except CarnetError:
            return
        for index, data in enumerate(entries, bundle.first_index):
            if index >= start:
                try:
                    yield index, parse_entry(data)
                except InvalidInputError:
                    yield index, None

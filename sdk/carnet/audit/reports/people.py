"""Who is who in a report: people by the names that the auditor pinned.

Responsible for turning subjects and keys of a log into people's names. Whoever is nobody's identity and
nobody's key stands under the subject that the log names: never under a name that the log made up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from carnet.audit.pins import Pins
    from carnet.audit.statements import Record
    from carnet.signing.keys import VerificationKey


class People:
    """Names of those who acted.

    Args:
        pins: What the auditor trusts.

    Attributes:
        keys: The keys of pinned people, by key id.
        names_of_keys: Whose each of them is.
    """

    def __init__(self, pins: Pins) -> None:
        self._pins = pins
        self.keys: Mapping[str, VerificationKey] = pins.people_keys
        self.names_of_keys: Mapping[str, str] = {
            key_id: person.name for person in pins.people.values() for key_id in person.keys
        }

    def of_subject(self, subject: str) -> str:
        """Return the pinned person whose identity it is; else the subject itself."""
        return self._pins.person_of_subject(subject) or subject

    def of_key(self, key_id: str) -> str:
        """Return who holds a key: a pinned person, or an environment; empty for nobody that is pinned."""
        return self._pins.holder_of(key_id) if key_id in self._pins.all_keys else ""

    def actor(self, record: Record) -> str:
        """Return who made the call that an entry tells of."""
        return self.of_subject(record.entry.actor.subject)

    def signer(self, record: Record) -> str:
        """Return who signed what an entry rests on; whoever made the call where nothing signed verified.

        A job signs with a key that is certified for one statement, which stands for itself here.
        """
        if not record.signer:
            return self.actor(record)
        return self.of_key(record.signer) or f"certified key {record.signer[:16]}"

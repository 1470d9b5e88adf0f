"""Changes of the rules themselves: policies, keys, roles, and witnesses, with who signed them.

Responsible for every change of a policy or trust document with a summary of what changed, for the people,
keys and roles that came and went with it, for certificates of jobs, and for which logs anchor which.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from carnet.audit.reports import columns
from carnet.audit.reports.anchors import anchored
from carnet.audit.reports.derivation import Derivation, Derived
from carnet.audit.reports.document_changes import TrustFact, parse_yaml, summarise_changes, trust_facts
from carnet.audit.reports.model import Table
from carnet.audit.reports.signatures import document_signers
from carnet.translog.entry import EntryType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from carnet.audit.reports.derivation import Sources
    from carnet.audit.reports.model import Cell, LogRange
    from carnet.audit.reports.query import ReportQuery
    from carnet.audit.statements import Record

_KINDS = {EntryType.POLICY_CHANGED: "policy", EntryType.TRUST_CHANGED: "trust"}


@dataclass(slots=True)
class _InForce:
    """The document of a kind that is in force so far."""

    digest: str = ""
    value: dict[str, object] = field(default_factory=dict)


class Governance(Derivation):
    """The changes of rules in a period."""

    def __init__(self, sources: Sources, query: ReportQuery) -> None:
        super().__init__(sources, query)
        self._in_force: dict[tuple[str, str], _InForce] = {}
        self._documents: list[tuple[Cell, ...]] = []
        self._trust: list[tuple[Cell, ...]] = []
        self._certificates: list[tuple[Cell, ...]] = []
        self._witnesses: list[tuple[Cell, ...]] = []
        self._anchored: set[tuple[str, str]] = set()

    def take(self, environment: str, record: Record) -> None:
        """Take the next record."""
        entry = record.entry
        if entry.type in _KINDS:
            self._take_document(environment, record)
        elif entry.type is EntryType.CERTIFICATE_ISSUED and self.query.covers(entry.time):
            self._certificates.append(
                (
                    environment,
                    record.index,
                    entry.time,
                    self.people.actor(record),
                    entry.actor.issuer or None,
                    str(entry.subject.get("key", "")),
                )
            )
        elif entry.type is EntryType.ANCHOR_RECORDED:
            origin, size = anchored(entry.new)
            if (environment, origin) not in self._anchored:
                self._anchored.add((environment, origin))
                self._note_witness(environment, record, "began to anchor", origin, size)
        elif entry.type is EntryType.ALARM_RAISED:
            self._note_witness(environment, record, f"raised an alarm: {entry.new}", "", None)

    def finish(self, logs: Sequence[LogRange]) -> Derived:
        """Return the tables."""
        return Derived(
            "Policy, key, role and witness changes",
            (
                self._documents_table(),
                self._trust_table(),
                Table(
                    "certificates",
                    "Certificates of jobs",
                    "Keys that an environment certified for one statement of a job, by the job's subject.",
                    (
                        *columns.ENTRY,
                        columns.text("subject"),
                        columns.text("issuer"),
                        columns.text("key"),
                    ),
                    tuple(self._certificates),
                ),
                Table(
                    "witnesses",
                    "Witnesses",
                    "From when on an environment's log anchors another's, and alarms that it raised.",
                    (
                        *columns.ENTRY,
                        columns.text("what"),
                        columns.text("log"),
                        columns.number("size"),
                    ),
                    tuple(self._witnesses),
                ),
            ),
            (
                (
                    f"Every change of a policy and of a trust document was taken, from {len(logs)} verified "
                    "logs: a document is in force from its entry on, and by no other way."
                ),
                (
                    "How many people must sign a document, the log's own key, and the policy of witnesses "
                    "stand in an environment's configuration, and are in no log."
                ),
            ),
        )

    def _take_document(self, environment: str, record: Record) -> None:
        entry, kind = record.entry, _KINDS[record.entry.type]
        before = self._in_force.get((environment, kind), _InForce())
        after = _InForce(entry.new or "", parse_yaml(self.sources.read(environment, entry.new or "0")))
        self._in_force[environment, kind] = after
        if not self.query.covers(entry.time):
            return
        head: tuple[Cell, ...] = (environment, record.index, entry.time)
        signed_by = document_signers(self.sources, environment, entry)
        version = after.value.get("version")
        self._documents.append(
            (
                *head,
                kind,
                version if isinstance(version, int) else None,
                self.people.actor(record),
                signed_by,
                before.digest or None,
                after.digest or None,
                summarise_changes(before.value, after.value) if before.digest else ("the first one",),
            )
        )
        if kind == "trust":
            old, new = trust_facts(before.value), trust_facts(after.value)
            self._trust += [self._fact(head, "added", each, signed_by) for each in sorted(new - old)]
            self._trust += [self._fact(head, "removed", each, signed_by) for each in sorted(old - new)]

    def _fact(
        self, head: tuple[Cell, ...], change: str, fact: TrustFact, signed_by: tuple[str, ...]
    ) -> tuple[Cell, ...]:
        person = self.people.of_subject(fact.holder)
        named = person if person != fact.holder else None
        return (*head, change, fact.kind, fact.holder, named, fact.what, signed_by)

    def _note_witness(
        self, environment: str, record: Record, what: str, origin: str, size: int | None
    ) -> None:
        if self.query.covers(record.entry.time):
            self._witnesses.append((environment, record.index, record.entry.time, what, origin or None, size))

    def _documents_table(self) -> Table:
        return Table(
            "documents",
            "Policy and trust documents",
            "Every document that came into force, who signed it as pinned, and what it changed.",
            (
                *columns.ENTRY,
                columns.text("kind"),
                columns.number("version"),
                columns.text("put_in_force_by"),
                columns.texts("signed_by"),
                columns.digest("old_digest"),
                columns.digest("new_digest"),
                columns.texts("changes"),
            ),
            tuple(self._documents),
        )

    def _trust_table(self) -> Table:
        return Table(
            "trust",
            "People, keys, roles and peers",
            "What each trust document added and removed. A first document adds all that it has.",
            (
                *columns.ENTRY,
                columns.text("change"),
                columns.text("kind"),
                columns.text("holder"),
                columns.text("person", "Who that is"),
                columns.text("what"),
                columns.texts("signed_by"),
            ),
            tuple(self._trust),
        )

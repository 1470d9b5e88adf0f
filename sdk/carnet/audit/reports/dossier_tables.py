"""The tables of a promotion that several reports have: what was asked and seen, the words, and the rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.audit.fold import version_of
from carnet.audit.reports import columns
from carnet.audit.reports.model import Table
from carnet.audit.reports.wording import name_version
from carnet.signing.approval import Approval
from carnet.signing.break_glass import BreakGlass, BreakGlassReview
from carnet.signing.decision import Decision
from carnet.signing.dossier import Dossier
from carnet.translog.entry import EntryType

if TYPE_CHECKING:
    from carnet.audit.reports.model import Cell
    from carnet.audit.reports.people import People
    from carnet.audit.reports.promotions import PromotionRecords


def summary_table(told: PromotionRecords, people: People) -> Table:
    """Return what was asked for and what came of it, as one row; none where no target tells of it."""
    asked, dossier, decision, first = told.request, told.dossier, told.decision, told.first
    rows: tuple[tuple[Cell, ...], ...] = ()
    if first is not None:
        named = asked or dossier
        moved = bool(named and named.alias)
        rows = (
            (
                told.environment,
                named.source if named else None,
                name_version(version_of(first.entry)),
                told.bundle_digest or None,
                named.alias if named and moved else None,
                named.by_rollout if named else None,
                asked.emergency if asked else None,
                ", ".join(sorted(told.requesters(people))) or None,
                first.entry.time,
                people.of_subject(dossier.publisher) if dossier else None,
                told.outcome,
                decision.entry.time if decision else None,
                told.admissions[0].index if told.admissions else None,
            ),
        )
    return Table(
        "promotion",
        "The promotion",
        "What was asked for, and what came of it.",
        (
            columns.text("target"),
            columns.text("source"),
            columns.text("version"),
            columns.digest("bundle_digest"),
            columns.text("alias"),
            columns.flag("by_rollout"),
            columns.flag("emergency"),
            columns.text("requested_by"),
            columns.moment("requested_at"),
            columns.text("published_by"),
            columns.text("outcome"),
            columns.moment("decided_at"),
            columns.number("admission_entry", "Admitted by entry"),
        ),
        rows,
    )


def seen_table(told: PromotionRecords, people: People) -> Table:
    """Return the dossiers: what people were asked to approve."""
    rows: list[tuple[Cell, ...]] = []
    for record in told.dossiers:
        said = record.predicate
        if isinstance(said, Dossier):
            rows.append(
                (
                    record.index,
                    record.entry.envelope_digest,
                    said.policy_digest,
                    said.evidence_set_digest,
                    len(said.evidence),
                    people.of_subject(said.requester),
                    people.of_subject(said.publisher),
                    said.issued_at,
                    said.expires_at,
                    tuple(f"{each.rule} {each.status}: {each.message}" for each in said.open_rules),
                )
            )
    return Table(
        "seen",
        "What approvers saw",
        "The dossiers that the target signed and froze; approvals are bound to one of them by its digest.",
        (
            columns.number("entry"),
            columns.digest("dossier_digest"),
            columns.digest("policy_digest"),
            columns.digest("evidence_set_digest"),
            columns.number("evidence", "Pieces of evidence"),
            columns.text("requester"),
            columns.text("publisher"),
            columns.moment("issued_at"),
            columns.moment("expires_at"),
            columns.texts("open_rules"),
        ),
        tuple(rows),
    )


def words_table(told: PromotionRecords, people: People) -> Table:
    """Return what people said about the dossiers: their meaning, their reasons, and whether it counted."""
    counted = told.counted()
    rows: list[tuple[Cell, ...]] = []
    for record in told.words:
        said = record.predicate if isinstance(record.predicate, Approval) else None
        rows.append(
            (
                record.index,
                people.signer(record),
                record.entry.new,
                said.reason if said else None,
                said.signed_at if said else None,
                said.expires_at if said else None,
                said.dossier_digest if said else None,
                record.entry.envelope_digest in counted,
            )
        )
    return Table(
        "approvals",
        "Approvals",
        "Every approval, rejection, review and withdrawal, in the words of who signed it; of a word whose "
        "document is gone, what its entry says. 'Counted' are those that the decision lists as its inputs.",
        (
            columns.number("entry"),
            columns.text("person"),
            columns.text("meaning"),
            columns.text("reason"),
            columns.moment("signed_at"),
            columns.moment("expires_at"),
            columns.digest("dossier_digest"),
            columns.flag("counted"),
        ),
        tuple(rows),
    )


def glass_table(told: PromotionRecords, people: People) -> Table:
    """Return what was signed to break the glass, and the reviews of it."""
    rows: list[tuple[Cell, ...]] = []
    for record in sorted([*told.breaking, *told.reviews], key=lambda each: each.index):
        said, new = record.predicate, record.entry.new or ""
        spoken = said if isinstance(said, BreakGlass | BreakGlassReview) else None
        breaks = record.entry.type is EntryType.BREAK_GLASS_RECORDED
        rows.append(
            (
                record.index,
                people.signer(record),
                "broke the glass" if breaks else f"review: {new}",
                tuple(new.split(",")) if breaks else None,
                said.ticket if isinstance(said, BreakGlass) else None,
                spoken.reason if spoken else None,
                spoken.signed_at if spoken else None,
            )
        )
    return Table(
        "break-glass",
        "Breaking the glass",
        "Statements that an emergency outweighs rules, and their reviews.",
        (
            columns.number("entry"),
            columns.text("person"),
            columns.text("what"),
            columns.texts("skips"),
            columns.text("ticket"),
            columns.text("reason"),
            columns.moment("signed_at"),
        ),
        tuple(rows),
    )


def rules_table(told: PromotionRecords) -> Table:
    """Return every rule's result, of every decision."""
    rows: list[tuple[Cell, ...]] = []
    for record in told.decisions:
        said = record.predicate
        if isinstance(said, Decision):
            head = (record.index, said.time_verified, said.verification_result, said.policy.digest.sha256)
            rows += [(*head, each.rule, each.status, each.message) for each in said.rules]
            if not said.rules:
                rows.append((*head, None, None, None))
    return Table(
        "rules",
        "The decision, rule by rule",
        "What the target's policy said, as the target signed it; a row without a rule is a decision that "
        "lists none.",
        (
            columns.number("entry"),
            columns.moment("decided_at"),
            columns.text("result"),
            columns.digest("policy_digest"),
            columns.text("rule"),
            columns.text("status"),
            columns.text("message"),
        ),
        tuple(rows),
    )

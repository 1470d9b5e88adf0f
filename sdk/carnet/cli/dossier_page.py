"""The page that an approver sees before signing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.cli.output import number, print_fields, print_rules, print_table, printable, when
from carnet.cli.version_page import print_evidence

if TYPE_CHECKING:
    from rich.console import Console

    from carnet.client.results import Admission, Approval


def print_admission(page: Console, shown: Admission) -> None:
    """Print what is to be approved: what, from where to where, on what evidence, asked for by whom."""
    dossier, manifest = shown.dossier, shown.manifest
    print_fields(
        page,
        (
            ("promotion", shown.promotion),
            ("version", shown.dossier_subject or shown.reference),
            ("from", shown.source),
            ("to", shown.target),
            ("alias", _alias(shown)),
            ("bundle", f"{shown.bundle_digest}{_how(shown)}"),
            ("owner", manifest.owner if manifest else ""),
            ("description", manifest.description if manifest else ""),
            *(("caveat", each) for each in (manifest.caveats if manifest else ())),
            ("published by", shown.publisher),
            ("requested by", shown.requester),
            ("policy", dossier.policy_digest if dossier else shown.policy_digest),
            ("dossier", f"{shown.dossier_digest}, signed by {shown.target}" if dossier else "not issued yet"),
            ("ends", when(dossier.expires_at) if dossier else ""),
            ("state", shown.state),
        ),
    )
    if shown.manifest_problem:
        page.print(printable(f"the manifest could not be read at {shown.source}: {shown.manifest_problem}"))
    metrics = [
        (metric.key, number(metric.value), metric.direction, each.kind, each.signer or "unknown key")
        for each in shown.evidence
        for metric in each.metrics
    ]
    if metrics:
        page.print("metrics in the evidence")
        print_table(page, ("metric", "value#", "direction", "from", "signed by"), metrics)
    page.print("evidence that the dossier freezes" if dossier else "evidence")
    print_evidence(page, shown.evidence)
    if dossier is not None and dossier.open_rules:
        page.print("rules that stand open: this dossier is for breaking the glass, and cannot be approved")
        print_table(
            page,
            ("rule", "status", "found"),
            ((each.rule, each.status, each.message) for each in dossier.open_rules),
        )
    if shown.skipped:
        page.print(printable(f"the glass was broken: {', '.join(shown.skipped)} skipped"))
    if shown.rules:
        page.print(f"what {shown.target}'s policy says")
        print_rules(page, shown.rules)
    if shown.approvals:
        page.print("said so far")
        print_table(
            page,
            ("who", "said", "reason", "when"),
            (
                (
                    each.signer or f"{each.approver} ({_unverified(each)})",
                    each.meaning,
                    each.reason,
                    when(each.received_at),
                )
                for each in shown.approvals
            ),
        )


def _unverified(said: Approval) -> str:
    return "signature erased" if said.erased else "key not pinned here"


def _alias(shown: Admission) -> str:
    how = "by rollout" if shown.by_rollout else "to be moved"
    return f"{shown.alias}, {how}" if shown.alias else ""


def _how(shown: Admission) -> str:
    return ", recomputed from the manifest" if shown.manifest else ", as the dossier states it"

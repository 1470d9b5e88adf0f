"""``carnet audit``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from carnet.cli.audit_databases import parse_database, with_databases
from carnet.cli.audit_report import at
from carnet.cli.audit_report import report as report_command
from carnet.cli.bom import bom
from carnet.cli.erase import erase, print_erasures
from carnet.cli.exit_codes import ExitCode
from carnet.cli.output import emit, print_fields, print_table, printable, short, when
from carnet.cli.progress_bars import progress_shown
from carnet.cli.settings import Group, Settings, pass_settings

if TYPE_CHECKING:
    from rich.console import Console

    from carnet.audit.report import AuditReport, GlassStatement
    from carnet.client.results import ExportResult

_MEANINGS = {
    "tampered": "TAMPERED: bytes contradict a signature or a digest",
    "incomplete": "INCOMPLETE: something that must be there is missing",
    "policy_violated": "POLICY VIOLATED: all is genuine, and says that a rule was broken",
    "cannot_verify": "CANNOT VERIFY: the keys or facts that the check needs are not pinned here",
}
_ENVIRONMENTS = click.option(
    "--environment",
    "environments",
    multiple=True,
    metavar="ENV",
    help="Only this environment; may be given several times. Else all.",
)


@click.group(cls=Group)
def audit() -> None:
    """Verify the environments' logs, copy them for an auditor, or derive reports from them.

    Example:
      carnet audit verify --as dave
    """


audit.add_command(bom)


@audit.command("verify")
@click.option(
    "--offline",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Verify an export instead of asking the registries.",
)
@click.option(
    "--trust",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The pinned keys, YAML or JSON; else those of federation.yaml.",
)
@click.option(
    "--continue",
    "resume",
    is_flag=True,
    help="Verify only what came after the last audit, and that the logs still begin as they did then.",
)
@click.option(
    "--verified",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="What is kept between audits; else verified/ in the federation's folder.",
)
@_ENVIRONMENTS
@click.option(
    "--database",
    "databases",
    multiple=True,
    metavar="ENV=URL",
    help="Compare the tables of an environment's live database with its log; may be given several times.",
)
@click.option(
    "--report",
    "reported",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Verify a report, JSON: its signature, and every row, derived again from the logs.",
)
@click.pass_context
@pass_settings
def verify(
    settings: Settings,
    context: click.Context,
    *,
    offline: Path | None,
    trust: Path | None,
    environments: tuple[str, ...],
    databases: tuple[str, ...],
    reported: Path | None,
    resume: bool,
    verified: Path | None,
) -> None:
    """Verify every entry, document, signature and decision against the pinned keys.

    With --offline no server is asked, and with --trust as well not even a federation's folder is needed. With
    --database, what a database's tables hold is compared with what its log leads to, by whoever may read that
    database. Exit code 6 unless all of it holds, and unless a report says what the logs say.

    Examples:
      carnet audit verify --as dave
      carnet audit verify --offline ./export --trust pins.json
      carnet audit verify --as dave --database prod=postgresql://auditor@db.internal/prod
      carnet audit verify --report changes.json --offline ./export --trust pins.json
      carnet audit verify --offline ./export --trust pins.json --verified ./verified --continue
    """
    if reported is not None:
        if environments or databases or resume or verified is not None:
            raise click.UsageError("--report verifies a report, which names its environments, and no more")
        _verify_report(settings, context, reported, offline=offline, trust=trust)
        return
    if offline is not None and environments:
        raise click.UsageError("--environment chooses registries to ask, and --offline asks none")
    compared = dict(map(parse_database, databases))
    with progress_shown(settings, unit="entries") as progress:
        if offline is not None:
            from carnet.client import audit_memory as memory  # noqa: PLC0415  loads the verifier

            pins = memory.read_pins(trust) if trust else memory.federation_pins(settings.federation())
            if resume or verified is not None:
                kept = verified or settings.federation().directory / "verified"
                report = memory.verify_remembering(offline, pins, kept, resume=resume, progress=progress)
            else:
                report = memory.verify_offline(offline, pins, progress=progress)
        else:
            with settings.client() as client:
                report = client.audit_verify(
                    trust=trust,
                    environments=environments,
                    resume=resume,
                    verified=verified,
                    progress=progress,
                )
        report = with_databases(report, compared, progress)
    emit(settings, report, lambda page: print_audit(page, report))
    if not report.ok:
        context.exit(ExitCode.INTEGRITY)


@audit.command("export")
@click.argument("directory", type=click.Path(path_type=Path))
@_ENVIRONMENTS
@pass_settings
def export(settings: Settings, directory: Path, environments: tuple[str, ...]) -> None:
    """Copy the logs and all documents that they rest on into DIRECTORY.

    `carnet audit verify --offline DIRECTORY` verifies the copy anywhere, with no server.

    Example:
      carnet audit export ./export --as dave
    """
    with settings.client() as client, progress_shown(settings, unit="entries") as progress:
        result = client.audit_export(directory, environments=environments, progress=progress)
    emit(settings, result, lambda page: _print_export(page, result))


audit.add_command(erase)
audit.add_command(report_command)
audit.add_command(at)


def _print_export(page: Console, result: ExportResult) -> None:
    print_table(
        page,
        ("environment", "entries", "documents#"),
        ((name, count, result.documents[name]) for name, count in result.entries.items()),
    )
    page.print(f"next: carnet audit verify --offline {result.directory}", soft_wrap=True)


def _verify_report(
    settings: Settings, context: click.Context, reported: Path, *, offline: Path | None, trust: Path | None
) -> None:
    from carnet.cli.report_page import print_verdict  # noqa: PLC0415  loads the reports
    from carnet.documents import read_file  # noqa: PLC0415  as above

    data = read_file(reported, what="report")
    with progress_shown(settings, unit="entries") as progress:
        if offline is not None:
            from carnet.client import audit_memory as memory  # noqa: PLC0415  loads the verifier
            from carnet.client.reporting import verify_report_offline  # noqa: PLC0415  as above

            pins = memory.read_pins(trust) if trust else memory.federation_pins(settings.federation())
            verdict = verify_report_offline(data, offline, pins, progress=progress)
        else:
            with settings.client() as client:
                verdict = client.audit_verify_report(data, trust=trust, progress=progress)

    def show(page: Console) -> None:
        if not verdict.audit.ok:
            print_audit(page, verdict.audit)
        print_verdict(page, verdict)

    emit(settings, verdict, show)
    if not verdict.ok:
        context.exit(ExitCode.INTEGRITY)


def print_audit(page: Console, report: AuditReport) -> None:
    """Print what an audit found, for people."""
    print_table(
        page,
        (
            "environment",
            "entries",
            "final#",
            "root",
            "published#",
            "admitted#",
            "refused#",
            "documents#",
            "erased#",
            "last entry",
        ),
        (
            (
                name,
                each.size,
                "" if each.final_size is None else each.final_size,
                short(each.root),
                each.published,
                each.admitted,
                each.refused,
                each.documents,
                each.erased,
                when(each.last_time),
            )
            for name, each in report.environments.items()
        ),
    )
    for name, each in report.environments.items():
        if each.verified_from:
            page.print(f"{name}: entries from {each.verified_from} on; those before by an earlier audit")
    for note in report.notes:
        page.print(f"note: {note}", soft_wrap=True)
    _print_broken_glass(page, report)
    print_erasures(page, report.erasures)
    if report.ok:
        page.print("the audit found nothing wrong: every entry, document and signature was verified")
        return
    for finding in report.findings:
        where = finding.environment + (f", entry {finding.index}" if finding.index is not None else "")
        page.print(printable(_MEANINGS[str(finding.verdict)]), style="bold red")
        print_fields(
            page,
            (
                ("where", where),
                ("what", finding.message),
                ("affects", ", ".join(finding.affects)),
                ("code", str(finding.code)),
            ),
        )
    page.print(_conclusion(report))


def _print_broken_glass(page: Console, report: AuditReport) -> None:
    """Print every decision for which the glass was broken: who, why, and what came of it."""
    for use in report.broken_glass:
        reviewed = f"{use.review} by {use.reviewed_by or 'nobody pinned'}"
        due = f"; due {when(use.due_at)}" if use.due_at else ""
        page.print("THE GLASS WAS BROKEN", style="bold yellow")
        print_fields(
            page,
            (
                ("where", f"{use.environment}, entry {use.index}, {when(use.decided_at)}"),
                ("what", ", ".join(use.affects)),
                ("skipped", ", ".join(use.skipped)),
                *(("by", _broken_by(each)) for each in use.statements),
                ("review", reviewed if use.review else f"NONE YET{due}"),
            ),
        )


def _broken_by(said: GlassStatement) -> str:
    return f"{said.person} (erased)" if said.erased else f"{said.person} ({said.ticket}): {said.reason}"


def _conclusion(report: AuditReport) -> str:
    verdicts = {str(each.verdict) for each in report.findings}
    if verdicts == {"cannot_verify"}:
        return (
            "nothing was found to be false, and not everything could be verified: pin the missing keys, "
            "and audit again"
        )
    count = len(report.findings)
    return f"the audit failed: {count} finding{'s' if count > 1 else ''}"

"""``carnet audit report`` and ``carnet audit at``."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from carnet.cli.exit_codes import ExitCode
from carnet.cli.output import emit, say
from carnet.cli.progress_bars import progress_shown
from carnet.cli.settings import Command, Settings, pass_settings
from carnet.errors import FileUnreadableError, InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from carnet.audit.reports.query import ReportQuery
    from carnet.signing.keys import SigningKey

_FORMATS = ("json", "csv", "html", "pdf")
# Known here so that help imports no report; a test compares them.
KINDS = (
    "changes",
    "dossier",
    "drift",
    "duties",
    "exceptions",
    "governance",
    "health",
    "inventory",
    "live",
)


def _moment(_: click.Context, parameter: click.Parameter, value: str | None) -> datetime | None:
    """Read a moment, or a day for its beginning in UTC."""
    from carnet.signing.times import parse_time  # noqa: PLC0415  loads the keys' packages

    if value is None:
        return None
    try:
        return datetime.combine(date.fromisoformat(value), time(), UTC)
    except ValueError:
        pass
    try:
        return parse_time(value)
    except InvalidInputError as error:
        raise click.BadParameter(f"{error.message}, nor a day like 2026-03-01", param=parameter) from error


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of where a report comes from and where it goes."""
    for option in reversed(
        (
            click.option(
                "--format",
                "form",
                type=click.Choice(_FORMATS),
                help="json is the authoritative form, and signed.",
            ),
            click.option(
                "--out",
                type=click.Path(path_type=Path),
                metavar="FILE",
                help="Write it to a file; CSV to a folder, with a file for each table.",
            ),
            click.option(
                "--offline",
                metavar="DIR",
                type=click.Path(path_type=Path),
                help="Derive it from an export instead of asking the registries.",
            ),
            click.option(
                "--trust",
                metavar="FILE",
                type=click.Path(path_type=Path),
                help="The pinned keys, YAML or JSON; else those of federation.yaml.",
            ),
            click.option(
                "--despite-findings",
                is_flag=True,
                help="Make a report of logs that do not verify; it states what was found.",
            ),
        )
    ):
        command = option(command)
    return command


@click.command("report", cls=Command)
@click.argument("kind", type=click.Choice(KINDS))
@click.option("--from", "since", metavar="TIME", callback=_moment, help="The beginning of the period.")
@click.option("--to", "until", metavar="TIME", callback=_moment, help="The end of the period, exclusive.")
@click.option("--promotion", metavar="ID", default="", help="The promotion that a dossier is of.")
@click.option(
    "--environment",
    "environments",
    multiple=True,
    metavar="ENV",
    help="Only this environment; may be given several times. Else all.",
)
@_options
@click.pass_context
@pass_settings
def report(
    settings: Settings,
    context: click.Context,
    /,
    *,
    kind: str,
    since: datetime | None,
    until: datetime | None,
    promotion: str,
    environments: tuple[str, ...],
    **options: Any,
) -> None:
    """Verify the logs, and derive a report from them.

    Without --format and --out the tables are shown. Exit code 6, and no report, where the logs do not verify.

    \b
    changes     every change of a period, and why the list is complete
    dossier     one promotion: request, evidence, approvals, decision, and where it went from there
    drift       how environments differ, and logs from what registries answer
    duties      who had which part in each promotion, and conflicts
    exceptions  denials, refused calls, broken glass with its reviews, untested rollbacks
    governance  changes of policies, keys, roles and witnesses, with who signed them
    health      sizes of logs, checkpoints, witnesses, holds and purges
    inventory   models by owner and risk tier, and where they are live
    live        what was live when, by alias and by what serving hosts reported

    Examples:
      carnet audit report changes --from 2026-01-01 --to 2026-04-01 --as dave
      carnet audit report dossier --promotion 421a3e72458a44d2b4ade3f2c932727e --out dossier.pdf
      carnet audit report inventory --offline ./export --trust pins.yaml --format json --out inventory.json
    """  # noqa: D301  the backspace keeps the lines of the list apart
    from carnet.audit.reports.query import ReportKind, ReportQuery  # noqa: PLC0415  as above

    query = ReportQuery(
        ReportKind(kind), environments=environments, since=since, until=until, promotion=promotion
    )
    _make(settings, context, query, **options)


@click.command("at", cls=Command)
@click.argument("moment", metavar="TIME", callback=_moment)
@click.argument("reference", metavar="REF")
@_options
@click.pass_context
@pass_settings
def at(
    settings: Settings, context: click.Context, /, *, moment: datetime, reference: str, **options: Any
) -> None:
    """Tell which version an alias pointed at, at a moment, and by whose decision.

    Shows the version with its share of the traffic, and the decision with the approvals behind it. The
    options are those of `carnet audit report`.

    Examples:
      carnet audit at 2026-03-01T12:30:00Z prod/risk/fraud@champion --as dave
      carnet audit at 2026-03-01 prod/risk/fraud@champion --offline ./export --trust pins.yaml
    """
    from carnet.audit.reports.query import ReportKind, ReportQuery  # noqa: PLC0415  as above

    _make(settings, context, ReportQuery(ReportKind.AT, at=moment, reference=reference), **options)


def _make(
    settings: Settings,
    context: click.Context,
    query: ReportQuery,
    *,
    form: str | None,
    out: Path | None,
    offline: Path | None,
    trust: Path | None,
    despite_findings: bool,
) -> None:
    from carnet.cli import report_page as page_of  # noqa: PLC0415  loads the reports

    with progress_shown(settings, unit="entries") as progress:
        if offline is not None and trust is not None:
            from carnet.client import audit_memory as memory  # noqa: PLC0415  as above
            from carnet.client.reporting import report_offline  # noqa: PLC0415  as above

            result = report_offline(
                offline,
                memory.read_pins(trust),
                query,
                key=_own_key(settings),
                despite_findings=despite_findings,
                progress=progress,
            )
        else:
            with settings.client(signs=True) as client:
                result = client.audit_report(
                    query, offline=offline, trust=trust, despite_findings=despite_findings, progress=progress
                )
    made = result.report
    if made is None:
        from carnet.cli.audit import print_audit  # noqa: PLC0415  which has this command

        emit(settings, result.audit, lambda page: print_audit(page, result.audit))
        say(settings, "no report was made: the logs do not verify; --despite-findings makes one that says so")
        context.exit(ExitCode.INTEGRITY)
    shown = form is None and out is None and not settings.json
    if shown:
        emit(settings, result, lambda page: page_of.print_report(page, made))
    else:
        wanted = page_of.format_of(form, out)
        if settings.json and out is None and wanted != "json":
            raise click.UsageError(
                f"--format {wanted} is no JSON object: leave out -o json, or give --out FILE"
            )
        written = page_of.write_report(result, wanted, out)
        if out is not None:
            answer = {"kind": str(query.kind), "format": wanted, "signed": result.signed, "files": written}
            names = ", ".join(str(each) for each in written)
            emit(settings, answer, lambda page: page.print(f"the report is in {names}", soft_wrap=True))
    if not shown and not result.signed:
        click.echo("warning: nobody signed the report: act as an identity with a key, with --as", err=True)
    if not result.audit.ok:
        context.exit(ExitCode.INTEGRITY)


def _own_key(settings: Settings) -> SigningKey | None:
    """Return the key of the identity that is acted as; none where there is no federation to name one."""
    from carnet.cli.reauthentication import asker  # noqa: PLC0415  only where something is signed

    try:
        identity = settings.federation().identity(settings.identity)
    except FileUnreadableError:
        if settings.identity is not None:
            raise
        return None
    return identity.signing_key(asker()) if identity.can_sign else None

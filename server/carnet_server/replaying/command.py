"""``carnet replay``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from carnet.cli.exit_codes import ExitCode
from carnet.cli.output import emit, print_fields, print_table
from carnet.cli.progress_bars import progress_shown
from carnet.cli.settings import Command, Settings, pass_settings
from carnet.client.audit_memory import federation_pins, read_pins
from carnet_policies.engine import PolicyEngine
from carnet_server.replaying.judge import ReplayReport, replay_export

if TYPE_CHECKING:
    from rich.console import Console


@click.command(cls=Command)
@click.argument("directory", type=click.Path(path_type=Path))
@click.option(
    "--trust",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The pinned keys, YAML or JSON; else those of federation.yaml.",
)
@click.pass_context
@pass_settings
def replay(settings: Settings, context: click.Context, directory: Path, trust: Path | None) -> None:
    """Verify the export in DIRECTORY, and evaluate the policy of every decision in it again.

    Each decision that said yes is looked at with what was known when it was made: evidence, approvals, trust
    document, baseline and clock of then, all out of the export. No server is asked. Exit code 6 unless every
    policy says yes once more, and all of the export verifies.

    Example:
      carnet replay ./export --trust pins.yaml
    """
    pins = read_pins(trust) if trust else federation_pins(settings.federation())
    with progress_shown(settings, unit="entries") as progress, PolicyEngine() as engine:
        report = replay_export(directory, pins, engine, progress=progress)
    answer = report.audit.to_json() | {"replayed": report.replayed}
    emit(settings, answer, lambda page: _print(page, report))
    if not report.audit.ok:
        context.exit(ExitCode.INTEGRITY)


def _print(page: Console, report: ReplayReport) -> None:
    print_table(page, ("environment", "decisions replayed#"), report.replayed.items())
    for finding in report.audit.findings:
        where = finding.environment + (f", entry {finding.index}" if finding.index is not None else "")
        page.print(str(finding.verdict), style="bold red")
        print_fields(
            page, (("where", where), ("what", finding.message), ("affects", ", ".join(finding.affects)))
        )
    if report.audit.ok:
        page.print("every decision that said yes is what its policy says of what was known then")

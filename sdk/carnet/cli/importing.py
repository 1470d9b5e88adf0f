"""``carnet import``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from carnet.cli.aliases import DEFAULT_ALIAS
from carnet.cli.output import emit, print_table, size, when
from carnet.cli.progress_bars import progress_shown
from carnet.cli.settings import Command, Group, Settings, pass_settings

if TYPE_CHECKING:
    from rich.console import Console

    from carnet.client.results import ImportReport


@click.group("import", cls=Group)
def import_versions() -> None:
    """Publish the versions of another registry as versions of a model.

    Example:
      carnet import folder ./store --to dev/risk/fraud --document import.yaml
    """


@import_versions.command("folder", cls=Command)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--to", "target", metavar="ENV/NAMESPACE/MODEL", required=True, help="The model.")
@click.option(
    "--document",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="What the folder does not say: owner, lineage, schema, the metrics' directions.",
)
@click.option("--renumber", is_flag=True, help="Take the next numbers where the folder's own have gaps.")
@click.option("--aliases", is_flag=True, help="Move an alias as the folder's pointer was.")
@click.option(
    "--alias-name", metavar="ALIAS", default=DEFAULT_ALIAS, show_default=True, help="Which alias that is."
)
@click.option("--dry-run", is_flag=True, help="Verify and show all of it, and change nothing.")
@pass_settings
def folder(
    settings: Settings,
    *,
    folder: Path,
    target: str,
    document: Path | None,
    renumber: bool,
    aliases: bool,
    alias_name: str,
    dry_run: bool,
) -> None:
    """Publish each version of a folder with v1, v2, … and active_version.json, signed with your key.

    Every checksum is verified before anything is sent. Run again, it goes on where it ended, and leaves what
    is there with the same content as it is. Times, status and tags become labels; the log has its own times.

    Examples:
      carnet import folder ./store --to dev/risk/fraud --document import.yaml --dry-run
      carnet import folder ./store --to dev/risk/fraud --document import.yaml --aliases
    """
    with settings.client(signs=not dry_run) as client, progress_shown(settings) as progress:
        report = client.import_folder(
            target,
            folder,
            document=document,
            renumber=renumber,
            alias=alias_name if aliases else "",
            dry_run=dry_run,
            progress=progress,
        )
    emit(settings, report, lambda page: _print_report(page, report))


def _print_report(page: Console, report: ImportReport) -> None:
    print_table(
        page,
        ("there", "here", "outcome", "size", "status there", "registered there"),
        (
            (
                each.source,
                each.reference,
                each.outcome,
                size(each.size_bytes),
                each.status,
                when(each.registered_at),
            )
            for each in report.versions
        ),
    )
    if report.alias is not None:
        moves = ", then ".join(f"@{version}" for version in report.alias.moves)
        word = "moved to" if report.alias.done else "would be moved to"
        page.print(
            f"{report.alias.reference} {word} {moves}" if moves else f"{report.alias.reference} stands right"
        )
    new = sum(1 for each in report.versions if each.outcome != "there already")
    word = "to be published" if report.dry_run else "published"
    page.print(f"{new} {word}, {len(report.versions) - new} there already")
    page.print("the times above are kept as labels; the log has the time of the import")

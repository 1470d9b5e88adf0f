"""``carnet push``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from carnet.cli.output import emit, entry_of, print_fields, size
from carnet.cli.progress_bars import progress_shown
from carnet.cli.settings import Command, Settings, pass_settings

if TYPE_CHECKING:
    from rich.console import Console


@click.command(cls=Command)
@click.argument("reference", metavar="ENV/NAMESPACE/MODEL")
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--manifest",
    "manifest_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The document that describes the files; else carnet.yaml in PATH.",
)
@click.option(
    "--version",
    "number",
    type=click.IntRange(min=1),
    help="The version's number; else the document's, else the next.",
)
@pass_settings
def push(
    settings: Settings, reference: str, path: Path, manifest_file: Path | None, number: int | None
) -> None:
    """Publish the folder PATH as the next version of a model, signed with your key.

    A second push of the same content changes nothing, says so, and succeeds.

    Example:
      carnet push dev/risk/fraud ./model --manifest ./model/carnet.yaml
    """
    with settings.client(signs=True) as client, progress_shown(settings) as progress:
        result = client.push(reference, path, manifest_file=manifest_file, version=number, progress=progress)

    def show(page: Console) -> None:
        word = "was published before, nothing was changed" if result.already_published else "published"
        page.print(f"{result.reference} {word}")
        print_fields(
            page,
            (
                ("bundle", result.bundle_digest),
                ("size", size(result.size_bytes)),
                ("log", entry_of(result.receipt)),
                ("next", f"carnet attest {result.reference} --type test-result --file FILE"),
            ),
        )

    emit(settings, result, show)

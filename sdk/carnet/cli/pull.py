"""``carnet pull``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from carnet.cli.output import emit, print_fields, size
from carnet.cli.progress_bars import progress_shown
from carnet.cli.settings import Command, Settings, pass_settings

if TYPE_CHECKING:
    from rich.console import Console


@click.command(cls=Command)
@click.argument("reference", metavar="REF")
@click.option(
    "--to",
    "directory",
    metavar="DIR",
    required=True,
    type=click.Path(path_type=Path),
    help="The directory to make; it must not exist, or be this very bundle.",
)
@pass_settings
def pull(settings: Settings, reference: str, directory: Path) -> None:
    """Fetch the version REF into a new directory, verified to the last byte.

    The directory appears whole or not at all. It has manifest.json and model.sig beside the files, which the
    stock `model_signing verify` accepts.

    Example:
      carnet pull prod/risk/fraud@champion --to ./fraud
    """
    with settings.client() as client, progress_shown(settings) as progress:
        bundle = client.pull(reference, directory, progress=progress)
    files = bundle.manifest.files

    def show(page: Console) -> None:
        word = "is there already, whole and unchanged" if bundle.already_there else "pulled and verified"
        page.print(f"{bundle.reference} {word}")
        print_fields(
            page,
            (
                ("directory", bundle.path),
                ("bundle", bundle.bundle_digest),
                ("signed by", bundle.signer),
                ("files", f"{len(files)}, {size(sum(file.size_bytes for file in files))}"),
            ),
        )

    emit(settings, bundle, show)

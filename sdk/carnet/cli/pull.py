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
@click.option("--no-stamps", is_flag=True, help="Leave out the stamps that go into DIR.carnet beside it.")
@pass_settings
def pull(settings: Settings, reference: str, directory: Path, no_stamps: bool) -> None:
    """Fetch the version REF into a new directory, verified to the last byte.

    The directory appears whole or not at all. It has manifest.json and model.sig beside the files, which the
    stock `model_signing verify` accepts. Its stamps go into DIR.carnet beside it: evidence, approvals,
    decisions and receipts of every environment on its way, which `carnet verify DIR` checks without asking.

    Example:
      carnet pull prod/risk/fraud@champion --to ./fraud
    """
    with settings.client() as client, progress_shown(settings) as progress:
        bundle = client.pull(reference, directory, stamps=not no_stamps, progress=progress)
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
                ("stamps", bundle.stamps_path or "none"),
                ("", bundle.stamps_problem),
            ),
        )

    emit(settings, bundle, show)

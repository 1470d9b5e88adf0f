"""``carnet verify``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from carnet.cli.output import emit, entry_of, print_fields, size
from carnet.cli.progress_bars import progress_shown
from carnet.cli.settings import Command, Settings, pass_settings

if TYPE_CHECKING:
    from rich.console import Console


@click.command(cls=Command)
@click.argument("what", metavar="PATH|REF")
@pass_settings
def verify(settings: Settings, what: str) -> None:
    """Verify a pulled directory, or a version in a registry with its files and evidence.

    Every file is hashed, the manifest and the signature are checked against the pinned keys, and for a
    version in a registry its evidence and its log's receipt too. Exit code 6 when something does not hold.

    Examples:
      carnet verify ./fraud
      carnet verify prod/risk/fraud@champion
    """
    with settings.client() as client, progress_shown(settings) as progress:
        found = client.verify(what, progress=progress)

    def show(page: Console) -> None:
        page.print(f"{found.where} is {found.subject}, whole and signed")
        print_fields(
            page,
            (
                ("bundle", found.bundle_digest),
                ("signed by", found.signer),
                ("files", f"{found.file_count}, {size(found.size_bytes)}, all hashed"),
                ("evidence", f"{found.evidence_count} attestations verified" if found.receipt else ""),
                ("log", entry_of(found.receipt) if found.receipt else ""),
            ),
        )

    emit(settings, found, show)

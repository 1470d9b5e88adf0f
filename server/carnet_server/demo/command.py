"""``carnet demo``."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click
from rich.console import Console

from carnet.errors import AlreadyExistsError, InvalidInputError
from carnet_server.demo.telling import Teller
from carnet_server.local.commands import stores_options
from carnet_server.local.health import start_all
from carnet_server.local.initialise import DEFAULT_BASE_PORT, initialise
from carnet_server.local.processes import processes_of, stop_all
from carnet_server.local.stores import BlobsKind, DatabaseKind, Stores

DEMO_MARKER = "made-by-carnet-demo"


_DATABASES: dict[DatabaseKind, str] = {
    "sqlite": "Metadata: SQLite, a database file for each.",
    "postgres": "Metadata: PostgreSQL, a server started beside them, with a database and a role for each.",
}
_BLOBS: dict[BlobsKind, str] = {
    "file": "Blobs: files, a folder for each registry.",
    "s3": "Blobs: objects, at an S3 endpoint started beside them, with a bucket for each registry.",
}


def _make_room(folder: Path) -> None:
    """Clear what an earlier demo left; anything else is kept, and refused."""
    if not folder.exists():
        return
    if not (folder / DEMO_MARKER).exists():
        raise AlreadyExistsError(f"{folder} is there and is not the demo's: name another folder with --dir")
    stop_all(processes_of(folder))
    shutil.rmtree(folder)


@click.command(
    short_help="Carry a real model from dev to prod, on this machine.",
    epilog="\b\nExample:\n  carnet demo --dir .carnet",
)
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".carnet"),
    envvar="CARNET_DIR",
    show_default=True,
    help="Where the environments are made; an earlier demo there is replaced.",
)
@click.option(
    "--base-port", default=DEFAULT_BASE_PORT, show_default=True, help="Where to look for free ports."
)
@stores_options
def demo(folder: Path, base_port: int, database: DatabaseKind, blobs: BlobsKind) -> None:
    """Carry a real model from dev to prod, on this machine.

    Makes three registries and a promotion service, trains models on scikit-learn's breast-cancer data,
    promotes a good one through each environment's policy, has a weaker one refused, rolls back, tries a
    version as a shadow and then with a share of the requests until it breaks and is sent back by itself,
    refuses a bad row, shows the champion's lineage, verifies the whole audit trail, and shows that an edit of
    history is found. Takes about half a minute.
    """
    try:
        from carnet_server.demo.story import tell  # noqa: PLC0415  loads scikit-learn
    except ModuleNotFoundError as error:
        raise InvalidInputError(
            f"the demo needs {error.name}: install it with pip install 'carnet[demo]'"
        ) from error
    console = Console(highlight=False)
    teller = Teller(console)
    teller.step("Make and start three registries and a promotion service")
    _make_room(folder)
    initialise(folder, base_port=base_port, stores=Stores(database, blobs))
    (folder / DEMO_MARKER).write_text("carnet demo may remove this folder.\n")
    processes = processes_of(folder)
    try:
        start_all(processes)
        names = ", ".join(process.name for process in processes if not process.is_store)
        teller.say(f"{names}: each a process with its own keys below {folder}/, over mutual TLS.")
        teller.say(_DATABASES[database])
        teller.say(_BLOBS[blobs])
        tell(folder, teller)
    finally:
        stop_all(processes)
    teller.summary("What happened")
    program = "carnet" if shutil.which("carnet") else sys.argv[0]
    console.print(
        "\nSee it again:",
        f"  {program} up --dir {folder} --detach",
        f"  {program} ls prod --dir {folder}",
        sep="\n",
    )

"""``carnet demo``."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click
from rich.console import Console

from carnet.errors import AlreadyExistsError, InvalidInputError
from carnet_server.demo.telling import Teller
from carnet_server.local.health import wait_until_serving
from carnet_server.local.initialise import DEFAULT_BASE_PORT, initialise
from carnet_server.local.processes import processes_of

DEMO_MARKER = "made-by-carnet-demo"


def _make_room(folder: Path) -> None:
    """Clear what an earlier demo left; anything else is kept, and refused."""
    if not folder.exists():
        return
    if not (folder / DEMO_MARKER).exists():
        raise AlreadyExistsError(f"{folder} is there and is not the demo's: name another folder with --dir")
    for process in processes_of(folder):
        process.stop()
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
def demo(folder: Path, base_port: int) -> None:
    """Carry a real model from dev to prod, on this machine.

    Makes three registries and a promotion service, trains models on scikit-learn's breast-cancer data,
    promotes a good one through each environment's policy, has a weaker one refused, rolls back, verifies the
    whole audit trail, and shows that an edit of history is found. Takes about half a minute.
    """
    try:
        from carnet_server.demo.story import Story  # noqa: PLC0415  loads scikit-learn
    except ModuleNotFoundError as error:
        raise InvalidInputError(
            f"the demo needs {error.name}: install it with pip install 'carnet[demo]'"
        ) from error
    console = Console(highlight=False)
    teller = Teller(console)
    teller.step("Make and start three registries and a promotion service")
    _make_room(folder)
    initialise(folder, base_port=base_port)
    (folder / DEMO_MARKER).write_text("carnet demo may remove this folder.\n")
    processes = processes_of(folder)
    try:
        for process in processes:
            process.start()
        wait_until_serving(processes)
        names = ", ".join(process.name for process in processes)
        teller.say(
            f"{names}: each a process with its own keys and database below {folder}/, over mutual TLS."
        )
        Story(folder, teller).tell()
    finally:
        for process in processes:
            process.stop()
    teller.summary("What happened")
    program = "carnet" if shutil.which("carnet") else sys.argv[0]
    console.print(
        "\nSee it again:",
        f"  {program} up --dir {folder} --detach",
        f"  {program} ls prod --dir {folder}",
        sep="\n",
    )

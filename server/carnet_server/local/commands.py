"""``carnet init``, ``up``, ``down`` and ``status``: a federation on one machine."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from carnet import connect
from carnet.cli.json_form import as_json
from carnet_server.local.health import look, start_all
from carnet_server.local.initialise import DEFAULT_BASE_PORT, initialise
from carnet_server.local.processes import processes_of, reap, stop_all
from carnet_server.local.stores import BlobsKind, DatabaseKind, Stores

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

    from carnet.client.results import Environment
    from carnet_server.local.health import Health
    from carnet_server.local.processes import Process

_LOOK_AGAIN_SECONDS = 1.0
# What the command line's table has for UnavailableError; an answer is not an error, so none is raised.
_NOT_SERVING = 8


def _example(line: str) -> str:
    """Return the end of a help text: an example, whose lines click is to leave alone."""
    return f"\b\nExample:\n  {line}"


def _folder_option(command: Callable[..., None]) -> Callable[..., None]:
    return click.option(
        "--dir",
        "folder",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path(".carnet"),
        envvar="CARNET_DIR",
        show_default=True,
        help="The federation's folder.",
    )(command)


def _output_option(command: Callable[..., None]) -> Callable[..., None]:
    return click.option(
        "-o",
        "--output",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="Text for people, or one JSON object.",
    )(command)


def stores_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options ``--database`` and ``--blobs``."""
    database = click.option(
        "--database",
        type=click.Choice(["sqlite", "postgres"]),
        default="sqlite",
        show_default=True,
        help="Metadata in a file for each process, or in a PostgreSQL server that is started with them.",
    )
    blobs = click.option(
        "--blobs",
        type=click.Choice(["file", "s3"]),
        default="file",
        show_default=True,
        help="Blobs in a folder for each registry, or at an S3 endpoint that is started with them.",
    )
    return database(blobs(command))


@click.command(
    short_help="Make the files of a federation: dev, staging, prod and the promotion service.",
    epilog=_example("carnet init .carnet"),
)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--base-port",
    default=DEFAULT_BASE_PORT,
    show_default=True,
    help="Where to look for free ports; 0 for any.",
)
@stores_options
@_output_option
def init(folder: Path, base_port: int, database: DatabaseKind, blobs: BlobsKind, output: str) -> None:
    """Make the files of a federation in DIR: a private CA, three registries, and a promotion service.

    Nothing is started. Every file is meant to be read and edited: policies, trust and configuration.

    The PostgreSQL server and the S3 endpoint are for trying Carnet on them: pip install 'carnet[backends]'.
    """
    initialise(folder, base_port=base_port, stores=Stores(database, blobs))
    names = [process.name for process in processes_of(folder)]
    if output == "json":
        click.echo(json.dumps({"directory": str(folder), "processes": names}))
        return
    click.echo(f"Made {', '.join(names)} in {folder}.\nStart them with: carnet up --dir {folder}")
    click.echo(
        "The people's keys here have no passphrase, so that a demo needs nobody: for approvals that count, "
        "carnet identity create NAME --kind person --purpose approval --passphrase"
    )


@click.command(
    short_help="Start what is not running of a federation.",
    epilog=_example("carnet up --dir .carnet --detach"),
)
@_folder_option
@click.option("--detach", is_flag=True, help="Return once everything serves, and leave it running.")
@_output_option
def up(folder: Path, detach: bool, output: str) -> None:
    """Start what is not running of a federation, its stores first, and wait until it serves.

    Without --detach it stays, starts again what dies, and stops everything at Ctrl-C. It ends too when
    `carnet down` stopped everything.
    """
    processes = processes_of(folder)
    if detach:
        start_all(processes)
        _show(look(processes), output)
        return
    ended = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        ended.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    try:
        start_all(processes)
        _show(look(processes), output)
        click.echo("Press Ctrl-C to stop.", err=True)
        while not ended.wait(_LOOK_AGAIN_SECONDS) and not all(process.stopped for process in processes):
            _revive(processes)
    finally:
        stop_all(processes)


def _revive(processes: list[Process]) -> None:
    reap()
    for process in processes:
        if process.revive():
            click.echo(f"{process.name} ended; see {process.log_file}. It was started again.", err=True)


@click.command(
    short_help="Stop a federation's processes.",
    epilog=_example("carnet down --dir .carnet"),
)
@_folder_option
@_output_option
def down(folder: Path, output: str) -> None:
    """Stop a federation's processes. Its data stays."""
    stopped = stop_all(processes_of(folder))
    if output == "json":
        click.echo(json.dumps({"stopped": stopped}))
    else:
        click.echo(f"Stopped {', '.join(stopped)}." if stopped else "Nothing was running.")


@click.command(
    short_help="Show how a federation's processes fare.",
    epilog=_example("carnet status --dir .carnet"),
)
@_folder_option
@_output_option
@click.pass_context
def status(context: click.Context, folder: Path, output: str) -> None:
    """Show how a federation's processes fare, how much of each log is final, and what alarms.

    Final is what a quorum of the pinned witnesses cosigned. Exits with 8 unless all of the processes serve.
    """
    found = look(processes_of(folder))
    environments: Sequence[Environment] = ()
    if any(health.serving for health in found):
        with connect(folder) as client:
            environments = client.environments()
    _show(found, output, environments)
    if not all(health.serving for health in found):
        click.echo(f"not everything serves: start it with `carnet up --dir {folder}`", err=True)
        context.exit(_NOT_SERVING)


def _show(found: list[Health], output: str, environments: Sequence[Environment] = ()) -> None:
    if output == "json":
        rows = [
            {"name": each.name, "endpoint": each.endpoint, "pid": each.pid, "state": each.state}
            for each in found
        ]
        logs = [_log_of(each) for each in environments]
        click.echo(json.dumps({"processes": rows} | ({"environments": logs} if logs else {})))
        return
    table = Table("process", "endpoint", "state", "pid")
    for each in found:
        table.add_row(each.name, each.endpoint, each.state, "-" if each.pid is None else str(each.pid))
    Console().print(table)
    for environment in environments:
        if environment.reachable:
            click.echo(_told_of_log(environment))
        for alarm in environment.alarms:
            what = f"{alarm.kind} of {alarm.origin}: {alarm.message}"
            click.echo(f"ALARM in {environment.name}: {what}", err=True)


def _log_of(environment: Environment) -> dict[str, Any]:
    """Return how it stands with an environment's log, as JSON."""
    return {
        "name": environment.name,
        "problem": environment.problem,
        **as_json(
            {
                "log_size": environment.log_size,
                "final_size": environment.final_size,
                "witnesses": environment.witnesses,
                "alarms": environment.alarms,
            }
        ),
    }


def _told_of_log(environment: Environment) -> str:
    size, final_size = environment.log_size, environment.final_size
    if final_size is None:
        return f"{environment.name}: {size} log entries; no quorum of witnesses is pinned"
    silent = [f"{each.name} ({each.problem})" for each in environment.witnesses if each.problem]
    without = f"; not asked: {', '.join(silent)}" if silent else ""
    reached = "" if final_size else "; no quorum was reached yet"
    return f"{environment.name}: witnessed up to entry {final_size} of {size}{reached}{without}"

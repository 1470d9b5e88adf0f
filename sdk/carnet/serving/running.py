"""Running a service as a process: its command line, its log, its signals, its exit code."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from carnet.errors import CarnetError, InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

EXIT_INTERNAL = 1
EXIT_USAGE = 2
_CHATTY = ("apscheduler", "alembic")
_YOUNG_OBJECTS = 50_000

Config = TypeVar("Config")


class RunningService(Protocol):
    """A service that listens."""

    @property
    def address(self) -> str:
        """``host:port`` that it listens at."""

    async def stop(self) -> None:
        """End it without losing a call."""


async def _serve(start: Awaitable[RunningService]) -> None:
    told_to_stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told_to_stop.set)
    service = await start
    # What was loaded until now stays: the collector need not look through it again while all calls wait.
    # With a thousand watchers a full collection takes 40 ms, and telling them reaches Python's threshold.
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS)
    print(f"listening on {service.address}", file=sys.stderr, flush=True)  # noqa: T201  what starters wait for
    await told_to_stop.wait()
    await service.stop()


def run_service(
    module: str,
    description: str,
    load_config: Callable[[Path], Config],
    start: Callable[[Config], Awaitable[RunningService]],
    *,
    arguments: Sequence[str] | None = None,
) -> int:
    """Run a service until SIGTERM or SIGINT.

    Prints one line, ``listening on HOST:PORT``, to standard error when it is ready; its log goes there too,
    and standard output stays empty.

    Args:
        module: The Python module that is run, for the usage line.
        description: What it runs.
        load_config: Reads the configuration file.
        start: Starts the service.
        arguments: The command line without the program's name; None for the process's.

    Returns:
        0 when it was told to stop, 2 for a malformed configuration, 1 for anything else.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    parser.add_argument("--config", type=Path, required=True, help="the configuration file")
    options = parser.parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        asyncio.run(_serve(start(load_config(options.config))))
    except CarnetError as error:
        print(f"error: {error.message}", file=sys.stderr)  # noqa: T201  for the person who started it
        return EXIT_USAGE if isinstance(error, InvalidInputError) else EXIT_INTERNAL
    return 0

"""Run a registry: ``python -m carnet_server --config FILE``.

Prints one line, ``listening on HOST:PORT``, to standard error when it is ready; its log goes there too, and
standard output stays empty. SIGTERM and SIGINT stop it cleanly.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from carnet.errors import CarnetError, InvalidInputError
from carnet_server.app import RegistryApp
from carnet_server.config import load_config

if TYPE_CHECKING:
    from collections.abc import Sequence

    from carnet_server.config import RegistryConfig

EXIT_INTERNAL = 1
EXIT_USAGE = 2


async def _serve(config: RegistryConfig) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    app = await RegistryApp.start(config)
    print(f"listening on {app.address}", file=sys.stderr, flush=True)  # noqa: T201  what starters wait for
    await stop.wait()
    await app.stop()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the registry until it is told to stop.

    Args:
        arguments: The command line without the program's name; None for the process's.

    Returns:
        0 when it was told to stop, 2 for a malformed configuration, 1 for anything else.
    """
    parser = argparse.ArgumentParser(prog="python -m carnet_server", description="Run a registry.")
    parser.add_argument("--config", type=Path, required=True, help="the environment's environment.yaml")
    options = parser.parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    for chatty in ("apscheduler", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        asyncio.run(_serve(load_config(options.config)))
    except CarnetError as error:
        print(f"error: {error.message}", file=sys.stderr)  # noqa: T201  for the person who started it
        return EXIT_USAGE if isinstance(error, InvalidInputError) else EXIT_INTERNAL
    return 0


if __name__ == "__main__":
    sys.exit(main())

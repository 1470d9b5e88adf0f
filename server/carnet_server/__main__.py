"""Run a registry: ``python -m carnet_server --config FILE``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from carnet.serving.running import run_service
from carnet_server.app import RegistryApp
from carnet_server.config import load_config

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the registry until it is told to stop; see ``run_service``.

    Args:
        arguments: The command line without the program's name; None for the process's.
    """
    return run_service(
        "carnet_server",
        "Run one environment's registry.",
        load_config,
        RegistryApp.start,
        arguments=arguments,
    )


if __name__ == "__main__":
    sys.exit(main())

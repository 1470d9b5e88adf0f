"""Run the promotion service: ``python -m carnet_sync --config FILE``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from carnet.serving.running import run_service
from carnet_sync.app import SyncApp
from carnet_sync.config import load_config

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the promotion service until it is told to stop; see ``run_service``.

    Args:
        arguments: The command line without the program's name; None for the process's.
    """
    return run_service(
        "carnet_sync", "Run the promotion service.", load_config, SyncApp.start, arguments=arguments
    )


if __name__ == "__main__":
    sys.exit(main())

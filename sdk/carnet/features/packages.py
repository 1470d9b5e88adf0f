"""The packages that tables need, imported only where a table is.

Responsible for a message that says what to install. Raises nothing else.
"""

from __future__ import annotations

import importlib
from typing import Any

from carnet.errors import PreconditionFailedError


def needed(name: str) -> Any:
    """Import a package.

    Args:
        name: The module, such as ``pyarrow.compute``.

    Raises:
        PreconditionFailedError: It is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise PreconditionFailedError(
            f"tables need the package {name.partition('.')[0]}, which is not installed: "
            "pip install 'carnet[features]'"
        ) from error


def optional(name: str) -> Any:
    """Import a package; None where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None

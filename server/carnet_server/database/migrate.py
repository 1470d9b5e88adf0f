"""Bringing a registry's database up to date."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from carnet.serving.schema import upgrade_schema


def upgrade(url: str) -> None:
    """Bring a database to the present schema; see `upgrade_schema` for what it raises.

    Args:
        url: A database URL that was resolved.
    """
    upgrade_schema(url, Path(str(resources.files("carnet_server"))) / "migrations")

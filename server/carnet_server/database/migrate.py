"""Bringing a database's schema up to date. Alembic is imported here only, and only at start."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from carnet.serving.engine import typed_database_errors

if TYPE_CHECKING:
    from sqlalchemy import Engine


def upgrade(engine: Engine) -> None:
    """Bring a database to the newest schema, in one transaction.

    Args:
        engine: The engine that may write to it.

    Raises:
        UnavailableError: The database failed.
        StorageFullError: Its disk is full.
    """
    from alembic import command  # noqa: PLC0415  slow to import, needed at start only
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(resources.files("carnet_server") / "migrations"))
    with typed_database_errors(), engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

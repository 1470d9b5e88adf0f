"""The database's schema, step by step."""

from __future__ import annotations

from pathlib import Path

from carnet.serving.moving.schemas import MovableSchema
from carnet.serving.schema import upgrade_schema
from carnet_sync.promotions.tables import METADATA


def upgrade(url: str) -> None:
    """Bring a database to the present schema; see `upgrade_schema` for what it raises.

    Args:
        url: A database URL that was resolved.
    """
    upgrade_schema(url, Path(__file__).parent)


SCHEMA = MovableSchema("promotion service", Path(__file__).parent, METADATA)
"""What `carnet migrate` knows of this service's database: promotions change, and the rest goes with them."""

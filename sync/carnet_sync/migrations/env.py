"""Alembic's entry: run the migrations in one transaction over the service's own engine."""

from __future__ import annotations

from alembic import context

from carnet.serving.engine import open_engine
from carnet_sync.promotions.tables import METADATA

engine = open_engine(context.config.attributes["url"], connections=1)
try:
    with engine.begin() as connection:
        context.configure(connection=connection, target_metadata=METADATA, transactional_ddl=True)
        context.run_migrations()
finally:
    engine.dispose()

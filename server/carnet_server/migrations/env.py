"""Runs migrations on the connection that ``carnet_server.database.migrate`` hands over."""

from __future__ import annotations

from alembic import context
from sqlmodel import SQLModel

import carnet_server.tables  # noqa: F401  registers every table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    render_as_batch=True,
    transactional_ddl=False,
)
context.run_migrations()

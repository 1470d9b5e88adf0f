"""Alembic's entry."""

from __future__ import annotations

from alembic import context
from sqlmodel import SQLModel

import carnet_server.tables  # noqa: F401  registers every table
from carnet.serving.schema import run_steps

run_steps(context, SQLModel.metadata)

"""Alembic's entry."""

from __future__ import annotations

from alembic import context

from carnet.serving.schema import run_steps
from carnet_sync.promotions.tables import METADATA

run_steps(context, METADATA)

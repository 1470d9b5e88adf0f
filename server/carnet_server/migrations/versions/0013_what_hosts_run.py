"""The log tells from when until when serving hosts said that they run a version."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from carnet.serving.columns import NAME

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_MODEL = ("namespace", "model")


def upgrade() -> None:
    """Apply this step; what runs now is told with the next reports."""
    op.create_table(
        "alias_running",
        sa.Column("namespace", NAME, nullable=False),
        sa.Column("model", NAME, nullable=False),
        sa.Column("alias", NAME, nullable=False),
        sa.Column("bundle_digest", NAME, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(list(_MODEL), [f"models.{name}" for name in _MODEL]),
        sa.PrimaryKeyConstraint(*_MODEL, "alias", "bundle_digest"),
    )


def downgrade() -> None:
    """Take this step back; the log keeps the entries."""
    op.drop_table("alias_running")

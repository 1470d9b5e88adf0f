"""The logs of the environments are witnessed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from carnet.serving.columns import NAME, TEXT

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply this step; nothing was witnessed before."""
    op.create_table(
        "cosigned_logs",
        sa.Column("origin", NAME, primary_key=True),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("checkpoint", TEXT, nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
    )


def downgrade() -> None:
    """Take this step back."""
    op.drop_table("cosigned_logs")

"""A promotion may be by rollout."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply this step; no promotion that is there is by rollout."""
    op.add_column(
        "promotions", sa.Column("by_rollout", sa.Boolean(), nullable=False, server_default=sa.false())
    )


def downgrade() -> None:
    """Take this step back."""
    with op.batch_alter_table("promotions") as batch_op:
        batch_op.drop_column("by_rollout")

"""Promotions by rollout permit an alias to move, instead of moving it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from carnet.serving.columns import NAME

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_INDEX = "ix_alias_permits_alias"


def upgrade() -> None:
    """Apply this step; no promotion that is there is by rollout."""
    op.add_column(
        "admissions", sa.Column("by_rollout", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.create_table(
        "alias_permits",
        sa.Column("promotion", NAME, nullable=False),
        sa.Column("namespace", NAME, nullable=False),
        sa.Column("model", NAME, nullable=False),
        sa.Column("alias", NAME, nullable=False),
        sa.Column("bundle_digest", NAME, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("decision_digest", NAME, nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["promotion"], ["admissions.promotion"]),
        sa.PrimaryKeyConstraint("promotion"),
    )
    op.create_index(_INDEX, "alias_permits", ["namespace", "model", "alias", "bundle_digest"], unique=False)


def downgrade() -> None:
    """Take this step back; what was permitted is permitted no longer."""
    op.drop_index(_INDEX, table_name="alias_permits")
    op.drop_table("alias_permits")
    with op.batch_alter_table("admissions") as batch_op:
        batch_op.drop_column("by_rollout")

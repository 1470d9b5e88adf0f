"""Other logs are witnessed, this one is, and what contradicts itself is remembered."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from carnet.serving.columns import NAME, TEXT

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply this step; nothing was witnessed before."""
    op.create_table(
        "witnessed_logs",
        sa.Column("origin", NAME, primary_key=True),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("checkpoint", TEXT, nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "log_cosignatures",
        sa.Column("witness", NAME, primary_key=True),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("line", TEXT, nullable=False),
        sa.Column("cosigned_at", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "log_witnessed_head",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("checkpoint", TEXT, nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "alarms",
        sa.Column("digest", NAME, primary_key=True),
        sa.Column("kind", NAME, nullable=False),
        sa.Column("origin", NAME, nullable=False),
        sa.Column("message", TEXT, nullable=False),
        sa.Column("held", TEXT, nullable=False),
        sa.Column("shown", TEXT, nullable=False),
        sa.Column("raised_at", sa.BigInteger(), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
    )


def downgrade() -> None:
    """Take this step back; the log keeps the entries."""
    for name in ("alarms", "log_witnessed_head", "log_cosignatures", "witnessed_logs"):
        op.drop_table(name)

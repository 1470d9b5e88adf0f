"""Promotions, their events and cancellations."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from carnet.serving.columns import NAME, TEXT

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "promotions",
        sa.Column("id", NAME, primary_key=True),
        sa.Column("state", NAME, nullable=False),
        sa.Column("message", TEXT, nullable=False),
        sa.Column("error_reason", NAME, nullable=False),
        sa.Column("source", NAME, nullable=False),
        sa.Column("target", NAME, nullable=False),
        sa.Column("namespace", NAME, nullable=False),
        sa.Column("model", NAME, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("alias", NAME, nullable=False),
        sa.Column("bundle_digest", NAME, nullable=False),
        sa.Column("requester", NAME, nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.Column("manifest", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("source_receipt", sa.LargeBinary(), nullable=False),
        sa.Column("admission", sa.LargeBinary(), nullable=False),
        sa.Column("transferred_bytes", sa.BigInteger(), nullable=False),
        sa.Column("total_bytes", sa.BigInteger(), nullable=False),
        sa.Column("transfer", NAME, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("returns", sa.Integer(), nullable=False),
        sa.Column("retrying_since", sa.BigInteger(), nullable=True),
        sa.Column("wake_at", sa.BigInteger(), nullable=False),
        sa.Column("lease_owner", NAME, nullable=False),
        sa.Column("lease_expires_at", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_promotions_due", "promotions", ["state", "wake_at"])
    op.create_index("ix_promotions_newest", "promotions", ["created_at", "id"])
    op.create_index("ix_promotions_bundle", "promotions", ["bundle_digest"])
    op.create_table(
        "promotion_events",
        sa.Column("promotion", NAME, sa.ForeignKey("promotions.id"), primary_key=True),
        sa.Column("sequence", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("state", NAME, nullable=False),
        sa.Column("message", TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "cancellations",
        sa.Column("promotion", NAME, sa.ForeignKey("promotions.id"), primary_key=True),
        sa.Column("caller", NAME, nullable=False),
        sa.Column("envelope", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("cancellations")
    op.drop_table("promotion_events")
    op.drop_table("promotions")

"""Each alias has at most one version that people marked as known-good."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from carnet.serving.columns import NAME

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_MODEL = ("namespace", "model")


def upgrade() -> None:
    """Apply this step; nothing was marked before."""
    op.create_table(
        "alias_marks",
        sa.Column("namespace", NAME, nullable=False),
        sa.Column("model", NAME, nullable=False),
        sa.Column("alias", NAME, nullable=False),
        sa.Column("revision", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("old_marked_version", sa.Integer(), nullable=False),
        sa.Column("marked_version", sa.Integer(), nullable=False),
        sa.Column("bundle_digest", NAME, nullable=False),
        sa.Column("actor", NAME, nullable=False),
        sa.Column("note_digest", NAME, nullable=True),
        sa.Column("request_id", NAME, nullable=True),
        sa.Column("request_digest", NAME, nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("(marked_version = 0) = (bundle_digest = '')", name="ck_alias_marks_digest"),
        sa.CheckConstraint("revision >= 1", name="ck_alias_marks_revision"),
        sa.ForeignKeyConstraint(list(_MODEL), [f"models.{name}" for name in _MODEL]),
        sa.PrimaryKeyConstraint(*_MODEL, "alias", "revision"),
        sa.UniqueConstraint(*_MODEL, "alias", "request_id", name="uq_alias_marks_request"),
    )


def downgrade() -> None:
    """Take this step back; the log still tells what was marked."""
    op.drop_table("alias_marks")

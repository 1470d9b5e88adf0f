"""Serving hosts say what they run, resolves are counted, and rollbacks are rehearsed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from carnet.serving.columns import NAME

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_MODEL = ("namespace", "model")
_OLD_KINDS = ("set", "admitted", "rolled_back", "removed")
_KINDS = (*_OLD_KINDS, "drilled")


def upgrade() -> None:
    """Apply this step; nobody reported or was counted before."""
    op.create_table(
        "alias_reports",
        sa.Column("namespace", NAME, nullable=False),
        sa.Column("model", NAME, nullable=False),
        sa.Column("alias", NAME, nullable=False),
        sa.Column("subject", NAME, nullable=False),
        sa.Column("instance", NAME, nullable=False),
        sa.Column("bundle_digest", NAME, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("reported_at", sa.BigInteger(), nullable=False),
        sa.Column("drift_logged_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(list(_MODEL), [f"models.{name}" for name in _MODEL]),
        sa.PrimaryKeyConstraint(*_MODEL, "alias", "subject", "instance"),
    )
    op.create_table(
        "alias_resolves",
        sa.Column("namespace", NAME, nullable=False),
        sa.Column("model", NAME, nullable=False),
        sa.Column("alias", NAME, nullable=False),
        sa.Column("resolve_count", sa.BigInteger(), nullable=False),
        sa.Column("resolved_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(list(_MODEL), [f"models.{name}" for name in _MODEL]),
        sa.PrimaryKeyConstraint(*_MODEL, "alias"),
    )
    _allow(_KINDS)


def downgrade() -> None:
    """Take this step back; drills become the moves that they were made of."""
    op.execute("UPDATE alias_moves SET kind = 'set' WHERE kind = 'drilled'")
    _allow(_OLD_KINDS)
    op.drop_table("alias_resolves")
    op.drop_table("alias_reports")


def _allow(kinds: tuple[str, ...]) -> None:
    """Let moves be of these kinds; on SQLite the table is copied, with all its other constraints."""
    listed = ", ".join(f"'{kind}'" for kind in kinds)
    allowed = f"kind IN ({listed})"
    with op.batch_alter_table("alias_moves") as batch_op:
        batch_op.drop_constraint("kind", type_="check")
        batch_op.create_check_constraint("kind", allowed)

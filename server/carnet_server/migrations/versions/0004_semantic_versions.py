"""A version may state a semantic version, which no other version of its model states."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from carnet.serving.columns import NAME

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_INDEX = "uq_versions_semantic_version"


def upgrade() -> None:
    """Apply this step; what is there states none."""
    op.add_column("versions", sa.Column("semantic_version", NAME, nullable=True))
    op.create_index(_INDEX, "versions", ["namespace", "model", "semantic_version"], unique=True)


def downgrade() -> None:
    """Take this step back."""
    op.drop_index(_INDEX, table_name="versions")
    with op.batch_alter_table("versions") as batch_op:
        batch_op.drop_column("semantic_version")

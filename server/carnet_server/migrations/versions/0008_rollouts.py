"""Champions and challengers run side by side, and aliases are moved by rollouts."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from carnet.serving.columns import NAME, TEXT

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_MODEL = ("namespace", "model")
_KEY = (*_MODEL, "alias", "rollout")
_OLD_MOVES = ("set", "admitted", "rolled_back", "removed", "drilled")
_MOVES = (*_OLD_MOVES, "rollout")
_ACTIVE = sa.text("state IN ('running', 'awaiting', 'baking')")


def upgrade() -> None:
    """Apply this step."""
    _create_rollouts()
    _create_of_rollout(
        "rollout_metrics",
        sa.Column("metric", NAME, nullable=False),
        sa.Column("direction", NAME, nullable=False),
        key=("metric",),
    )
    _create_of_rollout(
        "rollout_totals",
        sa.Column("phase", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("metric", NAME, nullable=False),
        *_sums(),
        key=("phase", "version", "metric"),
    )
    _create_of_rollout(
        "rollout_windows",
        sa.Column("window_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("metric", NAME, nullable=False),
        *_sums(),
        key=("window_at", "version", "metric"),
    )
    _create_of_rollout(
        "rollout_reports",
        sa.Column("subject", NAME, nullable=False),
        sa.Column("request_id", NAME, nullable=False),
        sa.Column("digest", NAME, nullable=False),
        key=("subject", "request_id"),
    )
    _allow(_MOVES)


def downgrade() -> None:
    """Take this step back; what rollouts moved was set then, or removed."""
    op.execute("UPDATE alias_moves SET kind = 'removed' WHERE kind = 'rollout' AND new_version = 0")
    op.execute("UPDATE alias_moves SET kind = 'set' WHERE kind = 'rollout'")
    _allow(_OLD_MOVES)
    for table in ("rollout_reports", "rollout_windows", "rollout_totals", "rollout_metrics"):
        op.drop_table(table)
    op.drop_index("uq_rollouts_active", table_name="rollouts")
    op.drop_table("rollouts")


def _create_rollouts() -> None:
    op.create_table(
        "rollouts",
        *_key(),
        sa.Column("kind", _one_of("kind", "shadow", "split"), nullable=False),
        sa.Column(
            "state",
            _one_of("state", "running", "awaiting", "baking", "succeeded", "rolled_back", "stopped"),
            nullable=False,
        ),
        sa.Column("champion_version", sa.Integer(), nullable=False),
        sa.Column("champion_digest", NAME, nullable=False),
        sa.Column("challenger_version", sa.Integer(), nullable=False),
        sa.Column("challenger_digest", NAME, nullable=False),
        sa.Column("challenger_alias", NAME, nullable=False),
        sa.Column("sets_alias", sa.Boolean(), nullable=False),
        sa.Column("plan_document", sa.LargeBinary(), nullable=False),
        sa.Column("share", sa.Double(), nullable=False),
        sa.Column("phase_times", TEXT, nullable=False),
        sa.Column("actor", TEXT, nullable=False),
        sa.Column("note_digest", NAME, nullable=True),
        sa.Column("message", TEXT, nullable=False),
        sa.Column("reason_code", NAME, nullable=False),
        sa.Column("policy_digest", NAME, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.Column("start_log_index", sa.BigInteger(), nullable=False),
        sa.Column("champion_reported_at", sa.BigInteger(), nullable=True),
        sa.Column("challenger_reported_at", sa.BigInteger(), nullable=True),
        sa.Column("request_id", NAME, nullable=True),
        sa.Column("request_digest", NAME, nullable=True),
        sa.CheckConstraint("rollout >= 1 AND revision >= 1", name="ck_rollouts_numbers"),
        sa.CheckConstraint("share >= 0 AND share <= 1", name="ck_rollouts_share"),
        sa.ForeignKeyConstraint(list(_MODEL), [f"models.{name}" for name in _MODEL]),
        sa.PrimaryKeyConstraint(*_KEY),
        sa.UniqueConstraint(*_MODEL, "alias", "request_id", name="uq_rollouts_request"),
    )
    op.create_index(
        "uq_rollouts_active",
        "rollouts",
        [*_MODEL, "alias"],
        unique=True,
        sqlite_where=_ACTIVE,
        postgresql_where=_ACTIVE,
    )


def _create_of_rollout(table: str, *columns: sa.Column[Any], key: tuple[str, ...]) -> None:
    op.create_table(
        table,
        *_key(),
        *columns,
        sa.ForeignKeyConstraint(list(_KEY), [f"rollouts.{name}" for name in _KEY]),
        sa.PrimaryKeyConstraint(*_KEY, *key),
    )


def _key() -> tuple[sa.Column[Any], ...]:
    return (
        *(sa.Column(name, NAME, nullable=False) for name in (*_MODEL, "alias")),
        sa.Column("rollout", sa.Integer(), autoincrement=False, nullable=False),
    )


def _sums() -> tuple[sa.Column[Any], ...]:
    names = ("sample_count", "total", "total_of_squares")
    return tuple(sa.Column(name, sa.Double(), nullable=False) for name in names)


def _one_of(name: str, *values: str) -> sa.Enum:
    return sa.Enum(*values, name=name, native_enum=False, create_constraint=True, length=32)


def _allow(kinds: tuple[str, ...]) -> None:
    """Let moves be of these kinds; on SQLite the table is copied, with all its other constraints."""
    listed = ", ".join(f"'{kind}'" for kind in kinds)
    with op.batch_alter_table("alias_moves") as batch_op:
        batch_op.drop_constraint("kind", type_="check")
        batch_op.create_check_constraint("kind", f"kind IN ({listed})")

"""A version stands at one of six stages, since a time and by an entry."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_OLD = ("registered", "revoked")
_NEW = ("registered", "candidate", "approved", "deployed", "archived", "revoked")
_KEY = ("namespace", "model", "version")


def upgrade() -> None:
    """Apply this step: what has an alias is deployed, what is revoked stays so, the rest is registered."""
    for name in ("staged_at", "stage_log_index"):
        op.add_column("versions", sa.Column(name, sa.BigInteger(), nullable=False, server_default="0"))
    _allow(_NEW, before=_OLD)
    versions, aliases = _tables()
    op.execute(
        sa.update(versions).values(
            staged_at=versions.c.created_at,
            stage_log_index=sa.func.coalesce(versions.c.revoked_log_index, versions.c.log_index),
        )
    )
    on_it = tuple(aliases.c[name] == versions.c[name] for name in _KEY)
    op.execute(
        sa.update(versions)
        .where(versions.c.stage != "revoked", sa.exists().where(*on_it).correlate(versions))
        .values(
            stage="deployed",
            staged_at=_earliest(aliases.c.updated_at, on_it, versions),
            stage_log_index=_earliest(aliases.c.log_index, on_it, versions),
        )
    )
    op.create_index("ix_versions_stage", "versions", ["stage", "staged_at"], unique=False)


def downgrade() -> None:
    """Take this step back; all that is not revoked was registered then."""
    op.drop_index("ix_versions_stage", table_name="versions")
    versions, _ = _tables()
    op.execute(sa.update(versions).where(versions.c.stage != "revoked").values(stage="registered"))
    _allow(_OLD, before=_NEW)
    for name in ("stage_log_index", "staged_at"):
        op.drop_column("versions", name)


def _allow(stages: tuple[str, ...], *, before: tuple[str, ...]) -> None:
    """Replace the check of the column's values."""
    connection = op.get_bind()
    if connection.dialect.name == "postgresql":
        op.drop_constraint("stage", "versions", type_="check")
        op.create_check_constraint("stage", "versions", f"stage IN ({_listed(stages)})")
        return
    # SQLite changes no constraint in place. Other tables point at this one: while their keys are deferred it
    # may be gone, and each row that comes back under its old table's name settles what points at it.
    found = connection.exec_driver_sql(
        "SELECT sql FROM sqlite_schema WHERE tbl_name = 'versions' AND sql IS NOT NULL ORDER BY type DESC"
    ).scalars()
    table, *indexes = found
    assert f"IN ({_listed(before)})" in table
    for statement in (
        "PRAGMA defer_foreign_keys=ON",
        "CREATE TEMPORARY TABLE versions_kept AS SELECT * FROM versions",
        "DROP TABLE versions",
        table.replace(f"IN ({_listed(before)})", f"IN ({_listed(stages)})"),
        "INSERT INTO versions SELECT * FROM temp.versions_kept",
        "DROP TABLE temp.versions_kept",
        *indexes,
    ):
        connection.exec_driver_sql(statement)


def _listed(stages: tuple[str, ...]) -> str:
    return ", ".join(f"'{stage}'" for stage in stages)


def _earliest(
    column: sa.ColumnClause[int], on_it: tuple[sa.ColumnElement[bool], ...], versions: sa.TableClause
) -> sa.ScalarSelect[int]:
    return sa.select(sa.func.min(column)).where(*on_it).correlate(versions).scalar_subquery()


def _tables() -> tuple[sa.TableClause, sa.TableClause]:
    named: list[sa.ColumnClause[Any]] = [sa.column(name) for name in _KEY]
    moments = [sa.column(name, sa.BigInteger) for name in ("created_at", "log_index", "revoked_log_index")]
    staged: list[sa.ColumnClause[Any]] = [
        sa.column("stage"),
        sa.column("staged_at"),
        sa.column("stage_log_index"),
    ]
    versions = sa.table("versions", *named, *moments, *staged)
    moved = [sa.column(name, sa.BigInteger) for name in ("updated_at", "log_index")]
    return versions, sa.table("aliases", *[sa.column(name) for name in _KEY], *moved)

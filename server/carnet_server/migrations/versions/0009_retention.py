"""The files of archived versions can be purged, versions can be held, and releases are remembered."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

from carnet.serving.columns import NAME

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_KEY = ("namespace", "model", "version")
_SEMANTIC = ("namespace", "model", "semantic_version")


def upgrade() -> None:
    """Apply this step; nothing was purged or held before."""
    for name in ("purged_at", "purge_log_index"):
        op.add_column("versions", sa.Column(name, sa.BigInteger(), nullable=True))
    op.drop_index("uq_versions_semantic_version", table_name="versions")
    kept = sa.text("purged_at IS NULL")
    op.create_index(
        "uq_versions_semantic_version",
        "versions",
        list(_SEMANTIC),
        unique=True,
        sqlite_where=kept,
        postgresql_where=kept,
    )
    op.add_column("version_files", sa.Column("role", NAME, nullable=False, server_default=""))
    _fill_roles()
    op.add_column("blob_possessions", sa.Column("keep_until", sa.BigInteger(), nullable=True))
    op.create_index("ix_blob_possessions_storage", "blob_possessions", ["namespace", "size_bytes"])
    _create_tables()


def downgrade() -> None:
    """Take this step back; of what was purged, only the files were, and they stay away."""
    for name in ("scheduled_runs", "releases", "purged_blobs", "holds"):
        op.drop_table(name)
    op.drop_index("ix_blob_possessions_storage", table_name="blob_possessions")
    op.drop_column("blob_possessions", "keep_until")
    op.drop_column("version_files", "role")
    op.drop_index("uq_versions_semantic_version", table_name="versions")
    # Another version may state what a purged one stated; its manifest still does.
    op.execute("UPDATE versions SET semantic_version = NULL WHERE purged_at IS NOT NULL")
    op.create_index("uq_versions_semantic_version", "versions", list(_SEMANTIC), unique=True)
    for name in ("purge_log_index", "purged_at"):
        op.drop_column("versions", name)


def _create_tables() -> None:
    place = ("namespace", "model")
    op.create_table(
        "holds",
        sa.Column("hold", sa.BigInteger(), autoincrement=False, nullable=False),
        *(sa.Column(name, NAME, nullable=False) for name in place),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("actor", NAME, nullable=False),
        sa.Column("note_digest", NAME, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("released_at", sa.BigInteger(), nullable=True),
        sa.Column("releaser", NAME, nullable=False),
        sa.Column("request_id", NAME, nullable=True),
        sa.Column("request_digest", NAME, nullable=True),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.Column("release_log_index", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("hold"),
        sa.UniqueConstraint("request_id"),
    )
    op.create_index("ix_holds_place", "holds", list(_KEY))
    op.create_table(
        "purged_blobs",
        sa.Column("namespace", NAME, nullable=False),
        sa.Column("digest", NAME, nullable=False),
        sa.Column("model", NAME, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("namespace", "digest"),
    )
    op.create_table(
        "releases",
        sa.Column("promotion", NAME, nullable=False),
        sa.Column("bundle_digest", NAME, nullable=False),
        sa.Column("target", NAME, nullable=False),
        *(sa.Column(name, NAME, nullable=False) for name in place),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("released_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("promotion", "bundle_digest"),
    )
    op.create_index("ix_releases_version", "releases", list(_KEY))
    op.create_table(
        "scheduled_runs",
        sa.Column("task", NAME, nullable=False),
        sa.Column("taken_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("task"),
    )


def _fill_roles() -> None:
    """Write what each file is for, as the manifests say it."""
    connection = op.get_bind()
    key: list[sa.ColumnClause[Any]] = [sa.column(name) for name in _KEY]
    versions = sa.table("versions", *key, sa.column("manifest", sa.LargeBinary))
    files = sa.table(
        "version_files", *[sa.column(each.name) for each in key], sa.column("path"), sa.column("role")
    )
    write = (
        sa.update(files)
        .where(
            *(files.c[name] == sa.bindparam(f"of_{name}") for name in _KEY),
            files.c.path == sa.bindparam("of_path"),
        )
        .values(role=sa.bindparam("new_role"))
    )
    for found in connection.execute(sa.select(*(versions.c[name] for name in _KEY))).all():
        named = dict(zip(_KEY, found, strict=True))
        manifest = connection.execute(
            sa.select(versions.c.manifest).where(*(versions.c[name] == named[name] for name in _KEY))
        ).scalar_one()
        rows = [
            {f"of_{name}": value for name, value in named.items()}
            | {"of_path": file["path"], "new_role": file["role"]}
            for file in json.loads(bytes(manifest)).get("files", ())
        ]
        if rows:
            connection.execute(write, rows)

"""Versions are found by what their manifests say."""

from __future__ import annotations

from dataclasses import asdict

import sqlalchemy as sa
from alembic import op

from carnet.serving.columns import NAME, TEXT
from carnet_server.search.terms import terms_of

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_KEY = ("namespace", "model", "version")


def upgrade() -> None:
    """Apply this step."""
    terms = op.create_table(
        "search_terms",
        sa.Column("namespace", NAME, nullable=False),
        sa.Column("model", NAME, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("term", NAME, nullable=False),
        sa.Column("ordinal", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("text", TEXT, nullable=True),
        sa.Column("head", NAME, nullable=True),
        sa.Column("number", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(list(_KEY), [f"versions.{name}" for name in _KEY]),
        sa.PrimaryKeyConstraint(*_KEY, "term", "ordinal"),
    )
    op.create_index("ix_search_terms_text", "search_terms", ["term", "head", *_KEY], unique=False)
    op.create_index("ix_search_terms_number", "search_terms", ["term", "number", *_KEY], unique=False)
    op.create_index("ix_versions_arrival", "versions", ["created_at", "log_index"], unique=False)
    op.create_index("ix_version_files_digest", "version_files", ["digest"], unique=False)
    _fill(terms)


def downgrade() -> None:
    """Take this step back."""
    op.drop_index("ix_version_files_digest", table_name="version_files")
    op.drop_index("ix_versions_arrival", table_name="versions")
    op.drop_table("search_terms")


def _fill(terms: sa.Table) -> None:
    """Write what can be searched of the versions that are there, as their manifests say it."""
    connection = op.get_bind()
    versions = sa.table(
        "versions", *(sa.column(name) for name in _KEY), sa.column("manifest", sa.LargeBinary)
    )
    keys = connection.execute(sa.select(*(versions.c[name] for name in _KEY))).all()
    for key in keys:
        named = dict(zip(_KEY, key, strict=True))
        manifest = connection.execute(
            sa.select(versions.c.manifest).where(*(versions.c[name] == named[name] for name in _KEY))
        ).scalar_one()
        rows = [named | asdict(term) for term in terms_of(bytes(manifest))]
        if rows:
            connection.execute(sa.insert(terms), rows)

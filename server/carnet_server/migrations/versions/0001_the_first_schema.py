"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from carnet.serving.columns import NAME, TEXT

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply this step."""
    op.create_table(
        "admission_cancellations",
        sa.Column("promotion", NAME, nullable=False),
        sa.Column("canceller", NAME, nullable=False),
        sa.Column("namespace", NAME, nullable=False),
        sa.Column("model", NAME, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("bundle_digest", NAME, nullable=False),
        sa.Column("digest", NAME, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("promotion", "canceller"),
    )
    op.create_table(
        "admissions",
        sa.Column("promotion", NAME, nullable=False),
        sa.Column("state", NAME, nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("home", NAME, nullable=False),
        sa.Column("namespace", NAME, nullable=False),
        sa.Column("model", NAME, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("alias", NAME, nullable=False),
        sa.Column("source", NAME, nullable=False),
        sa.Column("bundle_digest", NAME, nullable=False),
        sa.Column("publisher", NAME, nullable=False),
        sa.Column("publisher_person", NAME, nullable=True),
        sa.Column("requester", NAME, nullable=False),
        sa.Column("requester_person", NAME, nullable=True),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.Column("request_digest", NAME, nullable=False),
        sa.Column("manifest", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("source_receipt", TEXT, nullable=False),
        sa.Column("evaluation", TEXT, nullable=True),
        sa.Column("dossier", sa.LargeBinary(), nullable=True),
        sa.Column("dossier_digest", NAME, nullable=True),
        sa.Column("dossier_expires_at", sa.BigInteger(), nullable=True),
        sa.Column("decision", sa.LargeBinary(), nullable=True),
        sa.Column("decision_digest", NAME, nullable=True),
        sa.Column("log_index", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("promotion"),
    )
    with op.batch_alter_table("admissions", schema=None) as batch_op:
        batch_op.create_index("ix_admissions_bundle_digest", ["bundle_digest"], unique=False)

    op.create_table(
        "blob_possessions",
        sa.Column("namespace", NAME, nullable=False),
        sa.Column("digest", NAME, nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("namespace", "digest"),
    )
    with op.batch_alter_table("blob_possessions", schema=None) as batch_op:
        batch_op.create_index("ix_blob_possessions_created_at", ["created_at"], unique=False)
        batch_op.create_index("ix_blob_possessions_digest", ["digest"], unique=False)

    op.create_table(
        "documents",
        sa.Column("digest", NAME, nullable=False),
        sa.Column("media_type", NAME, nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_table(
        "documents_in_force",
        sa.Column("kind", NAME, nullable=False),
        sa.Column("digest", NAME, nullable=False),
        sa.PrimaryKeyConstraint("kind"),
    )
    op.create_table(
        "evidence",
        sa.Column("namespace", NAME, nullable=False),
        sa.Column("bundle_digest", NAME, nullable=False),
        sa.Column("digest", NAME, nullable=False),
        sa.Column("model", NAME, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("predicate_type", TEXT, nullable=False),
        sa.Column("suite", TEXT, nullable=False),
        sa.Column("result", NAME, nullable=False),
        sa.Column("signer", NAME, nullable=False),
        sa.Column("signer_key_id", NAME, nullable=False),
        sa.Column("trusted", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.Column("envelope", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("namespace", "bundle_digest", "digest"),
    )
    with op.batch_alter_table("evidence", schema=None) as batch_op:
        batch_op.create_index(
            "ix_evidence_in_order", ["namespace", "bundle_digest", "log_index", "digest"], unique=False
        )

    op.create_table(
        "log_entries",
        sa.Column("index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("entry", sa.LargeBinary(), nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("index"),
    )
    op.create_table(
        "log_head",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("origin", NAME, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "log_nodes",
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("index", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("level", "index"),
    )
    op.create_table(
        "models",
        sa.Column("namespace", NAME, nullable=False),
        sa.Column("model", NAME, nullable=False),
        sa.Column("home", NAME, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("namespace", "model"),
    )
    op.create_table(
        "promotion_records",
        sa.Column("promotion", NAME, nullable=False),
        sa.Column("target", NAME, nullable=False),
        sa.Column("namespace", NAME, nullable=False),
        sa.Column("model", NAME, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("bundle_digest", NAME, nullable=False),
        sa.Column("decision_digest", NAME, nullable=False),
        sa.Column("target_receipt", TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("promotion"),
    )
    with op.batch_alter_table("promotion_records", schema=None) as batch_op:
        batch_op.create_index("ix_promotion_records_bundle_digest", ["bundle_digest"], unique=False)

    op.create_table(
        "revisions",
        sa.Column("scope", NAME, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("scope"),
    )
    op.create_table(
        "alias_moves",
        sa.Column("namespace", NAME, nullable=False),
        sa.Column("model", NAME, nullable=False),
        sa.Column("alias", NAME, nullable=False),
        sa.Column("revision", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "set",
                "admitted",
                "rolled_back",
                "removed",
                name="kind",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("old_version", sa.Integer(), nullable=False),
        sa.Column("new_version", sa.Integer(), nullable=False),
        sa.Column("bundle_digest", NAME, nullable=False),
        sa.Column("actor", NAME, nullable=False),
        sa.Column("reason_code", NAME, nullable=False),
        sa.Column("note_digest", NAME, nullable=True),
        sa.Column("promotion", NAME, nullable=False),
        sa.Column("request_id", NAME, nullable=True),
        sa.Column("request_digest", NAME, nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("(new_version = 0) = (bundle_digest = '')", name="ck_alias_moves_digest"),
        sa.CheckConstraint("revision >= 1", name="ck_alias_moves_revision"),
        sa.ForeignKeyConstraint(
            ["namespace", "model"],
            ["models.namespace", "models.model"],
        ),
        sa.PrimaryKeyConstraint("namespace", "model", "alias", "revision"),
        sa.UniqueConstraint("namespace", "model", "alias", "request_id", name="uq_alias_moves_request"),
    )
    op.create_table(
        "approvals",
        sa.Column("promotion", NAME, nullable=False),
        sa.Column("digest", NAME, nullable=False),
        sa.Column("approver", NAME, nullable=False),
        sa.Column("approver_key_id", NAME, nullable=False),
        sa.Column("person", NAME, nullable=True),
        sa.Column("meaning", NAME, nullable=False),
        sa.Column("reason", NAME, nullable=False),
        sa.Column("dossier_digest", NAME, nullable=False),
        sa.Column("nonce", NAME, nullable=False),
        sa.Column("signed_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.Column("envelope", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["promotion"],
            ["admissions.promotion"],
        ),
        sa.PrimaryKeyConstraint("promotion", "digest"),
        sa.UniqueConstraint("approver_key_id", "nonce"),
    )
    op.create_table(
        "versions",
        sa.Column("namespace", NAME, nullable=False),
        sa.Column("model", NAME, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("home", NAME, nullable=False),
        sa.Column("bundle_digest", NAME, nullable=False),
        sa.Column("content_digest", NAME, nullable=False),
        sa.Column(
            "stage",
            sa.Enum(
                "registered", "revoked", name="stage", native_enum=False, create_constraint=True, length=32
            ),
            nullable=False,
        ),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("file_count", sa.Integer(), nullable=False),
        sa.Column("publisher", NAME, nullable=False),
        sa.Column("publisher_key_id", NAME, nullable=False),
        sa.Column("source", NAME, nullable=False),
        sa.Column("promotion", NAME, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.Column("description", TEXT, nullable=False),
        sa.Column("owner", NAME, nullable=False),
        sa.Column("revoked_log_index", sa.BigInteger(), nullable=True),
        sa.Column("manifest", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("size_bytes >= 0 AND file_count >= 1", name="ck_versions_sizes"),
        sa.CheckConstraint("version >= 1", name="ck_versions_number"),
        sa.ForeignKeyConstraint(
            ["namespace", "model"],
            ["models.namespace", "models.model"],
        ),
        sa.PrimaryKeyConstraint("namespace", "model", "version"),
        sa.UniqueConstraint("bundle_digest", name="uq_versions_bundle_digest"),
    )
    with op.batch_alter_table("versions", schema=None) as batch_op:
        batch_op.create_index("ix_versions_content", ["namespace", "model", "content_digest"], unique=False)

    op.create_table(
        "aliases",
        sa.Column("namespace", NAME, nullable=False),
        sa.Column("model", NAME, nullable=False),
        sa.Column("alias", NAME, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("bundle_digest", NAME, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("revision >= 1", name="ck_aliases_revision"),
        sa.ForeignKeyConstraint(
            ["namespace", "model", "version"],
            ["versions.namespace", "versions.model", "versions.version"],
        ),
        sa.PrimaryKeyConstraint("namespace", "model", "alias"),
    )
    op.create_table(
        "version_files",
        sa.Column("namespace", NAME, nullable=False),
        sa.Column("model", NAME, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("path", TEXT, nullable=False),
        sa.Column("digest", NAME, nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("size_bytes >= 0", name="ck_version_files_size"),
        sa.ForeignKeyConstraint(
            ["namespace", "model", "version"],
            ["versions.namespace", "versions.model", "versions.version"],
        ),
        sa.PrimaryKeyConstraint("namespace", "model", "version", "path"),
    )
    with op.batch_alter_table("version_files", schema=None) as batch_op:
        batch_op.create_index("ix_version_files_blob", ["namespace", "digest"], unique=False)


def downgrade() -> None:
    """Take this step back."""
    with op.batch_alter_table("version_files", schema=None) as batch_op:
        batch_op.drop_index("ix_version_files_blob")

    op.drop_table("version_files")
    op.drop_table("aliases")
    with op.batch_alter_table("versions", schema=None) as batch_op:
        batch_op.drop_index("ix_versions_content")

    op.drop_table("versions")
    op.drop_table("approvals")
    op.drop_table("alias_moves")
    op.drop_table("revisions")
    with op.batch_alter_table("promotion_records", schema=None) as batch_op:
        batch_op.drop_index("ix_promotion_records_bundle_digest")

    op.drop_table("promotion_records")
    op.drop_table("models")
    op.drop_table("log_nodes")
    op.drop_table("log_head")
    op.drop_table("log_entries")
    with op.batch_alter_table("evidence", schema=None) as batch_op:
        batch_op.drop_index("ix_evidence_in_order")

    op.drop_table("evidence")
    op.drop_table("documents_in_force")
    op.drop_table("documents")
    with op.batch_alter_table("blob_possessions", schema=None) as batch_op:
        batch_op.drop_index("ix_blob_possessions_digest")
        batch_op.drop_index("ix_blob_possessions_created_at")

    op.drop_table("blob_possessions")
    with op.batch_alter_table("admissions", schema=None) as batch_op:
        batch_op.drop_index("ix_admissions_bundle_digest")

    op.drop_table("admissions")
    op.drop_table("admission_cancellations")

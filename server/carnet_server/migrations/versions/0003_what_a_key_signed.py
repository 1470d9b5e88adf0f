"""What was signed with a key is found by its id and by its subject."""

from __future__ import annotations

import json
import re

import sqlalchemy as sa
from alembic import op

from carnet.serving.columns import NAME

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_INDEXES = (
    ("admissions", "requester"),
    ("admissions", "requester_key_id"),
    ("approvals", "approver"),
    ("evidence", "signer"),
    ("evidence", "signer_key_id"),
    ("versions", "publisher"),
    ("versions", "publisher_key_id"),
)
_KEY_ID = re.compile(r"[0-9a-f]{64}")


def upgrade() -> None:
    """Apply this step."""
    op.add_column("admissions", sa.Column("requester_key_id", NAME, nullable=False, server_default=""))
    op.add_column(
        "admissions", sa.Column("request_log_index", sa.BigInteger(), nullable=False, server_default="0")
    )
    _fill_keys()
    for table, column in _INDEXES:
        op.create_index(f"ix_{table}_{column}", table, [column], unique=False)


def downgrade() -> None:
    """Take this step back."""
    for table, column in _INDEXES:
        op.drop_index(f"ix_{table}_{column}", table_name=table)
    with op.batch_alter_table("admissions") as batch_op:
        batch_op.drop_column("request_log_index")
        batch_op.drop_column("requester_key_id")


def _fill_keys() -> None:
    """Write the keys of the requests and the evidence that are there, as their envelopes name them."""
    connection = op.get_bind()
    admissions = sa.table(
        "admissions",
        sa.column("promotion"),
        sa.column("request", sa.LargeBinary),
        sa.column("requester_key_id"),
    )
    for promotion, request in connection.execute(
        sa.select(admissions.c.promotion, admissions.c.request)
    ).all():
        connection.execute(
            sa.update(admissions)
            .where(admissions.c.promotion == promotion)
            .values(requester_key_id=_named_key(request))
        )
    names = ("namespace", "bundle_digest", "digest")
    evidence = sa.table(
        "evidence",
        *(sa.column(name) for name in names),
        sa.column("envelope", sa.LargeBinary),
        sa.column("signer_key_id"),
    )
    unknown = sa.select(evidence).where(evidence.c.signer_key_id == "")
    for row in connection.execute(unknown).all():
        connection.execute(
            sa.update(evidence)
            .where(*(evidence.c[name] == getattr(row, name) for name in names))
            .values(signer_key_id=_named_key(row.envelope))
        )


def _named_key(envelope: bytes) -> str:
    """Return the first key that an envelope names; empty where it names none in our form."""
    signatures = json.loads(bytes(envelope)).get("signatures", [])
    named = (str(each.get("keyid", "")) for each in signatures)
    return next((key_id for key_id in named if _KEY_ID.fullmatch(key_id)), "")

"""The statements of evidence, built once, and the reads and writes that use them.

Rows do not leave this module: what is returned are the dataclasses of ``domain``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, Integer, bindparam, insert, select, tuple_
from sqlmodel import SQLModel

from carnet_server.evidence.domain import Evidence
from carnet_server.evidence.tables import EvidenceRow

if TYPE_CHECKING:
    from sqlalchemy import Connection

EVIDENCE = SQLModel.metadata.tables[str(EvidenceRow.__tablename__)]

_ABOUT = (
    EVIDENCE.c.namespace == bindparam("of_namespace"),
    EVIDENCE.c.bundle_digest == bindparam("of_bundle"),
)
_READ_ONE = select(EVIDENCE).where(*_ABOUT, EVIDENCE.c.digest == bindparam("of_digest"))
_READ_ALL = select(EVIDENCE).where(*_ABOUT).order_by(EVIDENCE.c.log_index, EVIDENCE.c.digest)
_READ_DIGESTS = select(EVIDENCE.c.digest).where(*_ABOUT).order_by(EVIDENCE.c.digest)
_LIST = _READ_ALL.where(
    tuple_(EVIDENCE.c.log_index, EVIDENCE.c.digest)
    > tuple_(bindparam("after_index", type_=BigInteger), bindparam("after_digest"))
).limit(bindparam("row_limit", type_=Integer))
_INSERT = insert(EVIDENCE)


def read_evidence(connection: Connection, namespace: str, bundle_digest: str, digest: str) -> Evidence | None:
    """Read one attestation; None where the namespace does not hold it."""
    asked = {"of_namespace": namespace, "of_bundle": bundle_digest, "of_digest": digest}
    row = connection.execute(_READ_ONE, asked).first()
    return None if row is None else Evidence(**row._mapping)  # noqa: SLF001  SQLAlchemy's public name for it


def read_all_evidence(connection: Connection, namespace: str, bundle_digest: str) -> list[Evidence]:
    """Read everything that a namespace holds about a bundle, the oldest first."""
    asked = {"of_namespace": namespace, "of_bundle": bundle_digest}
    return [Evidence(**row._mapping) for row in connection.execute(_READ_ALL, asked)]  # noqa: SLF001  as above


def read_evidence_digests(connection: Connection, namespace: str, bundle_digest: str) -> list[str]:
    """Read the digests of everything that a namespace holds about a bundle, trusted or not; sorted."""
    asked = {"of_namespace": namespace, "of_bundle": bundle_digest}
    return sorted(row.digest for row in connection.execute(_READ_DIGESTS, asked))


def list_evidence(
    connection: Connection,
    namespace: str,
    bundle_digest: str,
    *,
    after: tuple[int, str],
    limit: int,
    max_bytes: int,
) -> tuple[list[Evidence], bool]:
    """Read a page of what a namespace holds about a bundle, the oldest first.

    Args:
        connection: Where to read.
        namespace: The namespace.
        bundle_digest: The bundle.
        after: Log index and digest of the last one that was read before; ``(-1, "")`` for the first page.
        limit: How many at most.
        max_bytes: How many bytes of envelopes at most, but one envelope at least.

    Returns:
        The page, and whether there is more.
    """
    asked = {
        "of_namespace": namespace,
        "of_bundle": bundle_digest,
        "after_index": after[0],
        "after_digest": after[1],
        "row_limit": limit + 1,
    }
    page: list[Evidence] = []
    total = 0
    for row in connection.execute(_LIST, asked):
        total += len(row.envelope)
        if len(page) == limit or (page and total > max_bytes):
            return page, True
        page.append(Evidence(**row._mapping))  # noqa: SLF001  as above
    return page, False


def insert_evidence_row(connection: Connection, evidence: Evidence) -> None:
    """Write an attestation that the namespace did not hold."""
    connection.execute(_INSERT, {name: getattr(evidence, name) for name in Evidence.__slots__})

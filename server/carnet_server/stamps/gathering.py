"""Finding a version's stamps in the store: by digests alone, from its arrival backwards.

An arrival's decision names the request, the dossier, the approvals and the source's release that it rests on,
and that release the stamps of the way before, which are kept as documents since the admission
(``carnet_server.stamps.carried``). Makes no receipts: it says which entries they are needed of.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from carnet.signing.decision import Decision
from carnet.signing.dsse import parse_envelope
from carnet.signing.release import Release
from carnet.signing.statement import parse_statement
from carnet.stamps.stamp import RECEIPT_PREFIX
from carnet_server.admission.queries import read_admission
from carnet_server.evidence.queries import read_evidence, read_evidence_digests
from carnet_server.log.queries import READ_DOCUMENTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection

    from carnet_server.models.domain import Version


class _GapError(Exception):
    """Something is not here; it never leaves this module."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """What is stored of a version's stamps.

    Attributes:
        version: The version.
        evidence: The digests of the evidence that is held about it, in order.
        statements: The bytes of the statements that are no evidence, by digest.
        receipts: The bytes of other environments' receipts, by digest.
        entries: The entries here that receipts are needed of.
        gap: Why the stamps are not whole, and none are given; empty where they are.
    """

    version: Version
    evidence: tuple[str, ...]
    statements: dict[str, bytes]
    receipts: dict[str, bytes]
    entries: tuple[int, ...]
    gap: str = ""


def gather_stamps(
    connection: Connection,
    version: Version,
    *,
    alias_index: int | None = None,
    alias_promotion: str = "",
) -> Gathered:
    """Read what is stored of a version's stamps.

    Args:
        connection: Where to read.
        version: The version.
        alias_index: The entry of the last move of the alias that it is asked for by; None for none.
        alias_promotion: The promotion that moved it; empty for none.

    Returns:
        All of it; or, where it was admitted before stamps were kept or one has been erased, none but the
        entry of its arrival, and why.
    """
    evidence = read_evidence_digests(connection, version.namespace, version.bundle_digest)
    gathered = Gathered(version, tuple(evidence), {}, {}, ())
    entries = [version.log_index]
    promotions = [each for each in (version.promotion, alias_promotion) if each]
    try:
        entries += [_add_leg(connection, gathered, each) for each in dict.fromkeys(promotions)]
    except _GapError as gap:
        return Gathered(version, gathered.evidence, {}, {}, (version.log_index,), gap=str(gap))
    if alias_index is not None:
        entries.append(alias_index)
    return Gathered(
        version, gathered.evidence, gathered.statements, gathered.receipts, tuple(dict.fromkeys(entries))
    )


def _add_leg(connection: Connection, gathered: Gathered, promotion: str) -> int:
    """Add all that a promotion's decision rests on, and return the decision's entry."""
    version = gathered.version
    admission = read_admission(connection, promotion)
    digest = admission.decision_digest if admission else None
    held = read_evidence(connection, version.namespace, version.bundle_digest, digest) if digest else None
    if held is None:
        raise _GapError(f"the decision of promotion {promotion} is not here")
    decision = Decision.parse(parse_statement(parse_envelope(held.envelope)))
    known = set(gathered.evidence)
    wanted = {
        each.digest.sha256: each.uri
        for each in decision.input_attestations
        if each.digest.sha256 not in known
    }
    documents = _read(connection, wanted)
    gathered.statements.update(documents)
    for each, uri in wanted.items():
        if uri == "urn:carnet:release":
            release = Release.parse(parse_statement(parse_envelope(documents[each])))
            if not release.stamps:
                raise _GapError("it was admitted before stamps were kept")
            for found, data in _read(connection, release.stamps).items():
                kind = gathered.receipts if data.startswith(RECEIPT_PREFIX) else gathered.statements
                kind[found] = data
    return held.log_index


def _read(connection: Connection, digests: Iterable[str]) -> dict[str, bytes]:
    wanted = list(digests)
    found: dict[str, bytes] = {}
    for start in range(0, len(wanted), 500):
        asked = {"wanted": wanted[start : start + 500]}
        found |= {row.digest: row.data for row in connection.execute(READ_DOCUMENTS, asked)}
    missing = [digest for digest in wanted if digest not in found]
    if missing:
        raise _GapError(f"the stamp {missing[0]} is not kept any more")
    return found

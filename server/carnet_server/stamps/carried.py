"""Stamps that a promotion brings along: exactly those that the source's release names, and a whole way.

The carrier can neither leave one out nor add one: the source signed which they are. What this environment can
judge it does: the digests close from the source back to the bundle's home, and everything that a peer of
this environment signed verifies. The rest is the source's word, under its signature, and is judged by whoever
pins the keys of the environments before (``carnet verify``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.canonical import sha256_hex
from carnet.errors import StatementInvalidError
from carnet.signing.dsse import verify_envelope
from carnet.stamps.stamp import ReceiptStamp, StatementStamp, read_stamp, read_statement
from carnet.stamps.way import read_way
from carnet.translog.receipt import verify_receipt
from carnet_server.evidence.adding import ENVELOPE_MEDIA_TYPE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from carnet.bundle.manifest import Manifest
    from carnet.signing.release import Release
    from carnet.stamps.way import Stop
    from carnet_server.access.trust import Trust
    from carnet_server.log.transaction import Transaction

RECEIPT_MEDIA_TYPE = "text/plain"


def verify_carried(
    release: Release, given: Sequence[bytes], evidence: Iterable[bytes], *, manifest: Manifest, trust: Trust
) -> dict[str, tuple[bytes, str]]:
    """Verify the stamps that came with a promotion.

    Args:
        release: The source's release, verified.
        given: The stamps as they were carried here.
        evidence: The evidence about the bundle that is held here, which has all that the release names.
        manifest: The bundle's manifest.
        trust: This environment's trust document.

    Returns:
        Bytes and media type of each, by digest; empty where the source has none from before stamps were kept.

    Raises:
        StatementInvalidError: One is withheld, was not asked for, or is about another bundle.
        IntegrityError: They are no whole way from the bundle's home to the source.
    """
    carried = {sha256_hex(data): data for data in given}
    _require_exactly(release, carried)
    if not carried:
        return {}
    stamps = {digest: read_stamp(data) for digest, data in carried.items()}
    named = set(release.evidence)
    held = {digest: read_statement(data) for data in evidence if (digest := sha256_hex(data)) in named}
    way = read_way(
        manifest,
        release.environment,
        {**stamps, **held},
        stamps=release.stamps,
        evidence=release.evidence,
    )
    for stop in way.stops:
        _verify_stop(stop, trust)
    return {digest: (stamp.data, _media_type(stamp)) for digest, stamp in stamps.items()}


def keep_carried_stamps(tx: Transaction, stamps: dict[str, tuple[bytes, str]]) -> None:
    """Keep verified stamps as documents, with the admission that they lead to."""
    for data, media_type in stamps.values():
        tx.store_document(data, media_type)


def _require_exactly(release: Release, carried: dict[str, bytes]) -> None:
    withheld = sorted(set(release.stamps) - set(carried))
    beyond = sorted(set(carried) - set(release.stamps))
    if withheld:
        raise StatementInvalidError(
            f"withheld stamp {withheld[0]} ({len(withheld)} in all): {release.environment} states that it "
            "holds it, and it was not brought here",
            metadata={"field": "stamps", "digests": ",".join(withheld[:10])},
        )
    if beyond:
        raise StatementInvalidError(
            f"stamp {beyond[0]} is none that {release.environment} names: carry those of its release only",
            metadata={"field": "stamps", "digests": ",".join(beyond[:10])},
        )


def _verify_stop(stop: Stop, trust: Trust) -> None:
    """Verify what an environment on the way signed, if it is a peer here."""
    peer = trust.peer(stop.environment)
    if peer is None:
        return
    verify_receipt(stop.arrival.receipt, peer.log)
    if stop.decision is not None:
        verify_envelope(stop.decision.envelope, peer.signing_keys)
    if stop.leg is not None:
        verify_receipt(stop.leg.receipt.receipt, peer.log)
        for each in (stop.leg.decision, *stop.leg.inputs["dossier"]):
            verify_envelope(each.envelope, peer.signing_keys)


def _media_type(stamp: StatementStamp | ReceiptStamp) -> str:
    return RECEIPT_MEDIA_TYPE if isinstance(stamp, ReceiptStamp) else ENVELOPE_MEDIA_TYPE

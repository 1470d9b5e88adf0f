"""What the source says: its release statement, its receipt, and the evidence that it holds.

Pure rules. The source is believed about itself only: what it holds, what it revoked, what is in its log. A
release statement is fresh, and made at a log that goes at least as far as the receipt's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from carnet.canonical import sha256_hex
from carnet.errors import StatementInvalidError
from carnet.signing.dsse import parse_envelope, verify_envelope
from carnet.signing.release import Release
from carnet.signing.statement import parse_statement
from carnet.translog.entry import EntryType
from carnet.translog.receipt import verify_receipt
from carnet_server.admission.ages import check_age
from carnet_server.admission.request_rules import require_same

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime, timedelta

    from carnet.translog.receipt import Receipt
    from carnet_server.access.trust import Peer
    from carnet_server.admission.request_rules import VerifiedRequest

ARRIVALS = frozenset({EntryType.VERSION_PUBLISHED, EntryType.VERSION_ADMITTED})


@dataclass(frozen=True, slots=True)
class VerifiedRelease:
    """The source's release statement; ``digest`` is its envelope's, ``data`` the envelope's bytes."""

    release: Release
    digest: str
    data: bytes


def verify_release(
    data: bytes, request: VerifiedRequest, peer: Peer, *, max_age: timedelta, now: datetime
) -> VerifiedRelease:
    """Verify the source's release statement: signed by it, for this promotion, and fresh.

    A statement that says *revoked* is verified like any other: refusing it is a decision, and logged.

    Raises:
        SignatureInvalidError: The envelope is malformed or does not verify.
        KeyUntrustedError: It is not signed by the source environment.
        StatementInvalidError: It is about something else, or from the future.
        PreconditionFailedError: It is too old.
    """
    envelope = parse_envelope(data)
    verify_envelope(envelope, peer.signing_keys)
    statement = parse_statement(envelope)
    release = Release.parse(statement)
    wished = request.request
    require_same(
        "the release statement",
        {
            "promotion": release.promotion,
            "environment": release.environment,
            "target": release.target,
            "namespace": release.namespace,
            "model": release.model,
            "version": release.version,
            "subject": (statement.subject_name, statement.subject_digest),
            "log_origin": release.log_origin,
        },
        {
            "promotion": wished.promotion,
            "environment": wished.source,
            "target": wished.target,
            "namespace": wished.namespace,
            "model": wished.model,
            "version": wished.version,
            "subject": (request.subject_name, request.bundle_digest),
            "log_origin": peer.log.name,
        },
    )
    check_fresh(release, max_age=max_age, now=now)
    return VerifiedRelease(release, envelope.digest, data)


def check_fresh(release: Release, *, max_age: timedelta, now: datetime) -> None:
    """Insist that a release statement is neither too old nor from the future.

    Raises:
        PreconditionFailedError: It is older than the policy takes.
        StatementInvalidError: It was issued later than now, by more than clocks may differ.
    """
    check_age(
        f"the release statement of {release.environment}",
        release.issued_at,
        field="issued_at",
        max_age=max_age,
        now=now,
        mend="get a fresh one",
    )


def verify_arrival(receipt: Receipt, request: VerifiedRequest, peer: Peer, release: Release) -> None:
    """Verify that the source's log has this very version, and had it when the release was stated.

    The size of the receipt's tree may lie beyond the release's: a receipt leads to the newest checkpoint of
    all until a quorum has witnessed one, which is smaller, and so it is with processes over one log.

    Raises:
        KeyUntrustedError: The receipt's checkpoint is not signed by the source's log key.
        ProofInvalidError: The receipt does not hold.
        StatementInvalidError: Its entry is about something else, or not in the log that the release tells of.
    """
    entry = verify_receipt(receipt, peer.log)
    if entry.type not in ARRIVALS:
        raise StatementInvalidError(
            f"the source's receipt is for an entry {entry.type}, and one for the version's publication or "
            "admission is needed",
            metadata={"field": "source_receipt"},
        )
    wished = request.request
    names = ("namespace", "model", "version", "bundle_digest")
    require_same(
        "the source's receipt",
        {"environment": entry.environment} | {name: entry.subject.get(name) for name in names},
        {
            "environment": wished.source,
            "namespace": wished.namespace,
            "model": wished.model,
            "version": wished.version,
            "bundle_digest": request.bundle_digest,
        },
    )
    if release.log_size <= receipt.index:
        raise StatementInvalidError(
            f"the release statement is made at log size {release.log_size}, before the version's arrival as "
            f"entry {receipt.index}",
            metadata={"field": "log_size"},
        )


def withheld_evidence(release: Release, held: Collection[str], given: Iterable[bytes]) -> list[str]:
    """Return the digests of evidence that the source holds, and that is neither here nor carried here.

    Args:
        release: The verified release statement.
        held: The digests that are held here about the bundle.
        given: The envelopes that were carried here.
    """
    here = set(held) | {sha256_hex(each) for each in given}
    return [digest for digest in release.evidence if digest not in here]


def check_nothing_withheld(release: Release, held: Collection[str], given: Iterable[bytes]) -> None:
    """Insist that all evidence of the source is here or carried here; extras are welcome.

    Raises:
        StatementInvalidError: Some is missing; the message names the first.
    """
    withheld = withheld_evidence(release, held, given)
    if withheld:
        raise StatementInvalidError(
            f"withheld evidence {withheld[0]} ({len(withheld)} in all): {release.environment} states that it "
            "holds it about this bundle, and it was not brought here",
            metadata={"field": "evidence", "digests": ",".join(withheld[:10])},
        )

"""The way of a bundle from its home to where it is, as its stamps tell it.

Responsible for which stamps belong together, by nothing but digests: an arrival's entry names the decision
that it rests on, the decision all that it rests on, and among that the source's release, which names all
stamps of the way before. So the set closes: whatever is missing is noticed, and whatever belongs nowhere.

Pure, and judges no signature: what stands here is genuine only once ``carnet.stamps.verify`` has said so.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from carnet.errors import IntegrityError, StatementInvalidError
from carnet.signing.decision import Decision
from carnet.signing.release import Release
from carnet.stamps.stamp import ReceiptStamp, StatementStamp, check_about
from carnet.translog.entry import EntryType

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from carnet.bundle.manifest import Manifest
    from carnet.translog.entry import Entry

MAX_STOPS = 16
_INPUT = "urn:carnet:"
_KINDS = ("promotion-request", "release", "dossier", "approval", "break-glass")
_ARRIVALS = (EntryType.VERSION_PUBLISHED, EntryType.VERSION_ADMITTED)


@dataclass(frozen=True, slots=True)
class Leg:
    """One promotion into an environment.

    Attributes:
        promotion: Its id.
        environment: The target, which decided.
        decision: The decision.
        said: What the decision says.
        receipt: The receipt of the decision's entry.
        inputs: The statements that it rests on apart from evidence, by kind.
        release: What the source said.
        before: The way to the source, as the source's release has it.
    """

    promotion: str
    environment: str
    decision: StatementStamp
    said: Decision
    receipt: ReceiptStamp
    inputs: Mapping[str, tuple[StatementStamp, ...]]
    release: Release
    before: tuple[Stop, ...]


@dataclass(frozen=True, slots=True)
class Stop:
    """An environment on the way.

    Attributes:
        environment: Its name.
        arrival: The receipt of the version's publication or admission there.
        decision: The decision that it was published on; None where there is none, or a leg led here.
        leg: The promotion that led here; None at home.
    """

    environment: str
    arrival: ReceiptStamp
    decision: StatementStamp | None = None
    leg: Leg | None = None


@dataclass(frozen=True, slots=True)
class Way:
    """Everything, from the home on.

    Attributes:
        stops: The environments, the home first.
        alias: The receipt of the last move of the alias that it was pulled by; None where by its number.
        alias_leg: The promotion that moved the alias, where that is not the one that brought the version.
    """

    stops: tuple[Stop, ...]
    alias: ReceiptStamp | None = None
    alias_leg: Leg | None = None


@dataclass(slots=True)
class _Reading:
    """One reading: the documents at hand, and which of them were found to belong."""

    manifest: Manifest
    bundle_digest: str
    documents: Mapping[str, StatementStamp | ReceiptStamp]
    evidence: frozenset[str]
    used: set[str] = field(default_factory=set)

    def statement(self, digest: str, what: str) -> StatementStamp:
        found = self.documents.get(digest)
        if not isinstance(found, StatementStamp):
            raise IntegrityError(f"{what} is missing among the stamps: statement {digest}")
        self.used.add(digest)
        return found

    def receipts(self, listed: Iterable[str], environment: str, *types: EntryType) -> Iterator[ReceiptStamp]:
        for digest in listed:
            found = self.documents.get(digest)
            if (
                isinstance(found, ReceiptStamp)
                and found.entry.environment == environment
                and found.entry.type in types
            ):
                yield found

    def one_receipt(self, found: Iterable[ReceiptStamp], what: str) -> ReceiptStamp:
        all_found = list(found)
        if not all_found:
            raise IntegrityError(f"{what} is missing among the stamps")
        if len(all_found) > 1:
            raise IntegrityError(f"{what} is there more than once: stamp {all_found[1].digest}")
        self.used.add(all_found[0].digest)
        return all_found[0]


def read_way(
    manifest: Manifest,
    environment: str,
    documents: Mapping[str, StatementStamp | ReceiptStamp],
    *,
    stamps: Iterable[str],
    evidence: Iterable[str],
    alias: str = "",
) -> Way:
    """Find the way that stamps tell of, with none missing and none left over.

    Args:
        manifest: The bundle's manifest.
        environment: Where it is.
        documents: All stamps and all evidence at hand, by digest.
        stamps: The digests of the stamps, apart from evidence.
        evidence: The digests of the evidence.
        alias: The alias that it was pulled by; empty for none.

    Raises:
        IntegrityError: A stamp is missing, belongs nowhere, or is about another bundle; the message names it.
    """
    listed, held = frozenset(stamps), frozenset(evidence)
    reading = _Reading(manifest, manifest.digest, documents, held)
    for digest in sorted(listed | held):
        if digest not in documents:
            raise IntegrityError(f"stamp {digest} is listed and missing")
        check_about(documents[digest], reading.bundle_digest)
    stops = _walk(reading, environment, listed, MAX_STOPS)
    moved, leg = None, None
    if alias:
        moved = reading.one_receipt(
            reading.receipts(listed, environment, EntryType.ALIAS_MOVED),
            f"the receipt of {environment} for the move of {alias}",
        )
        promotion = moved.entry.subject.get("promotion")
        brought = stops[-1].leg
        if promotion and (brought is None or promotion != brought.promotion):
            leg = _leg(reading, environment, moved.entry, listed, MAX_STOPS)
    superfluous = sorted(listed - reading.used)
    if superfluous:
        raise IntegrityError(f"stamp {superfluous[0]} belongs nowhere on the way ({len(superfluous)} in all)")
    return Way(stops, moved, leg)


def _walk(reading: _Reading, environment: str, listed: frozenset[str], room: int) -> tuple[Stop, ...]:
    if not room:
        raise IntegrityError(f"the way has more than {MAX_STOPS} environments")
    arrival = reading.one_receipt(
        reading.receipts(listed, environment, *_ARRIVALS),
        f"the receipt of {environment} for the version's arrival",
    )
    rests_on = arrival.entry.envelope_digest
    if arrival.entry.type is EntryType.VERSION_PUBLISHED:
        home = reading.manifest.home
        if environment != home:
            raise StatementInvalidError(f"{environment} says that it published what is at home in {home}")
        decision = reading.statement(rests_on, f"{environment}'s decision") if rests_on else None
        return (Stop(environment, arrival, decision),)
    leg = _leg(reading, environment, arrival.entry, listed, room)
    return (*leg.before, Stop(environment, arrival, leg=leg))


def _leg(reading: _Reading, environment: str, arrival: Entry, listed: frozenset[str], room: int) -> Leg:
    """Read the promotion that an entry, an admission's or an alias's move, rests on."""
    promotion, decision_digest = str(arrival.subject.get("promotion", "")), arrival.envelope_digest
    what = f"{environment}'s decision in the promotion {promotion}"
    decision = reading.statement(decision_digest or "", what)
    said = Decision.parse(decision.statement)
    receipt = reading.one_receipt(
        (
            each
            for each in reading.receipts(listed, environment, EntryType.DECISION_MADE)
            if each.entry.envelope_digest == decision_digest
        ),
        f"the receipt of {what}",
    )
    inputs: dict[str, tuple[StatementStamp, ...]] = dict.fromkeys(_KINDS, ())
    for each in said.input_attestations:
        kind = each.uri.removeprefix(_INPUT)
        found = reading.statement(each.digest.sha256, f"a part of {what} ({kind or 'an input'})")
        if kind in inputs:
            inputs[kind] = (*inputs[kind], found)
    for kind in ("promotion-request", "release"):
        if len(inputs[kind]) != 1:
            raise StatementInvalidError(f"{what} rests on {len(inputs[kind])} statements {kind}, not on one")
    release = Release.parse(inputs["release"][0].statement)
    before = frozenset(release.stamps)
    for digest in (*release.stamps, *release.evidence):
        if digest not in reading.documents:
            raise IntegrityError(f"stamp {digest} of {release.environment} is missing")
    if not before <= listed:
        raise StatementInvalidError(f"{what}: a stamp of {release.environment} is not listed as one")
    return Leg(
        promotion,
        environment,
        decision,
        said,
        receipt,
        inputs,
        release,
        _walk(reading, release.environment, before, room - 1),
    )

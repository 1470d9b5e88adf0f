"""What is laid before the target: a fresh release statement, and all the evidence that it names.

Responsible for gathering it in an order that leaves no gap (statement first, so that whatever it names is
there to be listed), and for keeping what goes into one message within a message's size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from carnet.canonical import sha256_hex
from carnet.registry.v1 import admission_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from carnet.registry.v1 import log_pb2
    from carnet_sync.environments.registry import Registry
    from carnet_sync.promotions.domain import Promotion

EVIDENCE_BYTES_PER_MESSAGE = 1 << 20


@dataclass(frozen=True, slots=True)
class Presentation:
    """What the source says and has about a bundle now.

    Attributes:
        release: The release statement's envelope.
        receipt: The source's receipt for the version's arrival there.
        evidence: All envelopes that the source holds about the bundle, the oldest first.
        stamps: The stamps that the statement names, apart from evidence.
    """

    release: bytes
    receipt: log_pb2.Receipt
    evidence: tuple[bytes, ...]
    stamps: tuple[bytes, ...] = ()

    def admission_input(
        self, promotion: Promotion, evidence: Sequence[bytes]
    ) -> admission_pb2.AdmissionInput:
        """Return what the target is asked with.

        Args:
            promotion: The promotion, with its manifest and signature.
            evidence: The envelopes that go along.
        """
        return admission_pb2.AdmissionInput(
            request=promotion.request,
            canonical_manifest=promotion.manifest,
            signature=promotion.signature,
            release=self.release,
            source_receipt=self.receipt,
            evidence=evidence,
        )


async def gather(promotion: Promotion, source: Registry) -> Presentation:
    """Have a release statement signed, and read the evidence.

    Args:
        promotion: The promotion.
        source: Its source's registry.
    """
    statement = await source.release(promotion.version_name, promotion.id, promotion.target)
    evidence = await source.evidence(promotion.version_name, promotion.bundle_digest)
    return Presentation(statement.release, statement.receipt, tuple(evidence), tuple(statement.stamps))


async def hand_over_excess(
    promotion: Promotion, target: Registry, evidence: Sequence[bytes]
) -> tuple[bytes, ...]:
    """Give the target, one by one, the envelopes that would not fit into the message with the others.

    Args:
        promotion: The promotion.
        target: Its target's registry.
        evidence: All envelopes.

    Returns:
        The envelopes that fit, for the message.
    """
    fitting, excess = split(evidence, EVIDENCE_BYTES_PER_MESSAGE)
    if excess:
        held = {
            sha256_hex(each)
            for each in await target.evidence(promotion.version_name, promotion.bundle_digest)
        }
        for envelope in excess:
            if sha256_hex(envelope) not in held:
                await target.add_evidence(promotion.version_name, envelope)
    return fitting


def split(evidence: Sequence[bytes], most_bytes: int) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """Return the envelopes that together have at most so many bytes, the small ones first, and the others."""
    fitting: set[int] = set()
    room = most_bytes
    for index in sorted(range(len(evidence)), key=lambda each: len(evidence[each])):
        room -= len(evidence[index])
        if room < 0:
            break
        fitting.add(index)
    return (
        tuple(each for index, each in enumerate(evidence) if index in fitting),
        tuple(each for index, each in enumerate(evidence) if index not in fitting),
    )

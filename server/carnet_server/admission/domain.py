"""What a promotion is at the target: plain values, with no I/O.

Responsible for the dataclasses that services pass around, and for the id of a promotion. The fields of
``Admission``, ``HeldApproval`` and ``Permit`` are the columns of their tables.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from carnet.errors import NotFoundError, ReferenceInvalidError, StaleEpochError
from carnet.references import ResourceName
from carnet_policies.facts import Party

if TYPE_CHECKING:
    from datetime import datetime

    from carnet.translog.receipt import Receipt
    from carnet_server.admission.states import AdmissionState
    from carnet_server.admission.stored_evaluation import StoredEvaluation

_PROMOTION = re.compile(r"[0-9a-f]{32}")
_ADMISSION_PREFIX = "admissions/"


def check_promotion(value: str, *, field: str) -> str:
    """Return the value if it is a promotion's id.

    Raises:
        ReferenceInvalidError: It is not 32 lowercase hexadecimal digits.
    """
    if not _PROMOTION.fullmatch(value):
        raise ReferenceInvalidError(
            f"{field}: {value[:80]!r} is not a promotion's id of 32 lowercase hexadecimal digits",
            metadata={"field": field},
        )
    return value


def parse_admission_name(value: str, *, field: str = "name") -> str:
    """Return the promotion's id in the name ``admissions/{promotion}``.

    Raises:
        ReferenceInvalidError: The value is not such a name.
    """
    if not value.startswith(_ADMISSION_PREFIX):
        raise ReferenceInvalidError(
            f"{field}: {value[:160]!r} is not the name of an admission: write it like 'admissions/PROMOTION'",
            metadata={"field": field},
        )
    return check_promotion(value.removeprefix(_ADMISSION_PREFIX), field=field)


@dataclass(frozen=True, slots=True)
class AdmissionInput:
    """What a promotion brings, as it was carried here: nothing of it is believed yet.

    Attributes:
        request: The requester's envelope.
        manifest: The bytes of the canonical manifest.
        signature: The model signature.
        release: The source's release statement.
        source_receipt: The source's receipt for the version's arrival there.
        evidence: Envelopes that the release names.
        arrived_at: When the request arrived here first; None for now.
    """

    request: bytes
    manifest: bytes
    signature: bytes
    release: bytes
    source_receipt: Receipt
    evidence: tuple[bytes, ...] = ()
    arrived_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signed: the key, its subject, and the person behind it, if there is one."""

    key_id: str
    subject: str
    person: str | None

    @property
    def party(self) -> Party:
        """The signer as policies see them."""
        return Party(self.subject, self.person)


@dataclass(frozen=True, slots=True)
class Admission:
    """A promotion as it is stored; ``None`` stands for what is not there yet."""

    promotion: str
    state: AdmissionState
    epoch: int
    home: str
    namespace: str
    model: str
    version: int
    alias: str
    source: str
    bundle_digest: str
    publisher: str
    publisher_person: str | None
    requester: str
    requester_person: str | None
    request: bytes
    request_digest: str
    manifest: bytes
    signature: bytes
    source_receipt: str
    evaluation: StoredEvaluation | None
    dossier: bytes | None
    dossier_digest: str | None
    dossier_expires_at: datetime | None
    decision: bytes | None
    decision_digest: str | None
    log_index: int | None
    created_at: datetime
    updated_at: datetime
    requester_key_id: str = ""
    request_log_index: int = 0
    by_rollout: bool = False

    @property
    def subject_name(self) -> str:
        """The bundle's name in signed statements."""
        return f"{self.home}/{self.namespace}/{self.model}@{self.version}"

    @property
    def version_name(self) -> str:
        """The version's resource name."""
        return str(ResourceName(self.namespace, self.model, self.version))

    @property
    def subject(self) -> dict[str, str | int]:
        """What log entries about the promotion are about."""
        about: dict[str, str | int] = {
            "promotion": self.promotion,
            "namespace": self.namespace,
            "model": self.model,
            "version": self.version,
            "bundle_digest": self.bundle_digest,
        }
        return about | ({"alias": self.alias} if self.alias else {})

    def check_epoch(self, epoch: int) -> None:
        """Refuse a worker from whom another took the promotion over.

        Raises:
            StaleEpochError: The epoch is lower than one that was seen.
        """
        if epoch < self.epoch:
            raise StaleEpochError(
                f"promotion {self.promotion}: epoch {epoch} is over, another worker holds {self.epoch}: stop",
                metadata={"promotion": self.promotion, "epoch": str(self.epoch)},
            )


@dataclass(frozen=True, slots=True)
class HeldApproval:
    """An approver's word as it is held; without its envelope where that was erased."""

    promotion: str
    digest: str
    approver: str
    approver_key_id: str
    person: str | None
    meaning: str
    reason: str
    dossier_digest: str
    nonce: str
    signed_at: datetime
    expires_at: datetime
    created_at: datetime
    log_index: int
    envelope: bytes

    @property
    def is_erased(self) -> bool:
        """Whether what was signed is gone; who said what, and when, is still known."""
        return not self.envelope

    def signed(self) -> bytes:
        """Return the envelope.

        Raises:
            NotFoundError: It was erased.
        """
        if self.is_erased:
            raise NotFoundError(
                f"what {self.approver} signed ({self.meaning}, entry {self.log_index}) was erased: what "
                "rests on its text cannot be judged anew",
                metadata={"digest": self.digest},
            )
        return self.envelope


@dataclass(frozen=True, slots=True)
class HeldCancellation:
    """A signed cancellation as it is held; it may be older than the promotion's first appearance here."""

    promotion: str
    canceller: str
    namespace: str
    model: str
    version: int
    bundle_digest: str
    digest: str
    created_at: datetime
    log_index: int


@dataclass(frozen=True, slots=True)
class Permit:
    """What a promotion by rollout leaves instead of moving its alias: a rollout may move it there.

    Attributes:
        promotion: The promotion, which has one permit at most.
        namespace: The alias's namespace.
        model: The alias's model.
        alias: The alias.
        bundle_digest: The bundle that it may be moved to, and that may have any share of its traffic.
        version: The version that is.
        decision_digest: The decision that permits it; what a move rests on.
        log_index: The entry of that decision.
        created_at: When it was made.
        expires_at: Until when it counts, as the decision says.
        used_at: When the alias was moved on it; None until then.
    """

    promotion: str
    namespace: str
    model: str
    alias: str
    bundle_digest: str
    version: int
    decision_digest: str
    log_index: int
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AdmissionView:
    """A promotion with everything that a reader is shown."""

    admission: Admission
    approvals: tuple[HeldApproval, ...] = ()
    receipt: Receipt | None = None
    decision_receipt: Receipt | None = None

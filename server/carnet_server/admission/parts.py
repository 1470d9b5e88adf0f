"""What the use cases of admission work with: handed in once, by whoever wires the registry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from carnet.translog.entry import Actor

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from carnet.signing.dsse import Envelope
    from carnet.signing.predicate import Predicate
    from carnet_policies.engine import PolicyEngine
    from carnet_server.admission.domain import Admission, Signer
    from carnet_server.database.engine import Database
    from carnet_server.environment.state import EnvironmentState
    from carnet_server.log.service import LogService
    from carnet_server.log.writer import Writer


@dataclass(frozen=True, slots=True)
class AdmissionParts:
    """The parts of a registry that admission uses.

    Attributes:
        state: The environment's name, keys, policy and trust.
        database: Where to read.
        writer: Where to write.
        log: For receipts.
        engine: Evaluates the policy.
        clock: Tells the time.
    """

    state: EnvironmentState
    database: Database
    writer: Writer
    log: LogService
    engine: PolicyEngine
    clock: Callable[[], datetime]

    def sign(self, predicate: Predicate, admission: Admission) -> Envelope:
        """Sign a statement about a promotion's bundle with the environment's key.

        A key in a KMS takes a call over the network for that: not on the event loop, nor in a transaction.

        Raises:
            UnavailableError: The service that keeps the key does not sign.
        """
        return predicate.sign(admission.subject_name, admission.bundle_digest, self.state.signing_key)


def signing_actor(signer: Signer) -> Actor:
    """Return whoever signed a statement, as log entries name them: it is theirs, whoever carried it."""
    return Actor(subject=signer.subject, issuer="", method="signature")

"""The use cases of admission, as one object for the servicer and for whoever wires the registry."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from carnet.signing.break_glass import BreakGlass, BreakGlassReview
from carnet.signing.dsse import parse_envelope
from carnet.signing.statement import parse_statement
from carnet_server.admission.admit import admit_version
from carnet_server.admission.approve import submit_approval
from carnet_server.admission.break_glass import record_break_glass, review_break_glass
from carnet_server.admission.cancel import cancel_admission
from carnet_server.admission.evaluate import evaluate_admission
from carnet_server.admission.parts import AdmissionParts
from carnet_server.admission.pull import connect_to_peer, pull_blobs
from carnet_server.admission.replay import replay_policy
from carnet_server.admission.view import require_known, view_admission

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from carnet.client.channel import TlsIdentity
    from carnet.client.connection import RegistryConnection
    from carnet.translog.receipt import Receipt
    from carnet_policies.engine import PolicyEngine
    from carnet_server.access.identity import Caller
    from carnet_server.access.trust import Peer
    from carnet_server.admission.approve import Submission
    from carnet_server.admission.domain import AdmissionInput, AdmissionView
    from carnet_server.admission.replay import Replayed
    from carnet_server.blobs.domain import Blob
    from carnet_server.blobs.fetch import FetchProgress
    from carnet_server.blobs.service import BlobsService
    from carnet_server.database.engine import Database
    from carnet_server.environment.state import EnvironmentState
    from carnet_server.log.service import LogService
    from carnet_server.log.writer import Writer


class AdmissionService:
    """How bundles get into this environment.

    Args:
        state: The environment.
        database: Where to read.
        writer: Where to write.
        log: For receipts.
        engine: Evaluates the policy.
        blobs: Where fetched blobs go.
        connect: Opens the connection to a peer.
        clock: Tells the time; the writer's should be the same.
    """

    def __init__(
        self,
        state: EnvironmentState,
        database: Database,
        writer: Writer,
        log: LogService,
        *,
        engine: PolicyEngine,
        blobs: BlobsService,
        connect: Callable[[Peer, TlsIdentity], RegistryConnection] = connect_to_peer,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._parts = AdmissionParts(state, database, writer, log, engine, clock)
        self._blobs = blobs
        self._connect = connect

    async def evaluate(
        self, caller: Caller, given: AdmissionInput, *, epoch: int, validate_only: bool = False
    ) -> AdmissionView:
        """Evaluate a promotion; see ``evaluate_admission``."""
        return await evaluate_admission(self._parts, caller, given, epoch=epoch, validate_only=validate_only)

    async def get(self, caller: Caller, promotion: str) -> AdmissionView:
        """Read where a promotion stands.

        Args:
            caller: Who asks.
            promotion: The promotion's id.

        Raises:
            NotFoundError: It is not known here, or in a namespace that the caller may not read.
        """
        view = await view_admission(self._parts, promotion)
        require_known(caller, view.admission, environment=self._parts.state.name)
        return view

    async def submit_approval(self, caller: Caller, promotion: str, envelope: bytes) -> Submission:
        """Keep what a person signed; see ``approve`` and ``break_glass`` in ``carnet_server.admission``."""
        match parse_statement(parse_envelope(envelope)).predicate_type:
            case BreakGlass.PREDICATE_TYPE:
                return await record_break_glass(self._parts, caller, promotion, envelope)
            case BreakGlassReview.PREDICATE_TYPE:
                return await review_break_glass(self._parts, caller, promotion, envelope)
        return await submit_approval(self._parts, caller, promotion, envelope)

    def pull(
        self, caller: Caller, promotion: str, blobs: Sequence[Blob], *, capability: bytes, epoch: int
    ) -> AsyncGenerator[FetchProgress]:
        """Fetch blobs from the source; see ``pull_blobs``."""
        return pull_blobs(
            self._parts,
            self._blobs,
            self._connect,
            caller,
            promotion,
            blobs=blobs,
            capability=capability,
            epoch=epoch,
        )

    async def admit(
        self,
        caller: Caller,
        promotion: str,
        *,
        release: bytes,
        evidence: Sequence[bytes],
        stamps: Sequence[bytes] = (),
        epoch: int,
    ) -> tuple[AdmissionView, bool]:
        """Admit the version; see ``admit_version``."""
        return await admit_version(
            self._parts, caller, promotion, release=release, evidence=evidence, stamps=stamps, epoch=epoch
        )

    async def cancel(self, caller: Caller, promotion: str, envelope: bytes) -> Receipt:
        """End a promotion; see ``cancel_admission``."""
        return await cancel_admission(self._parts, caller, promotion, envelope)

    async def replay(self, policy: bytes, *, page_size: int, page_token: str) -> tuple[list[Replayed], str]:
        """Evaluate a policy that is not in force over past decisions; see ``replay_policy``."""
        return await replay_policy(self._parts, policy, page_size=page_size, page_token=page_token)

"""Read capabilities: a peer registry's short-lived right to some blobs of one version.

Responsible for granting and checking them. A capability is bound to its holder's identity, so it is worth
nothing to whoever carries it, and to exactly the blobs that it lists, so it says nothing of others.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from carnet.errors import KeyUntrustedError, PermissionDeniedError
from carnet.signing.capability import Capability
from carnet.signing.dsse import parse_envelope, verify_envelope
from carnet.signing.statement import parse_statement

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from carnet_server.access.identity import Caller
    from carnet_server.environment.state import EnvironmentState

VALID_FOR = timedelta(minutes=15)


class CapabilityCheck:
    """Checks the capabilities that this environment granted; called by the blob service.

    Args:
        state: The environment.
        clock: Tells the time.
    """

    def __init__(
        self, state: EnvironmentState, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._state = state
        self._clock = clock

    def __call__(self, capability: bytes, namespace: str, digests: Sequence[str], caller: Caller) -> None:
        """Insist that a capability lets a caller read blobs.

        Args:
            capability: The capability's envelope.
            namespace: Where the blobs are read.
            digests: The blobs.
            caller: Who reads.

        Raises:
            SignatureInvalidError: The envelope is malformed or does not verify.
            KeyUntrustedError: This environment did not sign it.
            StatementInvalidError: It is not a capability.
            PermissionDeniedError: It is another's, for other blobs, or over.
        """
        granted = self._read(capability)
        if granted.holder != caller.subject:
            raise PermissionDeniedError(
                f"the capability is {granted.holder}'s, and the caller is {caller.subject}",
                metadata={"subject": caller.subject},
            )
        if granted.expires_at <= self._clock():
            raise PermissionDeniedError(
                f"the capability ended at {granted.expires_at.isoformat()}: get a new one"
            )
        if granted.namespace != namespace:
            raise PermissionDeniedError(
                f"the capability is for namespace {granted.namespace!r}, not {namespace!r}"
            )
        beyond = sorted(set(digests) - set(granted.digests))
        if beyond:
            raise PermissionDeniedError(f"the capability does not list blob {beyond[0]}")

    def _read(self, capability: bytes) -> Capability:
        key = self._state.signing_key.verification_key
        envelope = parse_envelope(capability)
        verify_envelope(envelope, {key.key_id: key})
        granted = Capability.parse(parse_statement(envelope))
        if granted.environment != self._state.name:
            raise KeyUntrustedError(
                f"the capability is of environment {granted.environment!r}, and this is {self._state.name}"
            )
        return granted

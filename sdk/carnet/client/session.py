"""A session: who is asking, in which federation, over which connections.

Responsible for opening a connection to an environment when it is first needed and for closing all of them.
Every group of operations of the client is built on it. Keeps no state of any registry.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Self

from carnet.client.channel import TlsIdentity, TokenIdentity
from carnet.client.connection import RegistryConnection, SyncConnection
from carnet.client.federation import (
    PROMOTIONS_PEER,
    TOKEN_FILE_VARIABLE,
    TOKEN_VARIABLE,
    read_token,
    token_file_variable,
    token_is_given,
)
from carnet.client.one_time import JobSigner
from carnet.client.verification import checked_final_size
from carnet.documents import read_file
from carnet.errors import PreconditionFailedError
from carnet.registry.v1 import log_pb2

if TYPE_CHECKING:
    from carnet.client.federation import Federation, Identity
    from carnet.signing.dsse import OneTimeSigner
    from carnet.signing.keys import SigningKey


class Session:
    """The connections of one identity into one federation.

    Args:
        federation: The environments and the keys that are pinned.
        identity: Who is asking.
    """

    def __init__(self, federation: Federation, identity: Identity) -> None:
        self.federation = federation
        self.identity = identity
        self._registries: dict[str, RegistryConnection] = {}
        self._sync: SyncConnection | None = None
        self._tls: TlsIdentity | None = None

    def _registry(self, environment: str) -> RegistryConnection:
        """Return the connection to an environment's registry, opened at the first call.

        Where an OIDC token is given it is what is shown, at the address for tokens.

        Raises:
            NotFoundError: The federation has no such environment.
            PreconditionFailedError: A token is given, and the environment has no address for tokens.
            FileUnreadableError: The identity's certificate or key cannot be read.
            CertificateExpiredError: The identity's certificate is not valid now.
        """
        pinned = self.federation.environment(environment)
        if environment not in self._registries:
            by_token = token_is_given(environment)
            if by_token and not pinned.bearer_endpoint:
                raise _no_address_for_tokens(environment, f"environments.{environment}", environment)
            self._registries[environment] = RegistryConnection(
                pinned.bearer_endpoint if by_token else pinned.endpoint,
                server_name=pinned.server_name,
                identity=self._token_identity(environment) if by_token else self._tls_identity(),
                environment=environment,
            )
        return self._registries[environment]

    def _promotion_service(self) -> SyncConnection:
        """Return the connection to the promotion service; raises as ``_registry`` does."""
        address = self.federation.sync
        if address is None:
            raise PreconditionFailedError("this federation has no promotion service: `sync` is not set")
        if self._sync is None:
            by_token = token_is_given(PROMOTIONS_PEER)
            if by_token and not address.bearer_endpoint:
                raise _no_address_for_tokens("the promotion service", "sync", PROMOTIONS_PEER)
            self._sync = SyncConnection(
                address.bearer_endpoint if by_token else address.endpoint,
                server_name=address.server_name,
                identity=self._token_identity(PROMOTIONS_PEER) if by_token else self._tls_identity(),
            )
        return self._sync

    async def _final_size(self, environment: str) -> int | None:
        """Ask how many entries of a log are final, and verify it; waits for no witness.

        Returns:
            Their number; None where no quorum of witnesses is pinned, and nobody is asked.

        Raises:
            KeyUntrustedError: What is said to be witnessed is not signed by the pinned log key.
            ProofInvalidError: It is no checkpoint, or a signature on it by a pinned key is bad.
            CarnetError: The call failed; the class says how.
        """
        pinned = self.federation.environment(environment)
        if not pinned.witnesses.demands_witnesses:
            return None
        registry = self._registry(environment)
        answer = await registry.call(registry.log.GetCheckpoint, log_pb2.GetCheckpointRequest())
        return checked_final_size(answer.witnessed_checkpoint, pinned)

    def _signing_key(self) -> SigningKey:
        return self.identity.signing_key()

    async def _signer(self, *environments: str) -> SigningKey | OneTimeSigner:
        """Return what this identity signs with: its key, or as a job a new one each time.

        Args:
            environments: The environments that may certify a job's key, the best first.

        Raises:
            PreconditionFailedError: Only a token is given, and none of the environments certifies keys.
            CarnetError: The key cannot be opened; see ``Identity.signing_key``.
        """
        if self.identity.can_sign or not any(map(token_is_given, environments)):
            return await asyncio.to_thread(self._signing_key)
        for name in environments:
            pinned = self.federation.environment(name)
            if token_is_given(name) and pinned.bearer_endpoint and pinned.authority is not None:
                return JobSigner(self._registry(name), pinned.authority)
        raise PreconditionFailedError(
            f"a token is given and no signing key, and the federation names no signing authority of "
            f"{' or '.join(environments)}: set environments.{environments[0]}.signing_authority and "
            "bearer_endpoint, or act as an identity with a key"
        )

    def _tls_identity(self) -> TlsIdentity:
        if self._tls is None:
            self._tls = TlsIdentity.load(
                self.identity.certificate, self.identity.private_key, self.federation.ca
            )
        return self._tls

    def _token_identity(self, peer: str) -> TokenIdentity:
        ca = read_file(self.federation.ca, what="CA certificate")
        return TokenIdentity(ca, partial(read_token, peer))

    async def close(self) -> None:
        """Close all connections; calls under way are cancelled."""
        for connection in (*self._registries.values(), *([self._sync] if self._sync else [])):
            await connection.close()
        self._registries.clear()
        self._sync = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _no_address_for_tokens(whose: str, place: str, peer: str) -> PreconditionFailedError:
    return PreconditionFailedError(
        f"{TOKEN_FILE_VARIABLE} or {TOKEN_VARIABLE} gives a token, and the federation names no address of "
        f"{whose} for tokens: set {place}.bearer_endpoint, or unset the variable to use a certificate; "
        f"a token for one peer only is given as in {token_file_variable(peer)}"
    )

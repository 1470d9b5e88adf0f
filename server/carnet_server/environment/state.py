"""The environment's own name and keys, read once at start, and its documents as they are in force."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from carnet.documents import read_file
from carnet.errors import DocumentInvalidError
from carnet.signing.keys import SigningKey
from carnet.translog.keys import LogKey
from carnet_policies.document import load_policy
from carnet_server.access.trust import TrustStore

if TYPE_CHECKING:
    from carnet.client.channel import TlsIdentity
    from carnet_policies.document import Policy
    from carnet_server.access.trust import Trust
    from carnet_server.config import RegistryConfig


@dataclass
class EnvironmentState:
    """What every feature of a registry shares.

    ``policy``, ``trust.current`` and ``identity`` are replaced as a whole by ``DocumentReload`` while the
    registry runs, and by nobody else.

    Attributes:
        name: The environment's name.
        signing_key: Signs decisions, dossiers and release statements.
        log_key: Signs checkpoints; its name is the log's origin.
        policy: The policy in force.
        trust: The trust document in force.
        identity: Its certificate and the authorities that it believes, for dialling peers.
    """

    name: str
    signing_key: SigningKey
    log_key: LogKey
    policy: Policy
    trust: TrustStore
    identity: TlsIdentity

    @property
    def documents(self) -> tuple[str, str]:
        """The digests of the policy and the trust document in force."""
        return self.policy.digest, self.trust.current.digest

    def put_in_force(self, policy: Policy, trust: Trust) -> None:
        """Replace both documents; anything that is read afterwards is of these."""
        self.policy = policy
        self.trust.current = trust


def load_state(config: RegistryConfig) -> EnvironmentState:
    """Read keys and documents as the configuration names them.

    Raises:
        FileUnreadableError: A file is missing or cannot be read.
        DocumentInvalidError: A document is not what it must be.
    """
    policy = load_environment_policy(read_file(config.policy, what="the policy"), config)
    return EnvironmentState(
        name=config.name,
        signing_key=SigningKey.load(config.signing_key),
        log_key=LogKey.load(config.log_origin, config.log_key),
        policy=policy,
        trust=TrustStore(config.trust, environment=config.name),
        identity=config.tls_identity(),
    )


def load_environment_policy(data: bytes, config: RegistryConfig) -> Policy:
    """Read the environment's policy.

    Args:
        data: Its bytes.
        config: The environment that it must be for.

    Raises:
        DocumentInvalidError: It is not a sound policy, or another environment's.
    """
    policy = load_policy(data, name=config.policy.name)
    if policy.document.environment != config.name:
        raise DocumentInvalidError(
            f"{config.policy.name}: environment: is {policy.document.environment!r}, must be {config.name!r}"
        )
    return policy

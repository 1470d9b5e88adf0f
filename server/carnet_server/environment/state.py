"""The environment's own name, keys and documents, read once at start."""

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
    from carnet_server.config import RegistryConfig


@dataclass(frozen=True)
class EnvironmentState:
    """What every feature of a registry shares.

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


def load_state(config: RegistryConfig) -> EnvironmentState:
    """Read keys and documents as the configuration names them.

    Raises:
        FileUnreadableError: A file is missing or cannot be read.
        DocumentInvalidError: A document is not what it must be.
    """
    policy = load_policy(read_file(config.policy, what="the policy"), name=config.policy.name)
    if policy.document.environment != config.name:
        raise DocumentInvalidError(
            f"{config.policy.name}: environment: is {policy.document.environment!r}, must be {config.name!r}"
        )
    return EnvironmentState(
        name=config.name,
        signing_key=SigningKey.load(config.signing_key),
        log_key=LogKey.load(config.log_origin, config.log_key),
        policy=policy,
        trust=TrustStore(config.trust, environment=config.name),
        identity=config.tls_identity(),
    )

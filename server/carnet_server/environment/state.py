"""The environment's own name and keys, read once at start, and its documents as they are in force."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from carnet.documents import read_file
from carnet.translog.entry import Actor
from carnet.translog.keys import LogKey
from carnet_server.access.trust import TrustStore
from carnet_server.environment.documents import load_environment_policy
from carnet_server.environment.key import open_environment_key

if TYPE_CHECKING:
    from datetime import datetime

    from carnet.client.channel import TlsIdentity
    from carnet.signing.keys import SigningKey
    from carnet_policies.document import Policy
    from carnet_server.access.trust import Trust
    from carnet_server.config import RegistryConfig
    from carnet_server.environment.opening import OpenedDocuments


@dataclass(frozen=True, slots=True)
class RefusedDocument:
    """A document that stands in a file and is not in force.

    Attributes:
        name: The file's name.
        reason: Why it was refused.
        refused_at: When it was refused first for this reason.
    """

    name: str
    reason: str
    refused_at: datetime


@dataclass
class EnvironmentState:
    """What every feature of a registry shares.

    ``policy``, ``trust.current``, ``identity`` and ``refused`` are replaced as a whole by ``DocumentReload``
    while the registry runs, and by nobody else.

    Attributes:
        name: The environment's name.
        signing_key: Signs decisions, dossiers and release statements.
        log_key: Signs checkpoints; its name is the log's origin.
        policy: The policy in force.
        trust: The trust document in force.
        identity: Its certificate and the authorities that it believes, for dialling peers.
        refused: The documents that stand in the files and are not in force.
    """

    name: str
    signing_key: SigningKey
    log_key: LogKey
    policy: Policy
    trust: TrustStore
    identity: TlsIdentity
    refused: tuple[RefusedDocument, ...] = ()

    @property
    def actor(self) -> Actor:
        """The environment itself, which makes the changes that nobody asked for."""
        return Actor(subject=f"urn:carnet:environment:{self.name}", issuer=self.log_key.name, method="local")

    @property
    def documents(self) -> tuple[str, str]:
        """The digests of the policy and the trust document in force."""
        return self.policy.digest, self.trust.current.digest

    def put_in_force(self, policy: Policy, trust: Trust) -> None:
        """Replace both documents; anything that is read afterwards is of these."""
        self.policy = policy
        self.trust.current = trust


def load_state(config: RegistryConfig, documents: OpenedDocuments | None = None) -> EnvironmentState:
    """Read the keys as the configuration names them.

    Args:
        config: The configuration.
        documents: What is in force; None to take the files for it, where nothing is served.

    Raises:
        FileUnreadableError: A file is missing or cannot be read.
        DocumentInvalidError: A document is not what it must be.
    """
    if documents is None:
        policy = load_environment_policy(read_file(config.policy, what="the policy"), config)
        trust = TrustStore.load(config.trust, environment=config.name)
    else:
        policy, trust = documents.policy.content, TrustStore(documents.trust.content)
    return EnvironmentState(
        name=config.name,
        signing_key=open_environment_key(config.signing_key),
        log_key=LogKey.load(config.log_origin, config.log_key),
        policy=policy,
        trust=trust,
        identity=config.tls_identity(),
    )

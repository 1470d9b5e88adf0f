"""Policy and trust documents: reading one, and whether it may come into force.

Responsible for the rules that hold at the start and while running alike: a document is sound, for this
environment, newer than the one in force, and signed by enough people where the environment demands it. Puts
nothing in force, and knows no database.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, TypeVar

from carnet.documents import read_file
from carnet.errors import DocumentInvalidError
from carnet.signing.document import read_header, signatures_file
from carnet_policies.document import load_policy
from carnet_server.access.trust import load_trust

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from carnet.signing.document import DocumentHeader, DocumentKind
    from carnet.signing.document_signers import DocumentSigners
    from carnet_policies.document import Policy
    from carnet_server.access.trust import Trust
    from carnet_server.config import RegistryConfig

Content = TypeVar("Content")


@dataclass(frozen=True, slots=True)
class Document(Generic[Content]):
    """A sound document.

    Attributes:
        header: Its kind, environment, version and digest.
        content: What it says: a ``Policy`` or a ``Trust``.
        signatures: The envelopes that count, one a line; nothing where none are demanded.
        signed_by: The people who signed it, where that is demanded.
    """

    header: DocumentHeader
    content: Content
    signatures: bytes = b""
    signed_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Files:
    """A document's file and the signatures beside it, as they were read.

    Attributes:
        data: The document's bytes.
        signatures: Those of the signatures; nothing where there is no such file.
    """

    data: bytes
    signatures: bytes


class DocumentReader(Generic[Content]):
    """Reads the documents of one kind for one environment.

    Args:
        kind: The kind.
        path: The document's file.
        load: Reads the bytes of a sound document of the environment.
        signers: Who must have signed; None where nobody must.
    """

    def __init__(
        self,
        kind: DocumentKind,
        path: Path,
        load: Callable[[bytes], Content],
        signers: DocumentSigners | None,
    ) -> None:
        self.kind = kind
        self.path = path
        self.signers = signers
        self._load = load

    def read_files(self) -> Files:
        """Read the file, and the signatures beside it.

        Raises:
            FileUnreadableError: The document, or signatures that are there, cannot be read.
        """
        beside = signatures_file(self.path)
        return Files(
            read_file(self.path, what="the document"),
            read_file(beside, what="the document's signatures") if beside.exists() else b"",
        )

    def load(self, data: bytes) -> Document[Content]:
        """Read a document that was in force before, whoever signed it.

        Raises:
            DocumentInvalidError: It is not a sound document of this environment.
        """
        content = self._load(data)
        return Document(read_header(data, name=self.path.name), content)

    def judge(self, files: Files, *, newer_than: int | None) -> Document[Content]:
        """Read a document that is to come into force.

        Args:
            files: The document and its signatures.
            newer_than: The version of the one in force; None where there never was one.

        Raises:
            DocumentInvalidError: It is not a sound document of this environment, or not newer.
            SignatureInvalidError: Its signatures are too many, or too large.
            GateAwaitingError: It is not signed by enough people.
        """
        document = self.load(files.data)
        version, name = document.header.version, self.path.name
        if newer_than is not None and version < newer_than:
            raise DocumentInvalidError(
                f"{name}: version: {version} is older than {newer_than}, which is in force"
            )
        if newer_than is not None and version == newer_than:
            raise DocumentInvalidError(
                f"{name}: version: {version} is in force with other bytes: raise the version"
            )
        if self.signers is None:
            return document
        judgement = self.signers.judge(document.header, files.signatures)
        judgement.require()
        return replace(
            document,
            signatures=judgement.lines,
            signed_by=tuple(each.person for each in judgement.signed),
        )

    def is_signed(self, header: DocumentHeader, *signatures: bytes) -> bool:
        """Whether one of several sets of signatures suffices for a document, as far as any are demanded.

        Raises:
            SignatureInvalidError: Signatures are too many, or too large.
        """
        signers = self.signers
        return signers is None or any(signers.judge(header, each).suffices for each in signatures)


def policy_reader(config: RegistryConfig) -> DocumentReader[Policy]:
    """Return what reads the environment's policies."""
    return DocumentReader(
        "policy", config.policy, lambda data: load_environment_policy(data, config), config.document_signers
    )


def trust_reader(config: RegistryConfig) -> DocumentReader[Trust]:
    """Return what reads the environment's trust documents."""
    return DocumentReader(
        "trust",
        config.trust,
        lambda data: load_trust(data, name=config.trust.name, environment=config.name),
        config.document_signers,
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

"""A registry's configuration: ``environment.yaml``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from carnet.client.channel import TlsIdentity
from carnet.documents import read_document
from carnet.serving.engine import resolve_database_url
from carnet.serving.fields import DatabaseUrl, checked_by
from carnet.serving.http.document import HttpDocument
from carnet.signing.document_signers import SignersDocument  # noqa: TC001  pydantic reads it
from carnet.signing.key_reference import KeyDocument  # noqa: TC001  pydantic reads it
from carnet_policies.schema_fields import Duration  # noqa: TC001  pydantic reads it
from carnet_server.blobs.opening import resolve_blobs_url

if TYPE_CHECKING:
    from pathlib import Path

    from carnet.signing.document_signers import DocumentSigners
    from carnet.signing.key_reference import KeyReference

Text = Annotated[str, StringConstraints(min_length=1)]
Address = Annotated[str, StringConstraints(pattern=r"^.+:[0-9]{1,5}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class TlsDocument(_Strict):
    """Where the server's certificate and the authorities of its clients are."""

    certificate: Text
    key: Text
    ca: Text


class LogDocument(_Strict):
    """The log's origin, and where the key of its checkpoints is."""

    origin: Text
    key: Text


class WitnessDocument(_Strict):
    """The key by which this environment cosigns the logs of others, and the name that it signs under."""

    name: Text
    key: Text


class SigningAuthorityDocument(_Strict):
    """Where the authority is that certifies keys of jobs, and for how long it does."""

    certificate: Text
    key: Text
    valid_for: Annotated[Duration, Field(ge=timedelta(minutes=1), le=timedelta(hours=1))] = timedelta(
        minutes=10
    )


class RegistryHttpDocument(HttpDocument):
    """Where a registry listens for HTTP, and whether it serves its log there to whoever asks."""

    tiles: bool = False


class EnvironmentDocument(_Strict):
    """The schema of ``environment.yaml``; paths are relative to the file."""

    schema_: Literal["carnet.environment/v1"] = Field(alias="schema")
    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*([-_][a-z0-9]+)*$", max_length=63)]
    listen: Address
    bearer_listen: Address | None = None
    http: RegistryHttpDocument | None = None
    database: DatabaseUrl
    blobs: Annotated[str, checked_by(resolve_blobs_url)]
    tls: TlsDocument
    log: LogDocument
    signing_key: KeyDocument
    signing_authority: SigningAuthorityDocument | None = None
    policy: Text
    trust: Text
    documents: SignersDocument | None = None
    witness: WitnessDocument | None = None
    witnesses: Text | None = None
    witness_every: Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(hours=1))] = timedelta(
        seconds=10
    )


@dataclass(frozen=True)
class SigningAuthorityConfig:
    """Who certifies keys of jobs.

    Attributes:
        certificate: The authority's certificate.
        key: Its key.
        valid_for: How long a certificate is valid, from a minute to an hour.
    """

    certificate: Path
    key: Path
    valid_for: timedelta


@dataclass(frozen=True)
class RegistryConfig:
    """A registry's configuration, with every path absolute.

    Attributes:
        name: The environment's name.
        listen: ``host:port``; port 0 for any that is free.
        bearer_listen: Where callers with OIDC tokens are served, ``host:port``; None for nowhere.
        http: Where HTTP is served, and what; None for nowhere.
        database_url: The metadata database.
        blobs_url: The store of blobs.
        certificate: The server's certificate chain.
        private_key: Its key.
        ca: The authorities of clients and peers.
        log_origin: The log's origin.
        log_key: The key of checkpoints.
        signing_key: The key of decisions, a file or at a KMS or HSM.
        policy: The policy document.
        trust: The trust document.
        signing_authority: Who certifies keys of jobs; None for nobody.
        document_signers: Who signs the two documents; None where they need no signatures.
        witness_name: The name under which it cosigns the logs of others; empty where it does not.
        witness_key: The key that it does it with.
        witnesses: The policy file of who witnesses its own log; None for nobody.
        witness_every: How often they are asked, where there is something new.
    """

    name: str
    listen: str
    database_url: str
    blobs_url: str
    certificate: Path
    private_key: Path
    ca: Path
    log_origin: str
    log_key: Path
    signing_key: KeyReference
    policy: Path
    trust: Path
    bearer_listen: str | None = None
    http: RegistryHttpDocument | None = None
    signing_authority: SigningAuthorityConfig | None = None
    document_signers: DocumentSigners | None = None
    witness_name: str = ""
    witness_key: Path | None = None
    witnesses: Path | None = None
    witness_every: timedelta = timedelta(seconds=10)

    def tls_identity(self) -> TlsIdentity:
        """Read the certificate, its key and the authorities.

        Raises:
            FileUnreadableError: One cannot be read.
        """
        return TlsIdentity.load(self.certificate, self.private_key, self.ca)


def load_config(path: Path) -> RegistryConfig:
    """Read ``environment.yaml``.

    Args:
        path: The file.

    Raises:
        FileUnreadableError: It cannot be read.
        DocumentInvalidError: It breaks its schema.
    """
    document = read_document(path, EnvironmentDocument, what="the environment's configuration")
    folder = path.resolve().parent
    authority = document.signing_authority
    return RegistryConfig(
        name=document.name,
        listen=document.listen,
        bearer_listen=document.bearer_listen,
        http=document.http,
        database_url=resolve_database_url(document.database, folder),
        blobs_url=resolve_blobs_url(document.blobs, folder),
        certificate=folder / document.tls.certificate,
        private_key=folder / document.tls.key,
        ca=folder / document.tls.ca,
        log_origin=document.log.origin,
        log_key=folder / document.log.key,
        signing_key=document.signing_key.below(folder),
        policy=folder / document.policy,
        trust=folder / document.trust,
        signing_authority=SigningAuthorityConfig(
            folder / authority.certificate, folder / authority.key, authority.valid_for
        )
        if authority is not None
        else None,
        document_signers=document.documents.to_signers() if document.documents else None,
        witness_name=document.witness.name if document.witness else "",
        witness_key=folder / document.witness.key if document.witness else None,
        witnesses=folder / document.witnesses if document.witnesses else None,
        witness_every=document.witness_every,
    )

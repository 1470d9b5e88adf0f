"""The promotion service's configuration: ``sync.yaml``.

Responsible for the document's schema and for making its paths absolute. Does not open what it names; what its
callers, issuers and revocations say together is ``carnet_sync.callers``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    StringConstraints,
    model_validator,
)

from carnet.client.channel import TlsIdentity
from carnet.documents import parse_document, read_file
from carnet.errors import DocumentInvalidError, InvalidInputError, ReferenceInvalidError
from carnet.references import check_name
from carnet.serving.callers.issuers import IssuerDocument  # noqa: TC001  pydantic reads it at run time
from carnet.serving.callers.revocations import Revocation  # noqa: TC001  pydantic reads it at run time
from carnet.serving.engine import resolve_database_url
from carnet.serving.fields import DatabaseUrl  # noqa: TC001  pydantic reads it at run time
from carnet.translog.keys import KeyType, LogKey, LogVerifier
from carnet_sync.callers import CallerRoles, Callers


def _name(value: str) -> str:
    try:
        return check_name(value, field="environment")
    except ReferenceInvalidError as error:
        raise ValueError(error.message) from error


Text = Annotated[str, StringConstraints(min_length=1)]
Name = Annotated[str, AfterValidator(_name)]
Address = Annotated[str, StringConstraints(pattern=r"^.+:[0-9]{1,5}$")]
Spiffe = Annotated[str, StringConstraints(pattern=r"^spiffe://.+")]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class TlsFiles(_Strict):
    """The service's certificate, its key, and the authorities of its callers and of the registries."""

    certificate: Text
    key: Text
    ca: Text

    def below(self, folder: Path) -> TlsFiles:
        """Return the same with paths that are relative to a folder made absolute."""
        return TlsFiles(
            certificate=str(folder / self.certificate), key=str(folder / self.key), ca=str(folder / self.ca)
        )

    def identity(self) -> TlsIdentity:
        """Read the files.

        Raises:
            FileUnreadableError: One cannot be read.
        """
        return TlsIdentity.load(Path(self.certificate), Path(self.key), Path(self.ca))


class EnvironmentLink(_Strict):
    """Where an environment's registry is.

    Attributes:
        endpoint: ``host:port``.
        server_name: The DNS name that its certificate must have: what pins who is at that address.
        subject: Its SPIFFE id, as its peers know it.
        log_key: Its log's verification key, where its checkpoints are cosigned here; else empty.
    """

    endpoint: Address
    server_name: Text
    subject: Spiffe
    log_key: str = ""


class WitnessKey(_Strict):
    """The key by which the service cosigns the logs of the environments, and the name that it signs under."""

    name: Text
    key: Text


class ComplianceFiles(_Strict):
    """What reports are made with; see ``carnet_sync.compliance``.

    Attributes:
        tls: The certificate that logs are read with, its key, and the authorities of the registries: another
            than the one that promotes, so that neither opens what is the other's.
        trust: The pinned keys of environments and people, as ``carnet audit verify --trust`` takes them.
        key: The private key that signs reports, PEM.
        folder: Where the copies of the logs are kept.
        deadline_seconds: How long one report may take, waiting included.
    """

    tls: TlsFiles
    trust: Text
    key: Text
    folder: Text = "data/compliance"
    deadline_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False, strict=False)] = 600.0

    def below(self, folder: Path) -> ComplianceFiles:
        """Return the same with paths that are relative to a folder made absolute."""
        named = {field: str(folder / getattr(self, field)) for field in ("trust", "key", "folder")}
        return self.model_copy(update={"tls": self.tls.below(folder), **named})


class Route(_Strict):
    """A way that versions may be carried.

    Attributes:
        source: The environment that they come from.
        target: The environment that they go to.
        transfer: ``pull`` where the target can reach the source, else ``relay``.
    """

    source: Name
    target: Name
    transfer: Literal["pull", "relay"] = "pull"


class SyncConfig(_Strict):
    """The schema of ``sync.yaml``; paths are relative to the file.

    Attributes:
        document_schema: ``carnet.sync/v1``.
        listen: ``host:port``; port 0 for any that is free.
        database: ``sqlite:///PATH`` or ``postgresql://USER@HOST/NAME``.
        tls: The certificate files.
        environments: Where the registries are, by environment.
        routes: The ways that versions may be carried.
        callers: Who may do what here.
        bearer_listen: ``host:port`` for callers that show OIDC tokens; None for nowhere.
        oidc: The issuers whose tokens are taken there.
        revoked: The identities that are revoked.
        witness: The key that cosigns the environments' checkpoints; None where nothing is cosigned.
        compliance: What reports are made with; None where none are made.
        give_up_after_seconds: How long a promotion retries without getting further before it fails.
    """

    document_schema: Literal["carnet.sync/v1"] = Field(alias="schema")
    listen: Address
    database: DatabaseUrl
    tls: TlsFiles
    environments: dict[Name, EnvironmentLink]
    routes: list[Route]
    callers: tuple[CallerRoles, ...]
    bearer_listen: Address | None = None
    oidc: tuple[IssuerDocument, ...] = ()
    revoked: tuple[Revocation, ...] = ()
    witness: WitnessKey | None = None
    compliance: ComplianceFiles | None = None
    give_up_after_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False, strict=False)] = 3600.0
    _path: Path | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _routes_are_possible(self) -> Self:
        seen: set[tuple[str, str]] = set()
        for route in self.routes:
            ends = (route.source, route.target)
            for name in ends:
                if name not in self.environments:
                    raise ValueError(f"a route names {name!r}, which is not among the environments")
            if route.source == route.target:
                raise ValueError(f"a route leads from {route.source!r} to itself")
            if ends in seen:
                raise ValueError(f"the route from {route.source!r} to {route.target!r} stands twice")
            seen.add(ends)
        return self

    @property
    def path(self) -> Path | None:
        """The file that it was read from; None for one that was not."""
        return self._path

    def read_callers(self) -> Callers:
        """Put together who may do what.

        Raises:
            DocumentInvalidError: The entries contradict each other.
        """
        name = "sync.yaml" if self._path is None else self._path.name
        return Callers.of(self.callers, self.oidc, self.revoked, name=name)

    def logs(self) -> dict[str, LogVerifier]:
        """Return the pinned keys of the environments' logs, by origin.

        Raises:
            DocumentInvalidError: One is no verification key.
        """
        found: dict[str, LogVerifier] = {}
        for name, link in self.environments.items():
            if not link.log_key:
                continue
            try:
                verifier = LogVerifier.parse(link.log_key)
            except InvalidInputError as error:
                raise DocumentInvalidError(f"environments.{name}.log_key: {error.message}") from error
            found[verifier.name] = verifier
        return found

    def cosigner_key(self) -> LogKey | None:
        """Read the key that cosigns; None where nothing is cosigned.

        Raises:
            FileUnreadableError: It cannot be read.
            InvalidInputError: It is none.
        """
        if self.witness is None:
            return None
        return LogKey.load(self.witness.name, Path(self.witness.key), key_type=KeyType.COSIGNATURE_V1)

    def tls_identity(self) -> TlsIdentity:
        """Read the certificate, its key and the authorities.

        Raises:
            FileUnreadableError: One cannot be read.
        """
        return self.tls.identity()


def load_config(path: Path) -> SyncConfig:
    """Read ``sync.yaml``, and make its paths absolute.

    Args:
        path: The file.

    Raises:
        FileUnreadableError: It cannot be read.
        DocumentInvalidError: It breaks its schema; the message has a line for each problem.
    """
    return parse_config(read_file(path, what="the promotion service's configuration"), path)


def parse_config(data: bytes, path: Path) -> SyncConfig:
    """Check the bytes of ``sync.yaml``, and make its paths absolute.

    Args:
        data: The bytes.
        path: The file that they are from.

    Raises:
        DocumentInvalidError: They break the schema; the message has a line for each problem.
    """
    stated = parse_document(data, SyncConfig, name=path.name)
    folder = path.resolve().parent
    changed: dict[str, object] = {
        "tls": stated.tls.below(folder),
        "database": resolve_database_url(stated.database, folder),
    }
    if stated.witness is not None:
        key = str(folder / stated.witness.key)
        changed["witness"] = WitnessKey(name=stated.witness.name, key=key)
    if stated.compliance is not None:
        changed["compliance"] = stated.compliance.below(folder)
    config = stated.model_copy(update=changed)
    config._path = path.absolute()  # noqa: SLF001  it is this module's
    config.read_callers()
    return config

"""The promotion service's configuration: ``sync.yaml``.

Responsible for the document's schema and for making its paths absolute. Does not open what it names.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from carnet.client.channel import TlsIdentity
from carnet.documents import read_document
from carnet.errors import ReferenceInvalidError
from carnet.references import check_name
from carnet.serving.engine import resolve_database_url
from carnet.serving.fields import DatabaseUrl  # noqa: TC001  pydantic reads it at run time


def _name(value: str) -> str:
    try:
        return check_name(value, field="environment")
    except ReferenceInvalidError as error:
        raise ValueError(error.message) from error


Text = Annotated[str, StringConstraints(min_length=1)]
Name = Annotated[str, AfterValidator(_name)]
Address = Annotated[str, StringConstraints(pattern=r"^.+:[0-9]{1,5}$")]
Spiffe = Annotated[str, StringConstraints(pattern=r"^spiffe://.+")]
Role = Literal["reader", "requester", "operator"]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class TlsFiles(_Strict):
    """The service's certificate, its key, and the authorities of its callers and of the registries."""

    certificate: Text
    key: Text
    ca: Text


class EnvironmentLink(_Strict):
    """Where an environment's registry is.

    Attributes:
        endpoint: ``host:port``.
        server_name: The DNS name that its certificate must have: what pins who is at that address.
        subject: Its SPIFFE id, as its peers know it.
    """

    endpoint: Address
    server_name: Text
    subject: Spiffe


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


class CallerRoles(_Strict):
    """What a caller of this service may do.

    Attributes:
        subject: Its SPIFFE id.
        roles: ``reader`` sees promotions; ``requester`` starts, cancels and retries them too; ``operator``
            cancels and retries.
    """

    subject: Spiffe
    roles: list[Role]


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
        give_up_after_seconds: How long a promotion retries without getting further before it fails.
    """

    document_schema: Literal["carnet.sync/v1"] = Field(alias="schema")
    listen: Address
    database: DatabaseUrl
    tls: TlsFiles
    environments: dict[Name, EnvironmentLink]
    routes: list[Route]
    callers: list[CallerRoles]
    give_up_after_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False, strict=False)] = 3600.0

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

    @model_validator(mode="after")
    def _callers_stand_once(self) -> Self:
        subjects = [caller.subject for caller in self.callers]
        for subject in subjects:
            if subjects.count(subject) > 1:
                raise ValueError(f"the caller {subject!r} stands twice: give it all its roles in one place")
        return self

    def tls_identity(self) -> TlsIdentity:
        """Read the certificate, its key and the authorities.

        Raises:
            FileUnreadableError: One cannot be read.
        """
        return TlsIdentity.load(Path(self.tls.certificate), Path(self.tls.key), Path(self.tls.ca))


def load_config(path: Path) -> SyncConfig:
    """Read ``sync.yaml``, and make its paths absolute.

    Args:
        path: The file.

    Raises:
        FileUnreadableError: It cannot be read.
        DocumentInvalidError: It breaks its schema; the message has a line for each problem.
    """
    config = read_document(path, SyncConfig, what="the promotion service's configuration")
    folder = path.resolve().parent
    tls = TlsFiles(
        certificate=str(folder / config.tls.certificate),
        key=str(folder / config.tls.key),
        ca=str(folder / config.tls.ca),
    )
    return config.model_copy(update={"tls": tls, "database": resolve_database_url(config.database, folder)})

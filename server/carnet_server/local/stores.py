"""What the processes of a federation keep things in: files beside them, or stores started for all of them.

Responsible for the URLs in the configurations, and for what a PostgreSQL server and an S3 endpoint of one's
own need below ``backends/``: folders, descriptions, and for every process a file of secrets that its
environment gets. Secrets are in no URL. Imports what it needs of ``backends`` only where it is asked for.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from carnet.errors import InvalidInputError
from carnet_server.local.files import read_variables, write_variables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

DatabaseKind = Literal["sqlite", "postgres"]
BlobsKind = Literal["file", "s3"]

BACKENDS = "backends"
POSTGRES = "postgres"
S3 = "s3"
SYNC = "sync"
_ADMINISTRATOR = "admin"


def variables_file(folder: Path, process: str) -> Path:
    """Where the variables of a process's environment are.

    Args:
        folder: The federation's folder.
        process: Its name.
    """
    return folder / BACKENDS / f"{process}.env"


def administrator_variables(folder: Path) -> dict[str, str]:
    """The libpq variables of the PostgreSQL server's administrator.

    Args:
        folder: The federation's folder.

    Raises:
        FileUnreadableError: They cannot be read.
    """
    return read_variables(variables_file(folder, _ADMINISTRATOR))


@dataclass(frozen=True)
class Stores:
    """Which stores a federation has.

    Attributes:
        database: Whether metadata is in a file for each process, or in one PostgreSQL server.
        blobs: Whether blobs are in a folder for each registry, or at one S3 endpoint.
        durable: Whether a PostgreSQL server waits for the disk; only tests do without.
    """

    database: DatabaseKind = "sqlite"
    blobs: BlobsKind = "file"
    durable: bool = True

    @property
    def names(self) -> list[str]:
        """The processes that serve them."""
        return [*([POSTGRES] if self.database == "postgres" else ()), *([S3] if self.blobs == "s3" else ())]

    def check(self, environments: Sequence[str]) -> None:
        """Refuse what could not be made, before anything is.

        Args:
            environments: The environments.

        Raises:
            InvalidInputError: A program is not installed, or environments' names do not do.
        """
        if self.database == "postgres":
            from carnet_server.local.backends.account import unprivileged_account  # noqa: PLC0415
            from carnet_server.local.backends.programs import postgres_program  # noqa: PLC0415
            from carnet_server.local.backends.reachable import reachable_programs  # noqa: PLC0415

            reachable_programs(postgres_program("postgres"), unprivileged_account())
        if self.blobs == "s3":
            from carnet_server.local.backends.object_storage import bucket_name  # noqa: PLC0415
            from carnet_server.local.backends.programs import rclone_program  # noqa: PLC0415

            rclone_program()
            buckets: dict[str, str] = {}
            for environment in environments:
                other = buckets.setdefault(bucket_name(environment), environment)
                if other != environment:
                    raise InvalidInputError(
                        f"the environments {other!r} and {environment!r} would have one bucket: rename one"
                    )

    def database_url(self, process: str, ports: Mapping[str, int]) -> str:
        """What a process's configuration says of its database.

        Args:
            process: An environment, or ``sync``.
            ports: The ports of the stores.
        """
        if self.database == "sqlite":
            return f"sqlite:///data/{'sync' if process == SYNC else 'registry'}.db"
        from carnet_server.local.backends.configuration import HOST  # noqa: PLC0415
        from carnet_server.local.backends.databases import database_name  # noqa: PLC0415

        name = database_name(process)
        return f"postgresql://{name}@{HOST}:{ports[POSTGRES]}/{name}"

    def blobs_url(self, environment: str, ports: Mapping[str, int]) -> str:
        """What a registry's configuration says of its blobs.

        Args:
            environment: The environment.
            ports: The ports of the stores.
        """
        if self.blobs == "file":
            return "file:data/blobs"
        from carnet_server.local.backends.object_storage import bucket_name, bucket_url  # noqa: PLC0415

        return bucket_url(ports[S3], bucket_name(environment))

    def make(self, folder: Path, environments: Sequence[str], ports: Mapping[str, int]) -> None:
        """Make what the stores need below ``backends/``; nothing where they are files.

        Args:
            folder: The federation's folder.
            environments: The environments.
            ports: The ports of the stores.

        Raises:
            InvalidInputError: A program is not installed, or cannot run here.
            UnavailableError: A store cannot be set up.
        """
        variables: dict[str, dict[str, str]] = {name: {} for name in (*environments, SYNC)}
        if self.database == "postgres":
            self._make_postgres(folder, ports[POSTGRES], variables)
        if self.blobs == "s3":
            self._make_s3(folder, environments, ports[S3], variables)
        for name, values in variables.items():
            if values:
                write_variables(variables_file(folder, name), values)

    def _make_postgres(self, folder: Path, port: int, variables: dict[str, dict[str, str]]) -> None:
        from carnet_server.local.backends import databases, postgres  # noqa: PLC0415
        from carnet_server.local.backends.configuration import HOST, BackendConfig  # noqa: PLC0415

        passwords = {process: secrets.token_hex(16) for process in variables}
        administrator = secrets.token_hex(16)
        config = BackendConfig(port, folder.resolve() / BACKENDS / POSTGRES, self.durable)
        postgres.prepare(config, administrator, databases.database_statements(passwords))
        config.save(
            folder / BACKENDS / f"{POSTGRES}.yaml",
            comment="A PostgreSQL server for this federation. The folder is relative to this file.",
        )
        for process, password in passwords.items():
            variables[process]["PGPASSWORD"] = password
        variables[_ADMINISTRATOR] = {
            "PGHOST": HOST,
            "PGPORT": str(port),
            "PGUSER": postgres.ADMINISTRATOR,
            "PGPASSWORD": administrator,
        }

    def _make_s3(
        self, folder: Path, environments: Sequence[str], port: int, variables: dict[str, dict[str, str]]
    ) -> None:
        from carnet_server.local.backends import object_storage  # noqa: PLC0415
        from carnet_server.local.backends.configuration import BackendConfig  # noqa: PLC0415

        key_id, secret = object_storage.key_pair()
        config = BackendConfig(port, folder.resolve() / BACKENDS / S3)
        object_storage.prepare(config, [object_storage.bucket_name(name) for name in environments])
        config.save(
            folder / BACKENDS / f"{S3}.yaml",
            comment="An S3 endpoint for this federation. The folder, relative to this file, has the buckets.",
        )
        for name in environments:
            variables[name] |= object_storage.client_variables(key_id, secret)
        variables[S3] = object_storage.server_variables(key_id, secret)

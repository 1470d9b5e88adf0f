"""How a store that a federation starts is described: ``postgres.yaml`` and ``s3.yaml`` in ``backends/``."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from carnet.documents import read_document
from carnet_server.local.files import write_yaml

if TYPE_CHECKING:
    from collections.abc import Sequence

SCHEMA = "carnet.backend/v1"
HOST = "127.0.0.1"


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    schema_: Literal["carnet.backend/v1"] = Field(alias="schema")
    port: Annotated[int, Field(ge=1, le=65535)]
    folder: Annotated[str, StringConstraints(min_length=1)]
    durable: bool = True


@dataclass(frozen=True)
class BackendConfig:
    """A store that is started on this machine.

    Attributes:
        port: The port of the loopback address that it listens at.
        folder: What it keeps, absolute.
        durable: Whether it waits for the disk; only tests do without.
    """

    port: int
    folder: Path
    durable: bool = True

    @property
    def endpoint(self) -> str:
        """``host:port``."""
        return f"{HOST}:{self.port}"

    def save(self, path: Path, *, comment: str) -> None:
        """Write its description beside its folder.

        Args:
            path: The new file.
            comment: What it is, for whoever opens it.

        Raises:
            AlreadyExistsError: The file is there.
        """
        value: dict[str, Any] = {"schema": SCHEMA, "port": self.port, "folder": self.folder.name}
        write_yaml(path, value if self.durable else value | {"durable": False}, comment=comment)


def load_backend(path: Path) -> BackendConfig:
    """Read the description of a store.

    Args:
        path: The file; its folder is relative to it.

    Raises:
        FileUnreadableError: It cannot be read.
        DocumentInvalidError: It breaks its schema.
    """
    document = read_document(path, _Document, what="the store's configuration")
    return BackendConfig(document.port, path.resolve().parent / document.folder, document.durable)


def configured(arguments: Sequence[str] | None = None) -> BackendConfig:
    """Read what a store's module is started with: ``--config FILE``.

    Args:
        arguments: The command line; by default this process's.

    Raises:
        FileUnreadableError: The file cannot be read.
        DocumentInvalidError: It breaks its schema.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path, required=True, metavar="FILE")
    return load_backend(parser.parse_args(arguments).config)

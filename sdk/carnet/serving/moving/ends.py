"""The two ends of a move, and errors that say which of them they are about."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from carnet.errors import CarnetError, UnavailableError
from carnet.serving.engine import typed_database_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection


@contextlib.contextmanager
def errors_of(label: str) -> Iterator[None]:
    """Say of every failure within a block which end of the move it is about.

    Args:
        label: What that end is called; put before the message, in place of the configuration's key.

    Raises:
        CarnetError: What the block raised; the database's own errors in Carnet's form.
    """
    try:
        with typed_database_errors():
            yield
    except CarnetError as error:
        message = f"{label}: {error.message.removeprefix('database: ').removeprefix('blobs: ')}"
        if isinstance(error, UnavailableError):
            raise UnavailableError(message, metadata=error.metadata) from error
        raise type(error)(message, metadata=error.metadata) from error


@dataclass(frozen=True)
class Side:
    """One of the two databases of a move, in a transaction.

    Attributes:
        label: What it is called in errors.
        connection: The connection.
    """

    label: str
    connection: Connection

"""The check of a live database that ``carnet audit verify --database`` makes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import make_url

from carnet.errors import NotFoundError
from carnet.serving.engine import open_engine, resolve_database_url, shown_url, typed_database_errors
from carnet_server.folding.compare import compare

if TYPE_CHECKING:
    from collections.abc import Callable

    from carnet.audit.report import Finding
    from carnet.translog.checkpoint import Checkpoint


def check_tables(
    environment: str,
    url: str,
    checkpoint: Checkpoint,
    progress: Callable[[int, int], None] | None = None,
) -> list[Finding]:
    """Fold the log that a registry's database keeps, and compare it with the tables; see ``compare``.

    Args:
        environment: The environment whose database it is.
        url: The database's URL, as in ``environment.yaml``; a relative path is from where the command runs.
            One that only reads is enough of a user.
        checkpoint: A verified checkpoint of the environment's log.
        progress: Is called with the entries read so far, and all there are.

    Returns:
        What is wrong.

    Raises:
        InvalidInputError: The URL is malformed, or its driver is not installed.
        NotFoundError: There is no such file.
        UnavailableError: The database cannot be read.
    """
    resolved = resolve_database_url(url, Path.cwd())
    parsed = make_url(resolved)
    if parsed.get_backend_name() == "sqlite" and not Path(str(parsed.database)).is_file():
        raise NotFoundError(f"database: there is no file {shown_url(resolved)}")
    engine = open_engine(resolved, connections=1, read_only=True)
    try:
        with typed_database_errors(), engine.begin() as connection:
            return compare(connection, environment, checkpoint, progress=progress)
    finally:
        engine.dispose()

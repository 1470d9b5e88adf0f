"""The database's schema, step by step.

Responsible for bringing a database to the present schema, from nothing or from any earlier one. Alembic is
imported only then.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from carnet.errors import UnavailableError


def upgrade(url: str) -> None:
    """Bring a database to the present schema.

    Args:
        url: An SQLAlchemy URL; for SQLite with an absolute path, whose folder is made if need be.

    Raises:
        DocumentInvalidError: The URL is malformed, or its driver is not installed.
        UnavailableError: The database cannot be reached or written.
    """
    from alembic import command  # noqa: PLC0415  only to migrate
    from alembic.config import Config  # noqa: PLC0415  only to migrate

    parsed = make_url(url)
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["url"] = url
    try:
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        command.upgrade(config, "head")
    except (SQLAlchemyError, OSError) as error:
        raise UnavailableError(f"the promotion service's database cannot be prepared: {error}") from error

"""Editing history in a copy of a registry's database, to show that it is found.

The copy is served by a registry of its own, with the environment's own keys: the worst case short of signing
a new history, an administrator of the database. Metadata is copied within its own kind of database; blobs are
not copied.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import sqlite3
from typing import TYPE_CHECKING

import yaml
from sqlalchemy import make_url, text

from carnet.client.client import connect
from carnet.serving.engine import open_engine, typed_database_errors
from carnet_server.config import load_config
from carnet_server.local.files import read_variables
from carnet_server.local.health import wait_until_serving
from carnet_server.local.initialise import MARKER, free_ports
from carnet_server.local.processes import Process
from carnet_server.local.stores import administrator_variables, variables_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from carnet.audit.report import AuditReport


def copy_environment(folder: Path, environment: str, copy: Path) -> None:
    """Copy one environment of a federation, without its blobs, at a port of its own.

    Args:
        folder: The federation; its registry may run.
        environment: The environment.
        copy: Where the copy goes; it must not be there. See ``drop_copy``.

    Raises:
        UnavailableError: The database cannot be copied.
    """
    source, target = folder / "environments" / environment, copy / "environments" / environment
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("data"))
    for part in ("ca", "identities"):
        shutil.copytree(folder / part, copy / part)
    (target / "data").mkdir()
    endpoint = f"127.0.0.1:{free_ports(1, 0)[0]}"
    config = yaml.safe_load((target / "environment.yaml").read_text())
    config["listen"] = endpoint
    config["blobs"] = "file:data/blobs"
    # The copy is not the log that the others witness.
    config.pop("witnesses", None)
    config["database"] = _copy_database(folder, environment, copy, config["database"])
    (target / "environment.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    federation = yaml.safe_load((folder / MARKER).read_text())
    federation["environments"][environment]["endpoint"] = endpoint
    federation["environments"][environment].pop("witnesses", None)
    (copy / MARKER).write_text(yaml.safe_dump(federation, sort_keys=False))


def _copy_database(folder: Path, environment: str, copy: Path, url: str) -> str:
    """Copy an environment's metadata; returns the copy's URL."""
    database = make_url(url)
    if database.get_backend_name() == "sqlite":
        _copy_file(folder, environment, copy)
        return url
    from carnet_server.local.backends.databases import copy_database  # noqa: PLC0415  only where there is one

    name = f"{database.database}_{secrets.token_hex(4)}"
    copy_database(administrator_variables(folder), str(database.database), name)
    variables = variables_file(copy, environment)
    variables.parent.mkdir()
    shutil.copy(variables_file(folder, environment), variables)
    return database.set(database=name).render_as_string(hide_password=False)


def _copy_file(folder: Path, environment: str, copy: Path) -> None:
    original, copied = (
        each / "environments" / environment / "data" / "registry.db" for each in (folder, copy)
    )
    with (
        contextlib.closing(sqlite3.connect(original)) as source,
        contextlib.closing(sqlite3.connect(copied)) as target,
    ):
        source.backup(target)


def drop_copy(folder: Path, environment: str, copy: Path) -> None:
    """Remove what a copy has outside of its folder: its database, where it is in a server.

    Args:
        folder: The federation that the environment was copied from.
        environment: The environment.
        copy: The copy, which is not served.

    Raises:
        UnavailableError: The database cannot be removed.
    """
    database = make_url(load_config(_config_file(copy, environment)).database_url)
    if database.get_backend_name() == "sqlite":
        return
    from carnet_server.local.backends.databases import drop_database  # noqa: PLC0415  only where there is one

    drop_database(administrator_variables(folder), str(database.database))


def _config_file(copy: Path, environment: str) -> Path:
    return copy / "environments" / environment / "environment.yaml"


def edit_one_byte(copy: Path, environment: str) -> tuple[int, bytes, bytes]:
    """Change one digit of the version number in the last entry of a published version.

    Args:
        copy: The copied federation.
        environment: Its environment.

    Returns:
        The entry's index, and its bytes before and after.

    Raises:
        UnavailableError: The database cannot be reached.
    """
    url = make_url(load_config(_config_file(copy, environment)).database_url)
    password = read_variables(variables_file(copy, environment)).get("PGPASSWORD")
    if password:
        url = url.set(password=password)
    engine = open_engine(url.render_as_string(hide_password=False), connections=1)
    try:
        with typed_database_errors(), engine.begin() as connection:
            rows = connection.execute(text('SELECT "index", entry FROM log_entries ORDER BY "index" DESC'))
            index, before = next(
                (int(at), bytes(entry)) for at, entry in rows if b'"type":"version.published"' in bytes(entry)
            )
            place = before.index(b'"version":') + len(b'"version":')
            after = before[:place] + b"9" + before[place + 1 :]
            edit = text('UPDATE log_entries SET entry = :entry WHERE "index" = :index')
            connection.execute(edit, {"entry": after, "index": index})
    finally:
        engine.dispose()
    return index, before, after


@contextlib.contextmanager
def serving(copy: Path, environment: str) -> Iterator[None]:
    """Serve a copied environment within a block."""
    config = _config_file(copy, environment)
    process = Process(environment, copy.resolve(), "carnet_server", config.resolve())
    process.start()
    try:
        wait_until_serving([process])
        yield
    finally:
        process.stop()


def verify_edited_copy(folder: Path, environment: str, copy: Path, *, identity: str) -> AuditReport:
    """Edit history in a copy of an environment, serve the copy, and verify it.

    Args:
        folder: The federation.
        environment: The environment.
        copy: Where the copy goes; it must not be there.
        identity: Who verifies.

    Returns:
        What the verification found.
    """
    copy_environment(folder, environment, copy)
    try:
        edit_one_byte(copy, environment)
        with serving(copy, environment), connect(copy, identity=identity) as auditor:
            return auditor.audit_verify(environments=[environment])
    finally:
        drop_copy(folder, environment, copy)

"""Editing history in a copy of a registry's database, to show that it is found.

The copy is served by a registry of its own, with the environment's own keys: the worst case short of signing
a new history, an administrator of the database.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from typing import TYPE_CHECKING

import yaml

from carnet.client.client import connect
from carnet_server.local.health import wait_until_serving
from carnet_server.local.initialise import MARKER, free_ports
from carnet_server.local.processes import Process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from carnet.audit.report import AuditReport


def copy_environment(folder: Path, environment: str, copy: Path) -> None:
    """Copy one environment of a federation, at a port of its own.

    Args:
        folder: The federation; its registry may run.
        environment: The environment.
        copy: Where the copy goes; it must not be there.
    """
    source, target = folder / "environments" / environment, copy / "environments" / environment
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("data"))
    for part in ("ca", "identities"):
        shutil.copytree(folder / part, copy / part)
    (target / "data").mkdir()
    with (
        contextlib.closing(sqlite3.connect(source / "data" / "registry.db")) as original,
        contextlib.closing(sqlite3.connect(target / "data" / "registry.db")) as copied,
    ):
        original.backup(copied)
    endpoint = f"127.0.0.1:{free_ports(1, 0)[0]}"
    config = yaml.safe_load((target / "environment.yaml").read_text())
    config["listen"] = endpoint
    (target / "environment.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    federation = yaml.safe_load((folder / MARKER).read_text())
    federation["environments"][environment]["endpoint"] = endpoint
    (copy / MARKER).write_text(yaml.safe_dump(federation, sort_keys=False))


def edit_one_byte(copy: Path, environment: str) -> tuple[int, bytes, bytes]:
    """Change one digit of the version number in the last entry of a published version.

    Args:
        copy: The copied federation.
        environment: Its environment.

    Returns:
        The entry's index, and its bytes before and after.
    """
    database = copy / "environments" / environment / "data" / "registry.db"
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        rows = connection.execute('SELECT "index", entry FROM log_entries ORDER BY "index" DESC').fetchall()
        index, before = next(
            (at, bytes(entry)) for at, entry in rows if b'"type":"version.published"' in entry
        )
        place = before.index(b'"version":') + len(b'"version":')
        after = before[:place] + b"9" + before[place + 1 :]
        connection.execute('UPDATE log_entries SET entry = ? WHERE "index" = ?', (after, index))
    return index, before, after


@contextlib.contextmanager
def serving(copy: Path, environment: str) -> Iterator[None]:
    """Serve a copied environment within a block."""
    config = copy / "environments" / environment / "environment.yaml"
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
    edit_one_byte(copy, environment)
    with serving(copy, environment), connect(copy, identity=identity) as auditor:
        return auditor.audit_verify(environments=[environment])

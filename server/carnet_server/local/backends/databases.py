"""Databases in a PostgreSQL server of one's own: a role and a database for each process, and copies.

A process's role owns its database and nothing else, and may not connect to another's.
"""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from carnet.errors import UnavailableError
from carnet_server.local.backends.programs import postgres_program

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Not the bare name: roles that begin with pg_ are PostgreSQL's own.
_PREFIX = "carnet_"


def database_name(process: str) -> str:
    """The name of a process's database, and of its role.

    Args:
        process: An environment's name, or ``sync``.
    """
    return f"{_PREFIX}{process}"


def database_statements(passwords: Mapping[str, str]) -> list[str]:
    """The SQL that makes every process's role and database, and keeps them apart.

    Args:
        passwords: Each role's password, by process; letters and digits.
    """
    statements = [
        f"REVOKE ALL ON DATABASE {each} FROM PUBLIC;" for each in ("postgres", "template1", "template0")
    ]
    for process, password in passwords.items():
        name = database_name(process)
        statements += [
            f"CREATE ROLE \"{name}\" LOGIN PASSWORD '{password}';",
            f'CREATE DATABASE "{name}" OWNER "{name}" TEMPLATE template0;',
            f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC;',
        ]
    return statements


def _run(program: str, arguments: Sequence[str], connection: Mapping[str, str], text: str = "") -> str:
    done = subprocess.run(  # noqa: S603  a program of our own choice
        [str(postgres_program(program)), *arguments],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | connection,
    )
    if done.returncode:
        raise UnavailableError(f"{program} failed: {' / '.join(done.stderr.strip().splitlines()[-3:])}")
    return done.stdout


def copy_database(connection: Mapping[str, str], source: str, target: str) -> None:
    """Copy a database that may be in use, to a new one of the same owner.

    Args:
        connection: The administrator's libpq variables (``PGHOST`` and so on).
        source: The database.
        target: The copy, which must not be there.

    Raises:
        InvalidInputError: PostgreSQL's programs are not installed.
        UnavailableError: One of them failed.
    """
    dump = _run("pg_dump", ["--dbname", source], connection)
    create = f'CREATE DATABASE "{target}" OWNER "{source}" TEMPLATE template0;'
    _run("psql", ["--no-psqlrc", "--set=ON_ERROR_STOP=1", "--dbname=postgres"], connection, create)
    _run("psql", ["--no-psqlrc", "--set=ON_ERROR_STOP=1", "--quiet", "--dbname", target], connection, dump)


def drop_database(connection: Mapping[str, str], name: str) -> None:
    """Remove a database, and whoever is connected to it.

    Args:
        connection: The administrator's libpq variables.
        name: The database.

    Raises:
        InvalidInputError: PostgreSQL's programs are not installed.
        UnavailableError: It could not be removed.
    """
    drop = f'DROP DATABASE "{name}" WITH (FORCE);'
    _run("psql", ["--no-psqlrc", "--set=ON_ERROR_STOP=1", "--dbname=postgres"], connection, drop)

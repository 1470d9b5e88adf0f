"""A PostgreSQL server of one's own, on the loopback address.

Responsible for a new server's folder (UTF-8, bytewise order, passwords by SCRAM, no socket file) and for
becoming the server: ``python -m carnet_server.local.backends.postgres --config FILE``. The folder belongs to
whom the server runs as and holds ``data``; secrets of clients are elsewhere. SIGINT stops it at once and in
order. Knows nothing of what its databases hold.
"""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from carnet.errors import CarnetError, InvalidInputError, UnavailableError
from carnet_server.local.backends.account import reached, unprivileged_account
from carnet_server.local.backends.configuration import HOST, configured
from carnet_server.local.backends.programs import postgres_program
from carnet_server.local.backends.reachable import reachable_programs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from carnet_server.local.backends.account import Place
    from carnet_server.local.backends.configuration import BackendConfig

ADMINISTRATOR = "postgres"
_NOT_DURABLE = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


def prepare(config: BackendConfig, password: str, statements: Sequence[str] = ()) -> None:
    """Make a server's folder, and what is in the server from the beginning.

    Args:
        config: The server; its folder must not be there.
        password: Of the role ``postgres``, which may do everything.
        statements: SQL to run in it, each on one line.

    Raises:
        InvalidInputError: PostgreSQL is not installed, or cannot run here.
        UnavailableError: The folder cannot be made.
    """
    account = unprivileged_account()
    programs = reachable_programs(postgres_program("initdb"), account)
    try:
        config.folder.mkdir(parents=True, mode=0o700)
        if account is not None:
            os.chown(config.folder, account.uid, account.gid)
    except OSError as error:
        raise UnavailableError(f"PostgreSQL's folder cannot be made: {error}") from error
    with reached(config.folder, account) as place:
        _make_cluster(programs / "initdb", place, config, password)
        _run_alone(programs / "postgres", place, statements)


def _make_cluster(initdb: Path, place: Place, config: BackendConfig, password: str) -> None:
    password_file = config.folder / "password"
    with os.fdopen(os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(password)
    if place.account is not None:
        os.chown(password_file, place.account.uid, place.account.gid)
    command = [
        str(initdb),
        f"--pgdata={place.path}/data",
        f"--username={ADMINISTRATOR}",
        f"--pwfile={place.path}/password",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C",
        "--no-instructions",
        *(() if config.durable else ("--no-sync",)),
    ]
    try:
        _run(command, place)
    finally:
        password_file.unlink()


def _run_alone(server: Path, place: Place, statements: Sequence[str]) -> None:
    """Run statements in a server that nobody can reach: the single-user mode."""
    if not statements:
        return
    # What must be kept is made safe by the checkpoint that ends it.
    command = [str(server), "--single", "-D", f"{place.path}/data", "-c", "exit_on_error=on", ADMINISTRATOR]
    _run(command, place, text="".join(f"{statement}\n" for statement in statements))


def _run(command: list[str], place: Place, text: str = "") -> None:
    try:
        done = subprocess.run(  # noqa: S603  a program of our own choice
            command, input=text, capture_output=True, text=True, check=False, **place.popen
        )
    except OSError as error:
        raise UnavailableError(f"{command[0]} cannot be started: {error}") from error
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines()[-5:]
        raise UnavailableError(f"PostgreSQL cannot be set up: {' / '.join(lines)}")


def server_command(server: Path, place: Place, config: BackendConfig) -> list[str]:
    """The command that serves a folder.

    Args:
        server: The program.
        place: The folder, as the server reaches it.
        config: The server.
    """
    settings = ("log_checkpoints=off", *(() if config.durable else _NOT_DURABLE))
    return [
        str(server),
        *("-D", f"{place.path}/data", "-h", HOST, "-p", str(config.port), "-k", ""),
        *(argument for setting in settings for argument in ("-c", setting)),
    ]


def answers(config: BackendConfig, timeout_seconds: int) -> bool:
    """Whether the server takes connections.

    Args:
        config: The server.
        timeout_seconds: How long to wait for its answer.

    Raises:
        InvalidInputError: The database driver is not installed.
    """
    try:
        from psycopg import pq  # noqa: PLC0415  needed only where there is a server
    except ImportError as error:
        raise InvalidInputError(
            "PostgreSQL's driver is not installed: pip install 'carnet[server]'"
        ) from error
    where = (
        f"host={HOST} port={config.port} dbname={ADMINISTRATOR} sslmode=disable"
        f" connect_timeout={timeout_seconds}"
    )
    return pq.PGconn.ping(where.encode()) == pq.Ping.OK


def main() -> None:
    """Become the server that ``--config`` describes."""
    try:
        config = configured()
        account = unprivileged_account()
        server = reachable_programs(postgres_program("postgres"), account) / "postgres"
        with reached(config.folder, account) as place:
            command = server_command(server, place, config)
            place.become()
            os.execv(command[0], command)  # noqa: S606  a program of our own choice
    except (CarnetError, OSError) as error:
        raise SystemExit(f"PostgreSQL cannot be started: {error}") from error


if __name__ == "__main__":
    main()

"""Make the files of a federation in containers: ``python deploy/make_config.py DIR``.

Responsible for what differs from a federation on loopback: each service listens on every interface of its
container, its peers are reached by service name, metadata is in a PostgreSQL of its own whose password is
made here, blobs are on a volume, and each service's folder is complete in itself, so that it can be mounted
alone. Who may do what, and the policies, are as ``carnet init`` makes them.

Invariant: a secret is for the one service that needs it and for the folder's owner, and for nobody else.
Starts nothing. The names of hosts and mounts are those of ``compose.yaml``.
"""

# ruff: noqa: INP001, T201  a script beside the files that it belongs to, for people

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from carnet.errors import AlreadyExistsError, CarnetError, InvalidInputError, PreconditionFailedError
from carnet_server.local.document_signing import sign_documents
from carnet_server.local.files import write_new_file, write_yaml
from carnet_server.local.initialise import initialise

SERVICE_PORT = 7400
SERVICE_USER = 10001
DATABASE_PORT = 5432
DATABASE_NAME = DATABASE_USER = "carnet"
BLOBS = "file:/var/lib/carnet/blobs"
COPIES = "/var/lib/carnet/compliance"
PINS = "trusted-keys.yaml"
_LISTEN = f"0.0.0.0:{SERVICE_PORT}"
_SECRETS = ("*-key.pem",)
_EXIT_USAGE = 2


def _address(name: str) -> str:
    return f"{name}:{SERVICE_PORT}"


def _rewrite(path: Path, change: dict[str, Any]) -> None:
    """Change some values of a document that ``carnet init`` wrote, and keep the comment above it."""
    text = path.read_text()
    comment = "\n".join(line[2:] for line in text.splitlines() if line.startswith("# "))
    document = yaml.safe_load(text)
    document.update(change)
    path.unlink()
    write_yaml(path, document, comment=comment)


def _make_database(folder: Path, databases: Path, name: str) -> str:
    """Make a password, as the database and as its service read it; returns the database's URL."""
    host, password = f"{name}-database", secrets.token_hex(24)
    write_new_file(databases / name, f"export POSTGRES_PASSWORD={password}\n".encode())
    line = f"{host}:{DATABASE_PORT}:{DATABASE_NAME}:{DATABASE_USER}:{password}\n"
    write_new_file(folder / "pgpass", line.encode(), secret=True)
    return f"postgresql://{DATABASE_USER}@{host}:{DATABASE_PORT}/{DATABASE_NAME}"


def _adapt(folder: Path, published: dict[str, str]) -> None:
    """Turn a federation on loopback into one in containers."""
    environments = sorted(each.name for each in (folder / "environments").iterdir())
    unknown = published.keys() - {*environments, "sync"}
    if unknown:
        raise InvalidInputError(f"--publish {min(unknown)}: there are {', '.join(environments)} and sync")
    for name in environments:
        own = folder / "environments" / name
        shutil.copyfile(folder / "ca" / "ca.pem", own / "ca.pem")
        _rewrite(own / "environment.yaml", _service(own, folder / "databases", name) | {"blobs": BLOBS})
        trust = yaml.safe_load((own / "trust.yaml").read_text())
        peers = [peer | {"endpoint": _address(peer["environment"])} for peer in trust["peers"]]
        _rewrite(own / "trust.yaml", {"peers": peers})
        _readdress_witnesses(own / "witnesses.policy")
        sign_documents(folder, name)
    own = folder / "sync"
    shutil.copyfile(folder / "ca" / "ca.pem", own / "ca.pem")
    stated = yaml.safe_load((own / "sync.yaml").read_text())
    links = {name: link | {"endpoint": _address(name)} for name, link in stated["environments"].items()}
    compliance = stated["compliance"] | {"trust": PINS, "folder": COPIES}
    compliance["tls"]["ca"] = "ca.pem"
    _publish(folder / "federation.yaml", published)
    shutil.copyfile(folder / "federation.yaml", own / PINS)
    _rewrite(
        own / "sync.yaml",
        _service(own, folder / "databases", "sync")
        | {
            "environments": links,
            "compliance": compliance,
        },
    )


def _readdress_witnesses(path: Path) -> None:
    """Have each witness asked at its own container, by its name in the policy file."""
    lines = []
    for line in path.read_text().splitlines():
        words = line.split(" ")
        if words[0] == "witness":
            server_name = words[-1].rpartition("/")[2]
            line = " ".join([*words[:-1], f"carnet://{_address(words[1])}/{server_name}"])  # noqa: PLW2901
        lines.append(line)
    path.write_text("\n".join(lines) + "\n")


def _service(own: Path, databases: Path, name: str) -> dict[str, Any]:
    return {
        "listen": _LISTEN,
        "database": _make_database(own, databases, name),
        "tls": {"certificate": "tls.pem", "key": "tls-key.pem", "ca": "ca.pem"},
    }


def _publish(path: Path, published: dict[str, str]) -> None:
    document = yaml.safe_load(path.read_text())
    places = {**document["environments"], "sync": document["sync"]}
    for name, place in places.items():
        place["endpoint"] = published.get(name, _address(name))
    _rewrite(path, {"environments": document["environments"], "sync": document["sync"]})


def _hand_over(folder: Path, owner: os.stat_result) -> None:
    """Give everything to the folder's owner, and let the services' group read what is theirs."""
    for path in (folder, *folder.rglob("*")):
        service = path.relative_to(folder).parts[:1] in {("environments",), ("sync",)}
        os.chown(path, owner.st_uid, SERVICE_USER if service else owner.st_gid)
        if path.is_dir():
            path.chmod(0o750 if service else 0o700)
        elif service and any(path.match(pattern) for pattern in _SECRETS):
            path.chmod(0o640)
        elif path.name == "pgpass":
            # libpq ignores a password file that more than its owner may read.
            os.chown(path, SERVICE_USER, SERVICE_USER)
    # Each is mounted alone, into a container whose user is the database image's own.
    for path in (folder / "databases").iterdir():
        path.chmod(0o444)


def make_config(folder: Path, published: dict[str, str]) -> None:
    """Make a federation's files in a folder that is empty or not there yet; all of them or none.

    Args:
        folder: The folder; its owner gets the files. Needs root where the services' user is another.
        published: Where clients reach a service, ``host:port``, by ``sync`` or the environment's name; those
            that are not named are reached as their peers do.

    Raises:
        AlreadyExistsError: The folder has something in it.
        InvalidInputError: An address is published of something that is not there.
        PreconditionFailedError: The files cannot be handed over to their users.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise AlreadyExistsError(f"{folder} has something in it: it is kept; name an empty folder")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        made = Path(name) / "federation"
        initialise(made, base_port=0)
        _adapt(made, published)
        try:
            _hand_over(made, folder.stat())
        except PermissionError as error:
            raise PreconditionFailedError(
                f"the files cannot be given to user {SERVICE_USER}, whom the services run as: "
                "run this as root, as `docker compose run --rm init` does"
            ) from error
        # What clients look for comes last.
        for path in sorted(made.iterdir(), key=lambda each: each.name == "federation.yaml"):
            path.rename(folder / path.name)


def _published(text: str) -> tuple[str, str]:
    name, _, endpoint = text.partition("=")
    host, _, port = endpoint.rpartition(":")
    if not name or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=HOST:PORT")
    return name, endpoint


def main() -> int:
    """Make a federation's files as the command line says; returns the exit code."""
    parser = argparse.ArgumentParser(description="Make the files of a federation in containers.")
    parser.add_argument("folder", metavar="DIR", type=Path, help="where to; empty, or not there yet")
    parser.add_argument(
        "--publish",
        metavar="NAME=HOST:PORT",
        type=_published,
        action="append",
        default=[],
        help="where clients reach a service; NAME is an environment, or sync",
    )
    options = parser.parse_args()
    try:
        make_config(options.folder, dict(options.publish))
    except CarnetError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return _EXIT_USAGE
    print(f"Made a federation in {options.folder}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
